#include "portal-gateway/feed/rpc.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/feed/rpc_codec.h"
#include "shared/backoff.h"
#include "shared/broker.h"
#include "shared/clock.h"
#include "shared/list.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "shared/worker.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RPC_QUEUE "state-manager.rpc"

enum {
    QUESTIONS_MAX = 16384,
    QUESTIONS_PER_TURN = 256,
    ANSWER_MS = 5000,
    REPLAY_LIMIT = 500,
    REQUEST_MAX = 64 * 1024, /* 500 tenant ids */
    PUSH_MS = 2000,
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MOST_MS = 2500
};

/* A question on its way: by letter from the loop, then in `pending` until its answer or its deadline. */
struct question {
    struct letter letter;
    struct list in_pending;
    uint64_t id;
    int64_t deadline_ms;
    struct news
        *news; /* what will be told; its kind is the failure until there is an answer; NULL: nothing */
    /* of questions that the loop has written, and of what is published, and then that is all */
    const char *exchange;
    char *routing_key; /* owned */
    char *body;        /* owned */
    size_t body_n;
};

struct rpc {
    struct worker *worker;     /* the loop's handle */
    const struct worker *self; /* the thread's own */
    struct broker *broker;
    struct mailbox *questions, *inbox;
    struct list pending; /* in order of their deadlines */
    struct map by_id;    /* the same */
    struct backoff backoff;
    uint64_t next_id;
    int wake_fd;
    char *gateway_id, *beats_exchange, *events_exchange;
    bool blocked; /* the broker's alarm: what is asked meanwhile fails in its time */
};

static void tell(struct rpc *r, struct news *n)
{
    while (!mailbox_push_wait(r->inbox, map_hash(view_of(n->tenant_id)), &n->letter, PUSH_MS)) {
        meter_add(INBOX_FULL, 1);
        if (worker_stopping(r->self)) {
            news_destroy(n);
            return;
        }
    }
}

static struct view key_of(const uint64_t *id)
{
    return (struct view){(const char *)id, sizeof *id};
}

/* Tells the outcome, which stands in news->kind. */
static void finish(struct rpc *r, struct question *q)
{
    if (!list_empty(&q->in_pending)) {
        list_unlink(&q->in_pending);
        map_remove(&r->by_id, key_of(&q->id));
    }
    if (q->news)
        tell(r, q->news);
    free(q->routing_key);
    free(q->body);
    free(q);
}

static void fail_until(struct rpc *r, int64_t now)
{
    list_foreach(node, &r->pending)
    {
        struct question *q = container_of(node, struct question, in_pending);
        if (q->deadline_ms > now)
            return;
        finish(r, q);
    }
}

static struct question *find(struct rpc *r, struct view id)
{
    uint64_t wanted;
    return view_u64(id, UINT64_MAX, &wanted) ? map_get(&r->by_id, key_of(&wanted)) : NULL;
}

/* What wants no answer. */
static bool publish_only(struct rpc *r, const struct question *q, struct err *err)
{
    struct broker_message m = {.exchange = view_of(q->exchange),
                               .routing_key = view_of(q->routing_key),
                               .body = {q->body, q->body_n}};
    return broker_publish(r->broker, &m, NULL, err);
}

static void write_question(const struct question *q, struct buf *out)
{
    if (q->news->kind == NEWS_HEADS_FAILED)
        rpc_write_heads(out, q->news->heads);
    else
        rpc_write_replay(out, q->news->tenant_id, &q->news->replay.after, REPLAY_LIMIT);
}

static bool publish(struct rpc *r, struct question *q, struct err *err)
{
    struct buf body; /* of what is not written yet */
    char id[24], message_id[64];
    int n = snprintf(id, sizeof id, "%" PRIu64, q->id);
    int m_n = snprintf(message_id, sizeof message_id, "%s-%s", r->gateway_id, id);
    buf_init(&body, REQUEST_MAX);
    if (!q->body)
        write_question(q, &body);
    struct broker_message m = {.exchange = VIEW(""),
                               .routing_key = VIEW(RPC_QUEUE),
                               .body = q->body ? (struct view){q->body, q->body_n} : buf_view(&body),
                               .message_id = {message_id, (size_t)m_n},
                               .correlation_id = {id, (size_t)n},
                               .reply_to = VIEW(BROKER_REPLY_TO),
                               .expiration_ms = ANSWER_MS,
                               .mandatory = true};
    bool fine = broker_publish(r->broker, &m, NULL, err);
    buf_free(&body);
    free(q->body); /* it may be large, and is needed once */
    q->body = NULL;
    return fine;
}

