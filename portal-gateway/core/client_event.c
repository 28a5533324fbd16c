#include "portal-gateway/core/client_event.h"
#include "portal-gateway/core/admission.h"
#include "portal-gateway/core/call.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/presence.h"
#include "portal-gateway/core/profile_event.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "portal-gateway/core/typing.h"
#include <stdio.h>
#include <string.h>

#define CONVERSATION_ROOM "conversation:"

enum {
    BODY_BYTES_MAX = 256 << 10, /* of a command; the state-manager takes no larger object */
    REQUEST_HEAD_MAX = 2048     /* what is written around it */
};

/* Somebody says something; `event` is its name in the table. */
struct saying {
    struct session *s;
    const char *event;
    struct view argument; /* the first; empty: none */
    const struct receipt *receipt;
};

static void fail(const struct saying *y, enum err_code code, const char *text)
{
    refuse_because(y->s, y->event, y->receipt, code, text);
}

/* The id of a conversation: the argument itself, or its member. */
static bool read_conversation(const struct saying *y, char out[static CONVERSATION_ID_MAX + 1])
{
    struct view id =
        json_type(y->argument) == JSON_STRING ? y->argument : json_get(y->argument, "conversationId");
    if (json_copy_string(id, out, CONVERSATION_ID_MAX + 1) &&
        view_is_name(view_of(out), CONVERSATION_ID_MAX, "_-"))
        return true;
    fail(y, ERR_INVALID, "conversationId must be 1 to 64 letters, digits, _ or -");
    return false;
}

/* --- commands --- */

/* The client's own name of what it sends: sent again, it has one effect. Empty: none. */
static bool read_key(const struct saying *y, char out[static CALL_KEY_MAX + 1])
{
    struct view key = json_get(y->argument, "clientMessageId");
    out[0] = 0;
    if (json_type(key) == JSON_NONE || json_type(key) == JSON_NULL)
        return true;
    bool fine = json_copy_string(key, out, CALL_KEY_MAX + 1) && *out;
    for (const char *c = out; fine && *c; c++)
        fine = *c > 0x20 && *c < 0x7f;
    if (!fine)
        fail(y, ERR_INVALID, "clientMessageId must be 1 to 100 visible ASCII characters");
    return fine;
}

/* What is left of the argument is what the API takes as the body of the same call: members in their order,
 * so that the same message over either is known again by its key. */
static void write_body(struct json_writer *w, struct view argument)
{
    struct view key, value;
    jw_key(w, "body");
    jw_begin(w, '{');
    for (struct json_iter it = json_iter(argument); json_next_member(&it, &key, &value);) {
        if (json_string_is(key, "conversationId") || json_string_is(key, "clientMessageId"))
            continue;
        jw_raw(w, key);
        buf_add_char(w->b, ':');
        buf_add_view(w->b, value);
    }
    jw_end(w, '}');
}

/* Sends the command named `name` about the conversation in c->subject. */
static void ask_command(struct call *c, const char *name, struct view argument)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, argument.n + REQUEST_HEAD_MAX);
    ask_begin(&w, &b, tenant_id(c->s->tenant), "command");
    jw_key_text(&w, "author", c->s->sub);
    jw_key_text(&w, "command", name);
    jw_key_text(&w, "conversationId", c->subject);
    if (*c->key)
        jw_key_text(&w, "key", c->key);
    write_body(&w, argument);
    jw_end(&w, '}');
    call_ask(c, buf_view(&b));
    buf_free(&b);
}

static void on_sent(struct call *c, const struct answer *a)
{
    static const char *const members[] = {"id", "conversationId", "status"};
    struct acceptance r;
    if (!a->ok) {
        refuse_client(c->s, c->event, &c->receipt, a->code, a->text);
        return;
    }
    accept_begin(&r);
    for (size_t i = 0; i < countof(members); i++)
        jw_key_raw(&r.w, members[i], json_get(json_get(a->body, "reply"), members[i]));
    if (*c->key)
        jw_key_text(&r.w, "clientMessageId", c->key);
    accept_send(c->s, &c->receipt, &r);
}

static void send_message(const struct saying *y)
{
    char id[CONVERSATION_ID_MAX + 1], key[CALL_KEY_MAX + 1];
    if (json_type(y->argument) != JSON_OBJECT) {
        fail(y, ERR_INVALID, "an object with conversationId and text is wanted");
        return;
    }
    if (y->argument.n > BODY_BYTES_MAX) {
        fail(y, ERR_TOO_LARGE, "a message has at most 256 KB");
        return;
    }
    if (!read_conversation(y, id) || !read_key(y, key))
        return;
    struct call *c = call_begin(y->s, y->event, y->receipt, y->argument.n + REQUEST_HEAD_MAX, on_sent);
    if (!c)
        return;
    memcpy(c->subject, id, sizeof id);
    memcpy(c->key, key, sizeof key);
    ask_command(c, "send_message", y->argument);
}

static void on_read(struct call *c, const struct answer *a)
{
    struct acceptance r;
    if (!a->ok) {
        refuse_client(c->s, c->event, &c->receipt, a->code, a->text);
        return;
    }
    accept_begin(&r);
    jw_key_text(&r.w, "conversationId", c->subject);
    accept_send(c->s, &c->receipt, &r);
}

