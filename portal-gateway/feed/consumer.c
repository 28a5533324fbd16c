#include "portal-gateway/feed/consumer.h"
#include "portal-gateway/core/letters.h"
#include "portal-gateway/core/meters.h"
#include "shared/backoff.h"
#include "shared/broker.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "shared/worker.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_PREFIX "waba.agent-portal.events."

enum {
    ORDERS_MAX = 16384,
    ORDERS_PER_TURN = 256,
    PREFETCH = 512,
    GATHER_MAX = 64, /* deliveries that go to the loop together */
    PUSH_MS = 2000,  /* shorter than the heartbeat */
    IDLE_MS = 1000,
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MOST_MS = 2500,
    QUEUE_NAME_MAX = 128,
    KEY_SIZE = sizeof "tenant..#" + TENANT_ID_MAX
};

enum order_kind { ORDER_BIND, ORDER_UNBIND, ORDER_BIND_ALL, ORDER_BIND_BEATS };

struct order {
    struct letter letter;
    enum order_kind kind;
    char tenant_id[TENANT_ID_MAX + 1];
};

struct consumer {
    struct worker *worker;     /* the loop's handle */
    const struct worker *self; /* the thread's own */
    struct broker *broker;
    struct mailbox *orders, *inbox;
    char *exchange, *queue_base;
    char queue[QUEUE_NAME_MAX];
    int64_t queue_messages, queue_bytes;
    unsigned starts;
    struct map wanted; /* tenant ids; the values are not used */
    bool all;          /* `tenant.#` is bound, or will be */
    struct backoff backoff;
    int wake_fd;
    struct news *batch[GATHER_MAX]; /* one per tenant */
    struct record **tails[GATHER_MAX];
    size_t batch_count;
    char *beats_exchange; /* NULL: nobody is heard */
    struct peer_keys keys;
};

static char wanted_mark; /* its address is the value of every key in `wanted` */

/* --- telling the loop --- */

static bool tell(struct consumer *c, struct news *n, struct err *err)
{
    if (mailbox_push_wait(c->inbox, map_hash(view_of(n->tenant_id)), &n->letter, PUSH_MS))
        return true;
    news_destroy(n);
    meter_add(INBOX_FULL, 1);
    return err_set(err, ERR_TIMEOUT, "the loop does not take its letters");
}

static bool tell_batch(struct consumer *c, struct err *err)
{
    bool fine = true;
    for (size_t i = 0; i < c->batch_count; i++) {
        if (fine)
            fine = tell(c, c->batch[i], err);
        else
            news_destroy(c->batch[i]);
    }
    c->batch_count = 0;
    return fine;
}

static void put_in_batch(struct consumer *c, struct record *r)
{
    size_t i = 0;
    while (i < c->batch_count && strcmp(c->batch[i]->tenant_id, r->event.tenant_id) != 0)
        i++;
    if (i == c->batch_count) {
        c->batch[i] = news_create(NEWS_EVENTS, r->event.tenant_id);
        c->tails[i] = &c->batch[i]->records;
        c->batch_count++;
    }
    *c->tails[i] = r;
    c->tails[i] = &r->next;
}

/* --- heartbeats --- */

static bool bind_beats(struct consumer *c, struct err *err)
{
    return !c->beats_exchange || (broker_declare_exchange(c->broker, c->beats_exchange, "fanout", err) &&
                                  broker_bind(c->broker, c->queue, c->beats_exchange, "", err));
}

static void take_beat(struct consumer *c, struct view body)
{
    struct err err = {0};
    struct news *n = news_create(NEWS_BEAT, NULL);
    n->beat = xcalloc(1, sizeof *n->beat);
    if (!beat_read(body, &c->keys, clock_wall_ms(), n->beat, &err)) {
        meter_add(BEATS_REFUSED, 1);
        log_warn("beat_refused", "gateway=\"%s\" code=%s why=\"%s\"", n->beat->gateway,
                 err_code_name(err.code), err.text);
        news_destroy(n);
        return;
    }
    tell(c, n, NULL);
}

