#include "state-manager/outbox/relay.h"
#include "shared/backoff.h"
#include "shared/broker.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/core/figures.h"
#include "state-manager/meters.h"
#include "state-manager/outbox/enrich.h"
#include "state-manager/outbox/lanes.h"
#include "state-manager/outbox/publisher.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    NEWS_MAX = 8192,
    SWEEP_MS = 2000,
    POLL_MS = 500, /* heartbeats want to be served */
    ROOM_MS = 10,  /* how soon to look again whether the socket has room */
    UNREAD_RETRY_MS = 500,
    CONFIRM_MS = 10000 /* without any confirm, though some are due: they are lost */
};

struct news {
    struct letter letter;
    char tenant_id[TENANT_ID_MAX + 1];
};

struct relay {
    struct publisher out;
    struct jobs *jobs;
    struct mailbox *news;
    atomic_bool connected;
    bool blocked;    /* the broker's alarm: nothing is sent */
    bool failed;     /* since the last confirm: wait before the next try */
    struct err said; /* why the last try to connect failed */
    struct backoff backoff;
    struct lanes lanes;
    int64_t sweep_at_ms;
    int64_t even_ms; /* monotonic: when the broker confirmed something, or had nothing to confirm */
};

struct relay *relay_create(const struct relay_options *options, struct err *err)
{
    struct relay *r = xcalloc(1, sizeof *r);
    r->out.exchange = xstrdup(options->exchange);
    r->out.store = options->store;
    r->jobs = options->jobs;
    atomic_init(&r->connected, false);
    backoff_init(&r->backoff, 200, 2500);
    lanes_init(&r->lanes);
    window_init(&r->out.window);
    buf_init(&r->out.batch, 4 * (size_t)ENTRY_BYTES_MAX);
    buf_init(&r->out.kept.bytes, 4 * (size_t)ENTRY_BYTES_MAX);
    r->news = mailbox_create(NEWS_MAX, NULL, NULL);
    mailbox_fd(r->news);
    r->out.broker = broker_create(options->amqp_url, "state-manager relay", err);
    if (!r->out.broker) {
        relay_destroy(r);
        return NULL;
    }
    return r;
}

static void discard_news(struct letter *letter)
{
    free(container_of(letter, struct news, letter));
}

void relay_destroy(struct relay *r)
{
    if (!r)
        return;
    lanes_finish(&r->lanes);
    mailbox_destroy(r->news, discard_news);
    window_finish(&r->out.window);
    buf_free(&r->out.batch);
    buf_free(&r->out.kept.bytes);
    broker_destroy(r->out.broker);
    store_close(r->out.store);
    free(r->out.exchange);
    free(r);
}

void relay_nudge(void *relay, const char *tenant_id)
{
    struct relay *r = relay;
    struct news *news = xcalloc(1, sizeof *news);
    snprintf(news->tenant_id, sizeof news->tenant_id, "%s", tenant_id);
    if (!mailbox_push(r->news, map_hash(view_of(tenant_id)), &news->letter))
        free(news);
}

void relay_wake(struct relay *r)
{
    mailbox_close(r->news);
}

bool relay_connected(const struct relay *r)
{
    return atomic_load(&r->connected);
}

/* --- what there is to do ---------------------------------------------------------------------------------
 */

static void take_news(struct relay *r)
{
    for (struct letter *l = mailbox_drain(r->news, NEWS_MAX), *next; l; l = next) {
        next = l->next;
        struct news *news = container_of(l, struct news, letter);
        struct err err;
        struct lane *lane = lanes_get(&r->lanes, r->out.store, news->tenant_id, &err);
        if (lane) {
            lane->figures_dirty = true;
            lanes_make_due(&r->lanes, lane);
        } else {
            log_warn("relay_store", "text=\"%s\"", err.text); /* the sweep will find it again */
        }
        free(news);
    }
}

struct sweep {
    struct relay *r;
    int64_t tenants;
};

static bool on_unpublished(void *ctx, const char *tenant_id, const struct head *head)
{
    struct sweep *sweep = ctx;
    (void)head;
    sweep->tenants++;
    relay_nudge(sweep->r, tenant_id); /* not here: the statement of the walk is open */
    return true;
}

