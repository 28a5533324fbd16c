#include "state-manager/rpc/commands.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/list.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/core/record.h"
#include "state-manager/meters.h"
#include <stdio.h>
#include <stdlib.h>

enum { SETTLE_MAX = 256 };

/* What a tenant has under way. */
struct load {
    char tenant_id[TENANT_ID_MAX + 1];
    size_t count, bytes;
};

/* Who waits for a job. */
struct asker {
    struct list node;
    struct commands *commands;
    struct load *load;
    size_t bytes;
    uint64_t delivery_tag;
    int connection;
    struct view reply_to, correlation_id; /* owned */
};

struct commands {
    struct commands_options options;
    struct mailbox *settled; /* jobs that the committer is done with */
    struct list askers;
    struct map loads; /* tenant -> struct load; those with something under way */
    size_t count, bytes;
};

struct commands *commands_create(const struct commands_options *options)
{
    struct commands *c = xcalloc(1, sizeof *c);
    c->options = *options;
    if (c->options.under_way_max > COMMANDS_UNDER_WAY_MAX)
        c->options.under_way_max = COMMANDS_UNDER_WAY_MAX;
    list_init(&c->askers);
    map_init(&c->loads);
    /* A lane may hold half: so there is room for all that is under way, in whichever lane. */
    c->settled = mailbox_create(c->options.under_way_max * 2, NULL, NULL);
    mailbox_fd(c->settled);
    return c;
}

static struct view copy(struct view v)
{
    return (struct view){v.n ? xstrndup(v.p, v.n) : NULL, v.n};
}

static void forget(struct commands *c, struct asker *a)
{
    c->count--;
    c->bytes -= a->bytes;
    a->load->bytes -= a->bytes;
    if (!--a->load->count) {
        map_remove(&c->loads, view_of(a->load->tenant_id));
        free(a->load);
    }
    list_unlink(&a->node);
    free((char *)a->reply_to.p);
    free((char *)a->correlation_id.p);
    free(a);
}

void commands_destroy(struct commands *c)
{
    if (!c)
        return;
    while (!list_empty(&c->askers))
        forget(c, container_of(c->askers.next, struct asker, node));
    mailbox_destroy(c->settled, job_discard);
    map_free(&c->loads);
    free(c);
}

size_t commands_most(const struct commands *c)
{
    return c->options.under_way_max;
}

/* --- from a request to a job -----------------------------------------------------------------------------
 */

bool commands_is_one(struct view request)
{
    struct view op = json_get(request, "op");
    return json_type(op) == JSON_STRING && json_string_is(op, "command");
}

static bool is_there(struct view value)
{
    return json_type(value) != JSON_NONE && json_type(value) != JSON_NULL;
}

static bool read_conversation(const struct commands *c, struct view request, struct job *job, struct err *err)
{
    struct view id = json_get(request, "conversationId");
    (void)c;
    if (json_type(id) != JSON_STRING)
        return err_set(err, ERR_INVALID, "conversationId is missing");
    return (json_copy_string(id, job->id, sizeof job->id) &&
            view_is_name(view_of(job->id), sizeof job->id, "_-")) ||
           err_set(err, ERR_NOT_FOUND, "no such conversation");
}

static bool read_session(const struct commands *c, struct view request, struct job *job, struct err *err)
{
    (void)request;
    (void)err;
    job->profiles = c->options.profiles;
    return true;
}

/* --- a write on a profile's resource --- */

static bool is_write(const struct operation *o)
{
    return o &&
           (o->kind == DO_CREATE || o->kind == DO_REPLACE || o->kind == DO_UPDATE || o->kind == DO_DELETE);
}

static bool read_operation(const struct commands *c, struct view name, struct job *job, struct err *err)
{
    struct view plain;
    if (json_plain_string(name, &plain))
        job->operation = profiles_operation(c->options.profiles, plain);
    return is_write(job->operation) || err_set(err, ERR_INVALID, "operation is none that writes");
}