/* Sends what the loop has asked; what cannot be sent fails with the others when the connection is given up.
 */
static bool send_questions(struct rpc *r, struct err *err)
{
    bool fine = true;
    struct letter *next, *letter = mailbox_drain(r->questions, QUESTIONS_PER_TURN);
    for (; letter; letter = next) {
        struct question *q = container_of(letter, struct question, letter);
        next = letter->next;
        if (!q->news) {
            fine = fine && (r->blocked || publish_only(r, q, err));
            finish(r, q);
            continue;
        }
        q->id = ++r->next_id;
        q->deadline_ms = clock_mono_ms() + ANSWER_MS;
        list_append(&r->pending, &q->in_pending);
        map_put(&r->by_id, key_of(&q->id), q);
        fine = fine && (r->blocked || publish(r, q, err));
    }
    return fine;
}

/* Reads the answer into the news; false: it stays the failure that it is. */
static bool read_answer(struct news *n, struct view body, struct err *err)
{
    if (n->kind == NEWS_ANSWER) {
        n->text = xstrndup(body.p, body.n);
        n->text_n = body.n;
        return true;
    }
    if (n->kind == NEWS_HEADS_FAILED) {
        if (!rpc_read_heads(body, n->heads, err))
            return false;
        n->kind = NEWS_HEADS;
        return true;
    }
    if (!rpc_read_replay(body, &n->replay, err))
        return false;
    n->kind = n->kind == NEWS_PAST_FAILED ? NEWS_PAST : NEWS_REPLAY;
    return true;
}

static void on_answer(struct rpc *r, const struct broker_message *m)
{
    struct question *q = find(r, m->correlation_id);
    struct err err;
    if (!q)
        return; /* too late */
    if (!read_answer(q->news, m->body, &err))
        log_warn("rpc_refused", "code=%s why=\"%s\"", err_code_name(err.code), err.text);
    finish(r, q);
}

/* One wait for something to happen; false: the connection is lost. */
static bool turn(struct rpc *r, struct err *err)
{
    struct broker_event event;
    struct question *q;
    if (!send_questions(r, err))
        return false;
    fail_until(r, clock_mono_ms());
    enum broker_happening what =
        broker_next(r->broker, list_empty(&r->pending) ? 1000 : 100, r->wake_fd, &event, err);
    switch (what) {
    case BROKER_DELIVERY:
        on_answer(r, &event.message);
        return true;
    case BROKER_RETURN: /* no such queue: no state-manager has ever been here */
        if ((q = find(r, event.message.correlation_id)))
            finish(r, q);
        return true;
    case BROKER_CANCELLED:
        return err_set(err, ERR_UNAVAILABLE, "the broker cancelled the answers");
    case BROKER_CLOSED:
        return false;
    case BROKER_BLOCKED:
    case BROKER_UNBLOCKED:
        r->blocked = what == BROKER_BLOCKED;
        log_warn("rpc_blocked", "blocked=%d", r->blocked);
        return true;
    case BROKER_NOTHING:
    case BROKER_ACK:
    case BROKER_NACK:
        return true;
    }
    return true;
}

/* Answers questions as failed while there is no connection. */
static void pause(struct rpc *r)
{
    int64_t until = clock_mono_ms() + backoff_next_ms(&r->backoff);
    for (int64_t now; !worker_stopping(r->self) && (now = clock_mono_ms()) < until;) {
        struct letter *next, *letter;
        mailbox_wait(r->questions, (int)(until - now));
        for (letter = mailbox_drain(r->questions, QUESTIONS_PER_TURN); letter; letter = next) {
            next = letter->next;
            finish(r, container_of(letter, struct question, letter));
        }
    }
}

static bool open(struct rpc *r, struct err *err)
{
    return broker_open(r->broker, false, err) &&
           broker_declare_exchange(r->broker, r->events_exchange, "topic", err) &&
           (!r->beats_exchange || broker_declare_exchange(r->broker, r->beats_exchange, "fanout", err)) &&
           broker_consume(r->broker, BROKER_REPLY_TO, 0, err);
}

static void run(struct worker *worker, void *ctx)
{
    struct rpc *r = ctx;
    struct err err;
    r->self = worker;
    while (!worker_stopping(worker)) {
        if (open(r, &err)) {
            int64_t since_ms = clock_mono_ms();
            r->blocked = false;
            log_info("rpc_up", "queue=%s", RPC_QUEUE);
            tell(r, news_create(NEWS_RPC_UP, NULL));
            while (!worker_stopping(worker) && turn(r, &err))
                ;
            backoff_lasted(&r->backoff, clock_mono_ms() - since_ms);
            if (worker_stopping(worker) && !send_questions(r, &err)) /* the last heartbeat among them */
                log_debug("rpc_unsaid", "why=\"%s\"", err.text);
            tell(r, news_create(NEWS_RPC_DOWN, NULL));
        }
        broker_close(r->broker);
        fail_until(r, INT64_MAX);
        if (worker_stopping(worker))
            return;
        log_warn("rpc_down", "code=%s why=\"%s\"", err_code_name(err.code), err.text);
        pause(r);
    }
}