/* --- bindings --- */

static void key_of(const char *tenant_id, char out[static KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "tenant.%s.#", tenant_id);
}

static bool bind(struct consumer *c, const char *tenant_id, struct err *err)
{
    char key[KEY_SIZE];
    key_of(tenant_id, key);
    return c->all || broker_bind(c->broker, c->queue, c->exchange, key, err);
}

static bool unbind(struct consumer *c, const char *tenant_id, struct err *err)
{
    char key[KEY_SIZE];
    key_of(tenant_id, key);
    return c->all || broker_unbind(c->broker, c->queue, c->exchange, key, err);
}

static bool bind_all(struct consumer *c, struct err *err)
{
    return broker_bind(c->broker, c->queue, c->exchange, "tenant.#", err);
}

static bool bind_wanted(struct consumer *c, struct err *err)
{
    struct view id;
    void *mark;
    if (c->all && !bind_all(c, err))
        return false;
    for (size_t at = 0; map_next(&c->wanted, &at, &id, &mark);) {
        char tenant_id[TENANT_ID_MAX + 1];
        if (view_copy(id, tenant_id, sizeof tenant_id) && !bind(c, tenant_id, err))
            return false;
    }
    return true;
}

static bool tell_bound(struct consumer *c, struct err *err)
{
    struct view id;
    void *mark;
    for (size_t at = 0; map_next(&c->wanted, &at, &id, &mark);) {
        char tenant_id[TENANT_ID_MAX + 1];
        if (view_copy(id, tenant_id, sizeof tenant_id) && !tell(c, news_create(NEWS_BOUND, tenant_id), err))
            return false;
    }
    return true;
}

/* A tenant that is bound already is bound again when the loop doubts it: somebody may have deleted the
 * exchange, and nobody is told of that. */
static bool bind_one(struct consumer *c, const char *tenant_id, bool again, struct err *err)
{
    return again && c->all ? bind_all(c, err) : bind(c, tenant_id, err);
}

static void remember(struct consumer *c, const struct order *o)
{
    switch (o->kind) {
    case ORDER_BIND:
        map_put(&c->wanted, view_of(o->tenant_id), &wanted_mark);
        return;
    case ORDER_UNBIND:
        map_remove(&c->wanted, view_of(o->tenant_id));
        return;
    case ORDER_BIND_ALL:
        c->all = true;
        return;
    case ORDER_BIND_BEATS:
        return;
    }
}

static bool carry_out(struct consumer *c, const struct order *o, bool again, struct err *err)
{
    switch (o->kind) {
    case ORDER_BIND:
        return bind_one(c, o->tenant_id, again, err) && tell(c, news_create(NEWS_BOUND, o->tenant_id), err);
    case ORDER_UNBIND:
        return unbind(c, o->tenant_id, err);
    case ORDER_BIND_ALL:
        return bind_all(c, err);
    case ORDER_BIND_BEATS:
        return bind_beats(c, err);
    }
    return true;
}

/* Without a connection orders are only remembered; the next one begins with what is wanted then. */
static bool obey_orders(struct consumer *c, struct err *err)
{
    bool fine = true, connected = broker_is_open(c->broker);
    struct letter *next, *letter = mailbox_drain(c->orders, ORDERS_PER_TURN);
    for (; letter; letter = next) {
        struct order *o = container_of(letter, struct order, letter);
        bool again = map_get(&c->wanted, view_of(o->tenant_id)) != NULL;
        next = letter->next;
        remember(c, o);
        if (connected && fine)
            fine = carry_out(c, o, again, err);
        free(o);
    }
    return fine;
}

/* --- deliveries --- */