/* Clients say them: what they name has to be text. */
static bool check_params(struct view params, struct err *err)
{
    struct view name, plain, value;
    char text[RECORD_TEXT_SIZE];
    if (json_type(params) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "params must be an object");
    for (struct json_iter it = json_iter(params); json_next_member(&it, &name, &value);)
        if (!json_copy_string(value, text, sizeof text) || !record_id_valid(view_of(text))) {
            if (!json_plain_string(name, &plain) || !view_is_name(plain, PROFILE_NAME_MAX, "_-"))
                plain = VIEW("a parameter");
            return err_set(err, ERR_INVALID, "%.*s must be a string of 1 to %d bytes", VIEW_ARG(plain),
                           RECORD_ID_MAX);
        }
    return true;
}

/* The token that the gateway has checked is of the command's author in its tenant. */
static bool check_claims(struct view claims, const struct job *job, struct err *err)
{
    return (json_type(claims) == JSON_OBJECT && json_string_is(json_get(claims, "sub"), job->author) &&
            json_string_is(json_get(claims, "tenantId"), job->tenant_id)) ||
           err_set(err, ERR_INVALID, "claims are not the author's");
}

static bool read_write(const struct commands *c, struct view request, struct job *job, struct err *err)
{
    struct view params = json_get(request, "params"), claims = json_get(request, "claims");
    if (!params.n)
        params = VIEW("{}");
    if (!read_operation(c, json_get(request, "operation"), job, err) || !check_params(params, err) ||
        !check_claims(claims, job, err))
        return false;
    if (!job->operation->any_body && json_type(json_get(request, "body")) == JSON_NULL)
        job->body_n = 0;
    job->params = xstrndup(params.p, params.n);
    job->claims = xstrndup(claims.p, claims.n);
    return true;
}

/* name, command, what more it says */
static const struct {
    const char *name;
    enum command_type type;
    bool (*read)(const struct commands *c, struct view request, struct job *job, struct err *err);
} kinds[] = {
    {"send_message", COMMAND_OUTBOUND, read_conversation},
    {"mark_read", COMMAND_READ, read_conversation},
    {"session", COMMAND_SESSION, read_session},
    {"write", COMMAND_WRITE, read_write},
};

static bool read_kind(const struct commands *c, struct view request, struct job *job, struct err *err)
{
    struct view name = json_get(request, "command");
    for (size_t i = 0; json_type(name) == JSON_STRING && i < countof(kinds); i++)
        if (json_string_is(name, kinds[i].name)) {
            job->command = kinds[i].type;
            return kinds[i].read(c, request, job, err);
        }
    return err_set(err, ERR_INVALID, "no such command");
}

/* A key is the author's own, the same as over REST where REST could carry it: visible ASCII. Any other, and
 * the message's own id, begins with a blank and so is none of those. */
static bool read_key(struct view key, struct view message_id, struct job *job, struct err *err)
{
    struct buf text;
    char digest[24];
    bool ok = true, given = is_there(key);
    buf_init(&text, IDEMPOTENCY_KEY_MAX * 8);
    if (given)
        ok = json_type(key) == JSON_STRING && json_decode_string(key, &text) && text.len;
    else
        buf_add_view(&text, message_id);
    bool plain = text.len <= IDEMPOTENCY_KEY_MAX;
    for (size_t i = 0; i < text.len; i++)
        plain = plain && text.data[i] > 0x20 && text.data[i] < 0x7f;
    crypto_name_id(given ? " k:" : " m:", buf_view(&text), digest);
    if (text.len)
        snprintf(job->idempotency_key, sizeof job->idempotency_key, "%s",
                 given && plain ? buf_view(&text).p : digest);
    buf_free(&text);
    return ok || err_set(err, ERR_INVALID, "key must be a string of 1 to %d bytes", IDEMPOTENCY_KEY_MAX * 8);
}

