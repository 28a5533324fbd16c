#include "portal-gateway/core/profile_event.h"
#include "portal-gateway/core/admission.h"
#include "portal-gateway/core/call.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/template.h"
#include <stdio.h>
#include <string.h>

enum {
    ARGUMENTS_BYTES_MAX = 256 << 10, /* of one event; the state-manager takes no larger object */
    REQUEST_HEAD_MAX = 8192,         /* what is written around a command's body, claims and all */
    TELL_BYTES_MAX = 64 << 10,       /* of what a room is told */
    KEEPS_MAX = ANSWER_BYTES_MAX - 1024
};

/* Somebody says something that a profile knows. */
struct saying {
    struct session *s;
    const struct client_rule *rule;
    const struct receipt *receipt;
    struct template_scope scope; /* args and token */
    struct buf args;             /* what scope's args point to */
};

static void fail(const struct saying *y, enum err_code code, const char *text)
{
    refuse_because(y->s, y->rule->name, y->receipt, code, text);
}

/* {name: value, ...} */
static bool name_arguments(struct saying *y, const struct arguments *given)
{
    struct json_writer w;
    const struct names *names = &y->rule->arguments;
    buf_init(&y->args, ARGUMENTS_BYTES_MAX);
    jw_init(&w, &y->args);
    jw_begin(&w, '{');
    for (size_t i = 0; i < names->count && i < given->count; i++)
        jw_key_raw(&w, names->items[i], given->items[i]);
    jw_end(&w, '}');
    y->scope.roots[TEMPLATE_ARGS] = buf_view(&y->args);
    y->scope.roots[TEMPLATE_TOKEN] = view_of(y->s->who);
    return !y->args.overflow;
}

/* --- claims --- */

static bool holds(const struct saying *y, const struct check_rule *check)
{
    char value[TOKEN_NAME_MAX + 1];
    struct err err;
    if (!template_text(check->value, &y->scope, value, sizeof value, &err))
        return false;
    if (view_is(check->expression, "token.role"))
        return admission_has_role(y->s, value);
    return json_string_is(template_value(check->expression, &y->scope), value);
}

/* Who claims to be what his token does not say is refused, and it is logged as what it is. */
static bool claims_hold(const struct saying *y)
{
    for (size_t i = 0; i < y->rule->check_count; i++)
        if (!holds(y, &y->rule->checks[i])) {
            fail(y, ERR_DENIED, "the token says otherwise");
            return false;
        }
    return true;
}

/* --- rooms --- */

static bool name_rooms(const struct saying *y, struct room_list *out)
{
    struct err err;
    out->count = 0;
    for (size_t i = 0; i < y->rule->room_count; i++, out->count++)
        if (!template_text(y->rule->rooms[i], &y->scope, out->names[i], sizeof out->names[i], &err)) {
            fail(y, ERR_INVALID, "which room is not said, or in too many words");
            return false;
        }
    return true;
}

static void check_only(struct saying *y)
{
    accept_plain(y->s, y->receipt);
}

static void join(struct saying *y)
{
    struct room_list rooms;
    if (name_rooms(y, &rooms))
        client_join_all(y->s, y->rule->name, &rooms, y->receipt);
}

static void leave(struct saying *y)
{
    struct room_list rooms;
    if (name_rooms(y, &rooms))
        client_leave_all(y->s, y->rule->name, &rooms, y->receipt);
}

/* --- telling a room --- */

static bool is_in_all(const struct saying *y, const struct room_list *rooms)
{
    for (size_t i = 0; i < rooms->count; i++)
        if (!session_is_in(y->s, view_of(rooms->names[i])))
            return false;
    return true;
}

static void write_rooms(const struct room_list *rooms, struct buf *out)
{
    struct json_writer w;
    buf_init(out, EVENT_BODY_MAX);
    jw_init(&w, out);
    jw_begin(&w, '[');
    for (size_t i = 0; i < rooms->count; i++)
        jw_text(&w, view_of(rooms->names[i]));
    jw_end(&w, ']');
}

static void publish(const struct saying *y, const struct room_list *rooms, struct view data)
{
    struct hub *h = y->s->hub;
    struct buf names, body;
    char id[EVENT_ID_MAX + 1];
    write_rooms(rooms, &names);
    struct event_draft draft = {.type = y->rule->emit_event,
                                .class = EVENT_EPHEMERAL,
                                .rooms = buf_view(&names),
                                .except = y->s->id,
                                .data = data};
    crypto_random_id("e_", id);
    buf_init(&body, EVENT_BODY_MAX);
    event_encode(&body, &draft, tenant_id(y->s->tenant), id, "", 0, clock_wall_ms());
    h->upstream.publish(h->upstream.ctx, tenant_id(y->s->tenant), draft.type, buf_view(&body));
    buf_free(&names);
    buf_free(&body);
}