/* Finds what was committed but never announced to us: after a start, or when a nudge was lost. */
static void sweep(struct relay *r, int64_t now)
{
    struct sweep s = {r, 0};
    struct err err;
    if (now < r->sweep_at_ms)
        return;
    r->sweep_at_ms = now + SWEEP_MS;
    if (!r->out.store->ops->unpublished(r->out.store, on_unpublished, &s, &err))
        log_warn("relay_store", "text=\"%s\"", err.text);
    metric_set(&meters[METER_BACKLOG], s.tenants);
    lanes_drop_idle(&r->lanes, now);
}

static bool can_publish(struct relay *r)
{
    return !r->blocked && !window_full(&r->out.window) && publisher_has_room(&r->out);
}

/* The broker has nothing to do with it: the lane waits, and all else goes on. */
static void put_off(struct relay *r, struct lane *lane, int64_t now, const struct err *err)
{
    log_warn("relay_store", "tenant=%s text=\"%s\"", lane->tenant_id, err->text);
    r->out.unread = false;
    lane->retry_at_ms = now + UNREAD_RETRY_MS;
}

/* One turn over the lanes that are due. False: the broker failed. */
static bool publish_due(struct relay *r, struct err *err)
{
    int64_t now = clock_mono_ms();
    lanes_take_waiting(&r->lanes, now);
    list_foreach(node, &r->lanes.due)
    {
        struct lane *lane = container_of(node, struct lane, node);
        if (!can_publish(r))
            return true;
        lane_set_window(lane, crowd_has_others(jobs_crowd(r->jobs), lane->hash, now * 1000));
        if (now < lane->retry_at_ms || lane_is_full(lane))
            continue;
        if ((lane->more && !publish_lane(&r->out, lane, err)) || !publish_figures(&r->out, lane, now, err)) {
            if (!r->out.unread)
                return false;
            put_off(r, lane, now, err);
            return true; /* a store that hangs is asked once a turn: the broker is listened to in between */
        }
        lanes_settle(&r->lanes, lane, now);
    }
    return true;
}

/* --- confirms --------------------------------------------------------------------------------------------
 */

static void on_confirmed(void *ctx, void *owner, uint64_t entry, uint64_t figures_rev)
{
    (void)ctx;
    struct lane *lane = owner;
    lane->in_flight -= !entry && lane->in_flight;
    if (entry)
        lanes_confirm(lane, entry);
    else if (figures_rev)
        lane->figures_confirmed = figures_rev;
    else
        count(METER_EVENTS_PUBLISHED, 1);
}

static void on_refused(void *ctx, void *owner, size_t messages)
{
    struct relay *r = ctx;
    struct lane *lane = owner;
    count(METER_EVENTS_REPUBLISHED, (int64_t)messages);
    if (!lane->refused)
        log_warn("relay_refused", "tenant=%s messages=%zu", lane->tenant_id, messages);
    lanes_refuse(&r->lanes, lane, clock_mono_ms());
}

static void set_connected(struct relay *r, bool connected)
{
    atomic_store(&r->connected, connected);
    metric_set(&meters[METER_BROKER_UP], connected);
}

static void set_blocked(struct relay *r, bool blocked)
{
    log_warn("relay_blocked", "blocked=%d", blocked);
    r->blocked = blocked;
    set_connected(r, !blocked);
}

static void disconnect(struct relay *r, const struct err *err)
{
    log_warn("relay_disconnected", "code=%s text=\"%s\"", err_code_name(err->code), err->text);
    set_connected(r, false);
    broker_close(r->out.broker);
    r->blocked = r->out.stuffed = false;
    r->failed = true;
    /* Nothing of what was in flight counts: it goes out again. */
    count(METER_EVENTS_REPUBLISHED, (int64_t)window_drop(&r->out.window));
    lanes_start_over(&r->lanes);
}

/* Somebody may have declared the queue otherwise; then it is his, and events go out without it. */
static bool declare_enriched(struct relay *r, struct err *err)
{
    struct broker_queue queue = {.name = ENRICHED_QUEUE, .durable = true};
    r->out.enriches = broker_declare_queue(r->out.broker, &queue, err);
    if (r->out.enriches)
        return true;
    log_warn("relay_without_enriched", "code=%s text=\"%s\"", err_code_name(err->code), err->text);
    broker_close(r->out.broker);
    return broker_open(r->out.broker, true, err);
}