/* The tenant of `tenant.<id>.<type>`. */
static struct view tenant_of_key(struct view key)
{
    struct view rest = key, word = {NULL, 0};
    view_split(&rest, '.', &word);
    view_split(&rest, '.', &word);
    return word;
}

static bool keys_agree(const struct record *r, struct view routing_key)
{
    char key[EVENT_ROUTING_KEY_SIZE];
    event_routing_key(r->event.tenant_id, r->event.type, key);
    return view_is(routing_key, key);
}

static void take(struct consumer *c, const struct broker_message *m)
{
    struct err err = {0};
    if (c->beats_exchange && view_is(m->exchange, c->beats_exchange)) {
        take_beat(c, m->body);
        return;
    }
    if (!map_get(&c->wanted, tenant_of_key(m->routing_key)))
        return;
    struct record *r = record_create(m->body, &err);
    if (r && !keys_agree(r, m->routing_key)) {
        err_set(&err, ERR_INVALID, "routing key and body name different tenants or types");
        record_destroy(r);
        r = NULL;
    }
    if (!r) {
        meter_add(POISON, 1);
        log_warn("poison", "key=\"%.*s\" bytes=%zu code=%s why=\"%s\"", VIEW_ARG(m->routing_key), m->body.n,
                 err_code_name(err.code), err.text);
        return;
    }
    meter_add(EVENTS, 1);
    put_in_batch(c, r);
}

/* Takes a delivery and what stands behind it already, hands all over and acks it at once. */
static bool take_all(struct consumer *c, struct broker_event *event, struct err *err)
{
    uint64_t last = event->message.delivery_tag;
    take(c, &event->message);
    for (int n = 1; n < GATHER_MAX && broker_has_more(c->broker); n++) {
        enum broker_happening next = broker_next(c->broker, 0, -1, event, err);
        if (next == BROKER_CLOSED || next == BROKER_CANCELLED) {
            tell_batch(c, NULL);
            return next == BROKER_CLOSED ? false : err_set(err, ERR_UNAVAILABLE, "the queue was deleted");
        }
        if (next != BROKER_DELIVERY)
            continue;
        last = event->message.delivery_tag;
        take(c, &event->message);
    }
    return tell_batch(c, err) && broker_ack(c->broker, last, true, err);
}

/* --- life of the connection --- */

static bool open(struct consumer *c, struct err *err)
{
    /* A name of its own for every connection: the broker may not have noticed the end of the one before, and
     * an exclusive queue is locked until then. */
    snprintf(c->queue, sizeof c->queue, c->starts ? "%s.%u" : "%s", c->queue_base, c->starts);
    c->starts++;
    struct broker_queue queue = {
        .name = c->queue, .exclusive = true, .max_length = c->queue_messages, .max_bytes = c->queue_bytes};
    return broker_open(c->broker, false, err) &&
           broker_declare_exchange(c->broker, c->exchange, "topic", err) &&
           broker_declare_queue(c->broker, &queue, err) && bind_wanted(c, err) && bind_beats(c, err) &&
           broker_consume(c->broker, c->queue, PREFETCH, err) && tell_bound(c, err) &&
           tell(c, news_create(NEWS_FEED_UP, NULL), err);
}

static bool turn(struct consumer *c, struct err *err)
{
    struct broker_event event;
    if (!obey_orders(c, err))
        return false;
    switch (broker_next(c->broker, IDLE_MS, c->wake_fd, &event, err)) {
    case BROKER_DELIVERY:
        return take_all(c, &event, err);
    case BROKER_CANCELLED:
        return err_set(err, ERR_UNAVAILABLE, "the queue was deleted");
    case BROKER_CLOSED:
        return false;
    case BROKER_NOTHING:
    case BROKER_ACK:
    case BROKER_NACK:
    case BROKER_RETURN:
    case BROKER_BLOCKED:
    case BROKER_UNBLOCKED:
        return true;
    }
    return true;
}