static void tell(struct saying *y)
{
    struct room_list rooms;
    struct buf data;
    struct err err;
    if (!name_rooms(y, &rooms))
        return;
    if (!is_in_all(y, &rooms)) {
        fail(y, ERR_DENIED, "join the room first");
        return;
    }
    buf_init(&data, TELL_BYTES_MAX);
    if (template_write(y->rule->emit_data, &y->scope, &data, &err)) {
        publish(y, &rooms, buf_view(&data));
        accept_plain(y->s, y->receipt);
    } else {
        fail(y, ERR_TOO_LARGE, "a room is told at most 64 KB");
    }
    buf_free(&data);
}

/* --- commands --- */

/* The client's own name of what it sends: sent again, it has one effect. Empty: none. */
static bool read_key(const struct saying *y, char out[static CALL_KEY_MAX + 1])
{
    struct buf value;
    struct err err;
    out[0] = 0;
    if (!y->rule->key.n)
        return true;
    buf_init(&value, TELL_BYTES_MAX);
    bool fine = template_write(y->rule->key, &y->scope, &value, &err);
    bool given = fine && json_type(buf_view(&value)) != JSON_NULL;
    if (given)
        fine = json_copy_string(buf_view(&value), out, CALL_KEY_MAX + 1) && *out;
    for (const char *c = out; fine && *c; c++)
        fine = *c > 0x20 && *c < 0x7f;
    buf_free(&value);
    if (!fine)
        fail(y, ERR_INVALID, "the message's own id must be 1 to 100 visible ASCII characters");
    return fine;
}

static void on_written(struct call *c, const struct answer *a)
{
    struct acceptance r;
    struct view reply = json_get(a->body, "reply");
    if (!a->ok) {
        refuse_client(c->s, c->event, &c->receipt, a->code, a->text);
        return;
    }
    accept_begin(&r);
    if (reply.n <= KEEPS_MAX)
        jw_key_raw(&r.w, "document", reply);
    accept_send(c->s, &c->receipt, &r);
}

static bool put_template(const struct saying *y, struct json_writer *w, const char *key, struct view json)
{
    struct buf made;
    struct err err;
    if (!json.n)
        return true;
    buf_init(&made, ARGUMENTS_BYTES_MAX);
    bool ok = template_write(json, &y->scope, &made, &err);
    if (ok)
        jw_key_raw(w, key, buf_view(&made));
    else
        fail(y, ERR_TOO_LARGE, "a command has at most 256 KB");
    buf_free(&made);
    return ok;
}

static bool write_command(const struct saying *y, const char *key, struct buf *out)
{
    struct json_writer w;
    const struct operation *op = y->rule->operation;
    char name[PROFILE_COLLECTION_MAX + PROFILE_NAME_MAX + 2];
    snprintf(name, sizeof name, "%s.%s", op->resource->collection, op->name);
    buf_init(out, 2 * ARGUMENTS_BYTES_MAX + REQUEST_HEAD_MAX + strlen(y->s->who));
    ask_begin(&w, out, tenant_id(y->s->tenant), "command");
    jw_key_text(&w, "author", y->s->sub);
    jw_key_text(&w, "command", "write");
    jw_key_text(&w, "operation", name);
    jw_key_raw(&w, "claims", view_of(y->s->who));
    if (*key)
        jw_key_text(&w, "key", key);
    bool ok = put_template(y, &w, "params", y->rule->params) && put_template(y, &w, "body", y->rule->body);
    jw_end(&w, '}');
    return ok;
}

static void command(struct saying *y)
{
    char key[CALL_KEY_MAX + 1];
    struct buf request;
    if (!read_key(y, key))
        return;
    struct call *c = NULL;
    if (write_command(y, key, &request))
        c = call_begin(y->s, y->rule->name, y->receipt, request.len, on_written);
    if (c)
        call_ask(c, buf_view(&request));
    buf_free(&request);
}

/* --- all --- */

static void (*const actions[])(struct saying *y) = {
    [ACTION_CHECK] = check_only, [ACTION_JOIN] = join,       [ACTION_LEAVE] = leave,
    [ACTION_EMIT] = tell,        [ACTION_COMMAND] = command,
};

static const struct client_rule *find(const struct policy *policy, struct view name)
{
    return policy->profiles && json_type(name) == JSON_STRING ? profiles_client_event(policy->profiles, name)
                                                              : NULL;
}

const char *profile_event_name(const struct policy *policy, struct view name)
{
    const struct client_rule *rule = find(policy, name);
    return rule ? rule->name : NULL;
}

bool profile_event(struct session *s, struct view name, const struct arguments *args,
                   const struct receipt *receipt)
{
    const struct client_rule *rule = find(s->hub->policy, name);
    if (!rule)
        return false;
    struct saying y = {.s = s, .rule = rule, .receipt = receipt};
    if (!name_arguments(&y, args))
        fail(&y, ERR_TOO_LARGE, "an event has at most 256 KB");
    else if (claims_hold(&y))
        actions[rule->action](&y);
    buf_free(&y.args);
    return true;
}