static void mark_read(const struct saying *y)
{
    char id[CONVERSATION_ID_MAX + 1];
    if (!read_conversation(y, id))
        return;
    struct call *c = call_begin(y->s, y->event, y->receipt, REQUEST_HEAD_MAX, on_read);
    if (!c)
        return;
    memcpy(c->subject, id, sizeof id);
    ask_command(c, "mark_read", (struct view){NULL, 0});
}

/* --- what is never stored --- */

static void on_may_type(struct call *c, const struct answer *a)
{
    struct typing_spot spot;
    if (!a->ok) {
        refuse_client(c->s, c->event, &c->receipt, a->code, a->text);
        return;
    }
    if (typing_spot_of(c->s->hub->policy, view_of(c->subject), &spot) &&
        admission_opens(c->s, view_of(spot.room), a->body)) {
        typing_say(c->s->tenant->typing, c->s, &spot, c->flag);
        accept_plain(c->s, &c->receipt);
    } else {
        refuse_because(c->s, c->event, &c->receipt, ERR_DENIED, "that room is not yours");
    }
}

static void say_typing(const struct saying *y)
{
    struct typing_spot spot;
    struct view is_typing = json_get(y->argument, "isTyping");
    bool by_token;
    if (json_type(is_typing) != JSON_BOOL) {
        fail(y, ERR_INVALID, "isTyping must be true or false");
        return;
    }
    if (!typing_spot_named(y->s->hub->policy, y->argument, &spot)) {
        fail(y, ERR_INVALID, "conversationId, or what the profile names, must be the id of one");
        return;
    }
    enum admission admission = admission_of(y->s, view_of(spot.room), &by_token);
    if (admission == ADMISSION_GRANTED || session_is_in(y->s, view_of(spot.room))) {
        typing_say(y->s->tenant->typing, y->s, &spot, json_is_true(is_typing));
        accept_plain(y->s, y->receipt);
        return;
    }
    if (admission == ADMISSION_DENIED) {
        fail(y, ERR_DENIED, "that room is not yours");
        return;
    }
    struct call *c = call_begin(y->s, y->event, y->receipt, 0, on_may_type);
    if (!c)
        return;
    memcpy(c->subject, spot.room, sizeof spot.room);
    c->flag = json_is_true(is_typing);
    call_ask_right(c, view_of(spot.room));
}

static void set_presence(const struct saying *y)
{
    char status[16];
    struct acceptance r;
    if (!json_copy_string(json_get(y->argument, "status"), status, sizeof status) ||
        !presence_set(y->s->tenant->presence, y->s->sub, view_of(status))) {
        fail(y, ERR_INVALID, "status must be online, away or busy");
        return;
    }
    accept_begin(&r);
    jw_key_text(&r.w, "status", status);
    accept_send(y->s, y->receipt, &r);
}

/* --- rooms and the token --- */

static void move_room(const struct saying *y,
                      void (*move)(struct session *, struct view, const struct receipt *))
{
    char id[CONVERSATION_ID_MAX + 1], room[sizeof CONVERSATION_ROOM + CONVERSATION_ID_MAX];
    if (!read_conversation(y, id))
        return;
    snprintf(room, sizeof room, CONVERSATION_ROOM "%s", id);
    move(y->s, view_of(room), y->receipt);
}

static void join_conversation(const struct saying *y)
{
    move_room(y, client_join);
}

static void leave_conversation(const struct saying *y)
{
    move_room(y, client_leave);
}

static void refresh_token(const struct saying *y)
{
    char token[TOKEN_MAX_BYTES + 1];
    if (json_copy_string(json_get(y->argument, "token"), token, sizeof token))
        client_refresh(y->s, view_of(token), y->receipt);
    else
        fail(y, ERR_INVALID, "token must be a string of at most 8192 bytes");
}

/* --- the table --- */

/* name, what it does, whether it is about conversations */
#define CLIENT_EVENTS(X)                              \
    X("send_message", send_message, true)             \
    X("mark_read", mark_read, true)                   \
    X("typing", say_typing, false)                    \
    X("set_presence", set_presence, false)            \
    X("join_conversation", join_conversation, true)   \
    X("leave_conversation", leave_conversation, true) \
    X("refresh_token", refresh_token, false)

static const struct client_row {
    const char *name;
    void (*take)(const struct saying *y);
    bool of_conversations;
} rows[] = {
#define X(name, take, of_conversations) {name, take, of_conversations},
    CLIENT_EVENTS(X)
#undef X
};

static const struct client_row *find(const struct policy *policy, struct view name)
{
    for (size_t i = 0; i < countof(rows); i++)
        if ((policy->agent_portal || !rows[i].of_conversations) && json_type(name) == JSON_STRING &&
            json_string_is(name, rows[i].name))
            return &rows[i];
    return NULL;
}

bool client_event(struct session *s, struct view name, const struct arguments *args,
                  const struct receipt *receipt)
{
    const struct client_row *row = find(s->hub->policy, name);
    if (!row)
        return profile_event(s, name, args, receipt);
    row->take(&(struct saying){s, row->name, args->items[0], receipt});
    return true;
}

bool client_binary_event(struct session *s, struct view name, const struct receipt *receipt)
{
    const struct client_row *row = find(s->hub->policy, name);
    const char *event = row ? row->name : profile_event_name(s->hub->policy, name);
    if (event)
        refuse_because(s, event, receipt, ERR_INVALID, "binary values are not taken");
    return event != NULL;
}