struct rpc *rpc_start(const struct rpc_options *options, struct err *err)
{
    char name[64];
    snprintf(name, sizeof name, "portal-gateway %s rpc", options->gateway_id);
    struct broker *broker = broker_create(options->url, name, err);
    if (!broker)
        return NULL;
    struct rpc *r = xcalloc(1, sizeof *r);
    r->broker = broker;
    r->inbox = options->inbox;
    r->gateway_id = xstrdup(options->gateway_id);
    r->events_exchange = xstrdup(options->exchange);
    r->beats_exchange = options->beats_exchange ? xstrdup(options->beats_exchange) : NULL;
    r->questions = mailbox_create(QUESTIONS_MAX, NULL, NULL);
    r->wake_fd = mailbox_fd(r->questions);
    list_init(&r->pending);
    map_init(&r->by_id);
    backoff_init(&r->backoff, BACKOFF_FIRST_MS, BACKOFF_MOST_MS);
    r->worker = worker_start("rpc", run, r);
    return r;
}

static void discard(struct letter *letter)
{
    struct question *q = container_of(letter, struct question, letter);
    news_destroy(q->news);
    free(q->routing_key);
    free(q->body);
    free(q);
}

void rpc_stop(struct rpc *r)
{
    if (!r)
        return;
    worker_stop(r->worker);
    mailbox_close(r->questions);
    worker_destroy(r->worker);
    mailbox_destroy(r->questions, discard);
    map_free(&r->by_id);
    broker_destroy(r->broker);
    free(r->gateway_id);
    free(r->events_exchange);
    free(r->beats_exchange);
    free(r);
}

/* Takes both. */
static void ask(struct rpc *r, struct news *n, char *body, size_t body_n)
{
    struct question *q = xcalloc(1, sizeof *q);
    q->news = n;
    q->body = body;
    q->body_n = body_n;
    list_init(&q->in_pending);
    if (mailbox_push(r->questions, map_hash(view_of(n->tenant_id)), &q->letter))
        return;
    free(q->body);
    free(q);
    if (!mailbox_push(r->inbox, map_hash(view_of(n->tenant_id)), &n->letter))
        news_destroy(n);
}

void rpc_ask_heads(struct rpc *r, struct heads *heads)
{
    struct news *n = news_create(NEWS_HEADS_FAILED, NULL);
    n->heads = heads;
    ask(r, n, NULL, 0);
}

static void ask_log(struct rpc *r, enum news_kind kind, const char *tenant_id, const struct position *after)
{
    struct news *n = news_create(kind, tenant_id);
    n->replay.after = *after;
    ask(r, n, NULL, 0);
}

void rpc_ask_replay(struct rpc *r, const char *tenant_id, const struct position *after)
{
    ask_log(r, NEWS_REPLAY_FAILED, tenant_id, after);
}

void rpc_ask_past(struct rpc *r, const char *tenant_id, const struct position *after)
{
    ask_log(r, NEWS_PAST_FAILED, tenant_id, after);
}

void rpc_ask(struct rpc *r, const char *tenant_id, uint64_t token, struct view request)
{
    struct news *n = news_create(NEWS_ANSWER, tenant_id);
    n->token = token;
    ask(r, n, xstrndup(request.p, request.n), request.n);
}

static void say(struct rpc *r, uint64_t lane, const char *exchange, const char *routing_key, struct view body)
{
    struct question *q = xcalloc(1, sizeof *q);
    list_init(&q->in_pending);
    q->exchange = exchange;
    q->routing_key = xstrdup(routing_key);
    q->body = xstrndup(body.p, body.n);
    q->body_n = body.n;
    if (!mailbox_push(r->questions, lane, &q->letter))
        discard(&q->letter);
}

void rpc_beat(struct rpc *r, struct view body)
{
    say(r, 0, r->beats_exchange, "", body);
}

void rpc_publish(struct rpc *r, const char *tenant_id, const char *type, struct view body)
{
    char routing_key[EVENT_ROUTING_KEY_SIZE];
    event_routing_key(tenant_id, type, routing_key);
    say(r, map_hash(view_of(tenant_id)), r->events_exchange, routing_key, body);
}