static void pause(struct consumer *c)
{
    struct err err;
    int64_t until = clock_mono_ms() + backoff_next_ms(&c->backoff);
    for (int64_t now; !worker_stopping(c->self) && (now = clock_mono_ms()) < until;) {
        mailbox_wait(c->orders, (int)(until - now));
        obey_orders(c, &err);
    }
}

static void run(struct worker *worker, void *ctx)
{
    struct consumer *c = ctx;
    struct err err = {0};
    c->self = worker;
    while (!worker_stopping(worker)) {
        if (open(c, &err)) {
            log_info("feed_up", "queue=%s tenants=%zu", c->queue, c->wanted.count);
            int64_t since_ms = clock_mono_ms();
            while (!worker_stopping(worker) && turn(c, &err))
                ;
            backoff_lasted(&c->backoff, clock_mono_ms() - since_ms);
            tell(c, news_create(NEWS_FEED_DOWN, NULL), NULL);
        }
        broker_close(c->broker);
        if (worker_stopping(worker))
            return;
        log_warn("feed_down", "code=%s why=\"%s\"", err_code_name(err.code), err.text);
        pause(c);
    }
}

/* --- the loop's side --- */

struct consumer *consumer_start(const struct consumer_options *options, struct err *err)
{
    char text[QUEUE_NAME_MAX - 16];
    snprintf(text, sizeof text, "portal-gateway %s feed", options->gateway_id);
    struct broker *broker = broker_create(options->url, text, err);
    if (!broker)
        return NULL;
    struct consumer *c = xcalloc(1, sizeof *c);
    c->broker = broker;
    c->inbox = options->inbox;
    c->exchange = xstrdup(options->exchange);
    snprintf(text, sizeof text, QUEUE_PREFIX "%s", options->gateway_id);
    c->queue_base = xstrdup(text);
    c->beats_exchange = options->beats_exchange ? xstrdup(options->beats_exchange) : NULL;
    c->keys = *options->keys;
    c->queue_messages = options->queue_messages;
    c->queue_bytes = options->queue_bytes;
    map_init(&c->wanted);
    c->orders = mailbox_create(ORDERS_MAX, NULL, NULL);
    c->wake_fd = mailbox_fd(c->orders);
    backoff_init(&c->backoff, BACKOFF_FIRST_MS, BACKOFF_MOST_MS);
    c->worker = worker_start("feed", run, c);
    return c;
}

static void discard(struct letter *letter)
{
    free(container_of(letter, struct order, letter));
}

void consumer_stop(struct consumer *c)
{
    if (!c)
        return;
    worker_stop(c->worker);
    mailbox_close(c->orders);
    worker_destroy(c->worker);
    mailbox_destroy(c->orders, discard);
    broker_destroy(c->broker);
    map_free(&c->wanted);
    free(c->exchange);
    free(c->beats_exchange);
    free(c->queue_base);
    free(c);
}

static void give(struct consumer *c, enum order_kind kind, const char *tenant_id)
{
    struct order *o = xcalloc(1, sizeof *o);
    o->kind = kind;
    if (tenant_id)
        memcpy(o->tenant_id, tenant_id, strnlen(tenant_id, TENANT_ID_MAX));
    /* One lane, because an unbind must not overtake a bind. */
    if (!mailbox_push(c->orders, 0, &o->letter)) {
        log_error("feed_orders_full", "tenant=%s", o->tenant_id);
        free(o);
    }
}

void consumer_bind(struct consumer *c, const char *tenant_id)
{
    give(c, ORDER_BIND, tenant_id);
}

void consumer_unbind(struct consumer *c, const char *tenant_id)
{
    give(c, ORDER_UNBIND, tenant_id);
}

void consumer_bind_all(struct consumer *c)
{
    give(c, ORDER_BIND_ALL, NULL);
}

void consumer_bind_beats(struct consumer *c)
{
    give(c, ORDER_BIND_BEATS, NULL);
}