static bool read_job(struct commands *c, struct view request, struct view message_id, struct job *job,
                     struct err *err)
{
    struct view body = json_get(request, "body");
    if (!json_copy_string(json_get(request, "tenantId"), job->tenant_id, sizeof job->tenant_id) ||
        !tenant_id_valid(view_of(job->tenant_id)))
        return err_set(err, ERR_INVALID, "tenantId is missing or breaks its rule");
    if (!json_copy_string(json_get(request, "author"), job->author, sizeof job->author) || !*job->author)
        return err_set(err, ERR_INVALID, "author is missing or over %d bytes", TOKEN_NAME_MAX);
    if (body.n > c->options.body_max)
        return err_set(err, ERR_TOO_LARGE, "the body is over %zu bytes", c->options.body_max);
    job->body = xstrndup(body.p, body.n);
    job->body_n = body.n;
    return read_kind(c, request, job, err) && read_key(json_get(request, "key"), message_id, job, err);
}

/* --- under way -------------------------------------------------------------------------------------------
 */

static bool refuse(struct err *err, bool limited)
{
    count(METER_QUEUE_FULL, 1);
    return limited ? err_set(err, ERR_LIMITED, "too many calls of yours are waiting")
                   : err_set(err, ERR_UNAVAILABLE, "too many calls are waiting");
}

static bool has_room(const struct commands *c, const struct load *load, size_t bytes, struct err *err)
{
    if (load &&
        (load->count >= (c->options.under_way_max + 3) / 4 || load->bytes + bytes > COMMANDS_BYTES_MAX / 4))
        return refuse(err, true);
    return (c->count < c->options.under_way_max && c->bytes + bytes <= COMMANDS_BYTES_MAX) ||
           refuse(err, false);
}

/* On the committer's thread. There is room for all that is under way. */
static void on_settled(void *ctx, struct job *job)
{
    struct asker *a = ctx;
    if (!mailbox_push(a->commands->settled, a->delivery_tag, &job->letter))
        job_destroy(job);
}

static struct asker *remember(struct commands *c, const struct job *job,
                              const struct broker_message *delivery, int connection)
{
    struct load *load = map_get(&c->loads, view_of(job->tenant_id));
    struct asker *a = xcalloc(1, sizeof *a);
    if (!load) {
        load = xcalloc(1, sizeof *load);
        snprintf(load->tenant_id, sizeof load->tenant_id, "%s", job->tenant_id);
        map_put(&c->loads, view_of(load->tenant_id), load);
    }
    *a = (struct asker){.commands = c,
                        .load = load,
                        .bytes = job->body_n,
                        .delivery_tag = delivery->delivery_tag,
                        .connection = connection,
                        .reply_to = copy(delivery->reply_to),
                        .correlation_id = copy(delivery->correlation_id)};
    list_init(&a->node);
    list_append(&c->askers, &a->node);
    load->count++;
    load->bytes += a->bytes;
    c->count++;
    c->bytes += a->bytes;
    return a;
}

bool commands_submit(struct commands *c, struct view request, const struct broker_message *delivery,
                     int connection, struct err *err)
{
    struct job *job = job_create(JOB_COMMAND, 0);
    if (!read_job(c, request, delivery->message_id, job, err) ||
        !has_room(c, map_get(&c->loads, view_of(job->tenant_id)), job->body_n, err)) {
        job_destroy(job);
        return false;
    }
    struct asker *a = remember(c, job, delivery, connection);
    job->on_settled = on_settled;
    job->settled_ctx = a;
    if (mailbox_push(jobs_writes(c->options.jobs), map_hash(view_of(job->tenant_id)), &job->letter))
        return true;
    forget(c, a);
    job_destroy(job);
    return refuse(err, false);
}

int commands_fd(struct commands *c)
{
    return mailbox_fd(c->settled);
}

bool commands_settle(struct commands *c, bool (*fn)(void *ctx, const struct settled *s, struct err *err),
                     void *ctx, struct err *err)
{
    bool ok = true;
    for (struct letter *l = mailbox_drain(c->settled, SETTLE_MAX), *next; l; l = next) {
        struct job *job = job_of(l);
        struct asker *a = job->settled_ctx;
        next = l->next;
        job_hide_error(job);
        struct settled settled = {a->reply_to, a->correlation_id, a->delivery_tag, a->connection, job};
        ok = ok && fn(ctx, &settled, err);
        forget(c, a);
        job_destroy(job);
    }
    return ok;
}