static bool connect_broker(struct relay *r, struct err *err)
{
    if (!broker_open(r->out.broker, true, err) || !declare_enriched(r, err) ||
        !broker_declare_exchange(r->out.broker, r->out.exchange, "topic", err))
        return false;
    set_connected(r, true);
    r->even_ms = clock_mono_ms();
    r->said = (struct err){0};
    log_info("relay_connected", "exchange=%s", r->out.exchange);
    return true;
}

/* What the broker has to say. False: start over. */
static bool listen(struct relay *r, int timeout_ms, struct err *err)
{
    struct broker_event event;
    do {
        enum broker_happening what = broker_next(r->out.broker, timeout_ms, mailbox_fd(r->news), &event, err);
        if (what == BROKER_ACK || what == BROKER_NACK)
            r->even_ms = clock_mono_ms();
        switch (what) {
        case BROKER_ACK:
            backoff_reset(&r->backoff);
            r->failed = false;
            window_ack(&r->out.window, event.tag, event.multiple, on_confirmed, r);
            break;
        case BROKER_NACK:
            window_nack(&r->out.window, event.tag, event.multiple, on_refused, r);
            window_ack(&r->out.window, 0, false, on_confirmed, r);
            break;
        case BROKER_CLOSED:
        case BROKER_CANCELLED:
            return false;
        case BROKER_BLOCKED:
        case BROKER_UNBLOCKED:
            set_blocked(r, what == BROKER_BLOCKED);
            break;
        case BROKER_RETURN: /* it is declared again with the next connection */
            return err_set(err, ERR_UNAVAILABLE, "the queue %s is gone", ENRICHED_QUEUE);
        case BROKER_DELIVERY:
        case BROKER_NOTHING:
            return true;
        }
        timeout_ms = 0;
    } while (broker_has_more(r->out.broker));
    return true;
}

/* False: the broker is alive, and says nothing of what it was given. All of that goes out again then. */
static bool keeps_up(struct relay *r, int64_t now, struct err *err)
{
    if (!r->out.window.count || r->blocked)
        r->even_ms = now;
    return now - r->even_ms < CONFIRM_MS ||
           err_set(err, ERR_TIMEOUT, "no confirm for %d s", CONFIRM_MS / 1000);
}

/* How long there is nothing to do: figures wait for their second, what was refused for its next try. */
static int idle_ms(struct relay *r, int64_t now)
{
    if (!can_publish(r))
        return r->blocked || !r->out.stuffed ? POLL_MS : ROOM_MS;
    return (int)lanes_wait_ms(&r->lanes, now, POLL_MS);
}

/* Waits its turn after a failure, then connects. The commits go on meanwhile; the log is the queue. */
static void reconnect(struct relay *r, struct worker *worker)
{
    struct err err;
    for (int left = r->failed ? backoff_next_ms(&r->backoff) : 0; left > 0 && !worker_stopping(worker);
         left -= 100) {
        nanosleep(&(struct timespec){.tv_nsec = (left < 100 ? left : 100) * 1000000L}, NULL);
        take_news(r);
    }
    if (worker_stopping(worker) || connect_broker(r, &err))
        return;
    if (strcmp(err.text, r->said.text) != 0)
        log_warn("relay_connect", "code=%s text=\"%s\"", err_code_name(err.code), err.text);
    r->said = err;
    broker_close(r->out.broker);
    r->failed = true;
}

void relay_run(struct worker *worker, void *ctx)
{
    struct relay *r = ctx;
    struct err err;
    while (!worker_stopping(worker)) {
        if (!broker_is_open(r->out.broker)) {
            reconnect(r, worker);
            continue;
        }
        take_news(r);
        sweep(r, clock_mono_ms());
        if (!publish_due(r, &err) || !listen(r, idle_ms(r, clock_mono_ms()), &err) ||
            !keeps_up(r, clock_mono_ms(), &err))
            disconnect(r, &err);
        lanes_send_marks(&r->lanes, r->jobs, clock_mono_ms());
    }
}
