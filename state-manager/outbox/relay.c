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
#include "state-manager/outbox/window.h"
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
    READ_AHEAD_BYTES = 256 << 10,
    EVENTS_PER_TURN = 256, /* of one tenant, before the next one's turn */
    FIGURES_EVERY_MS = 1000
};

struct news {
    struct letter letter;
    char tenant_id[TENANT_ID_MAX + 1];
};

struct relay {
    char *exchange;
    struct store *store;
    struct jobs *jobs;
    struct broker *broker;
    struct mailbox *news;
    atomic_bool connected;
    bool blocked;    /* the broker's alarm: nothing is sent */
    bool stuffed;    /* nor while the socket is full */
    bool enriches;   /* the queue for inbound messages is ours to fill */
    bool failed;     /* since the last confirm: wait before the next try */
    struct err said; /* why the last try to connect failed */
    struct backoff backoff;
    struct lanes lanes;
    struct window window;
    int64_t sweep_at_ms;
    struct buf batch; /* bodies read from the log, one after the other */
};

struct relay *relay_create(const struct relay_options *options, struct err *err)
{
    struct relay *r = xcalloc(1, sizeof *r);
    r->exchange = xstrdup(options->exchange);
    r->store = options->store;
    r->jobs = options->jobs;
    atomic_init(&r->connected, false);
    backoff_init(&r->backoff, 200, 5000);
    lanes_init(&r->lanes);
    window_init(&r->window);
    buf_init(&r->batch, 4 * (size_t)ENTRY_BYTES_MAX);
    r->news = mailbox_create(NEWS_MAX, NULL, NULL);
    mailbox_fd(r->news);
    r->broker = broker_create(options->amqp_url, "state-manager relay", err);
    if (!r->broker) {
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
    window_finish(&r->window);
    buf_free(&r->batch);
    broker_destroy(r->broker);
    store_close(r->store);
    free(r->exchange);
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
        struct lane *lane = lanes_get(&r->lanes, r->store, news->tenant_id, &err);
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
    if (!r->store->ops->unpublished(r->store, on_unpublished, &s, &err))
        log_warn("relay_store", "text=\"%s\"", err.text);
    metric_set(&meters[METER_BACKLOG], s.tenants);
    lanes_drop_idle(&r->lanes, now);
}

/* --- publishing ------------------------------------------------------------------------------------------
 */

static void log_event_out(struct view body)
{
    struct event event;
    if (log_threshold >= LOG_DEBUG && event_decode(body, &event, NULL))
        log_debug("event_out", "tenant=%s type=%s seq=%llu class=%s", event.tenant_id, event.type,
                  (unsigned long long)event.seq, event_class_name(event.class));
}

static bool publish_body(struct relay *r, const char *tenant_id, struct view body, uint64_t *tag,
                         struct err *err)
{
    char type[EVENT_TYPE_MAX + 1], id[EVENT_ID_MAX + 1], key[EVENT_ROUTING_KEY_SIZE];
    if (!json_copy_string(json_get(body, "type"), type, sizeof type) ||
        !json_copy_string(json_get(body, "id"), id, sizeof id))
        return err_set(err, ERR_INTERNAL, "a body in the log has no type or no id");
    event_routing_key(tenant_id, type, key);
    struct broker_message message = {.exchange = view_of(r->exchange),
                                     .routing_key = view_of(key),
                                     .message_id = view_of(id),
                                     .body = body,
                                     .persistent = true};
    bool ok = broker_publish(r->broker, &message, tag, err);
    if (ok)
        log_event_out(body);
    return ok;
}

/* Entries read ahead for one lane: events and changes of each, one behind the other in the batch. */
struct reading {
    struct buf *batch;
    size_t events, entries;
    struct {
        uint64_t n;
        size_t events_end, end;
    } entry[EVENTS_PER_TURN];
};

static bool on_entry(void *ctx, const struct log_entry *entry)
{
    struct reading *reading = ctx;
    buf_add_view(reading->batch, entry->events);
    reading->entry[reading->entries].n = entry->n;
    reading->entry[reading->entries].events_end = reading->batch->len;
    buf_add_view(reading->batch, entry->changes);
    reading->entry[reading->entries++].end = reading->batch->len;
    reading->events += entry->last_seq + 1 - entry->first_seq;
    return reading->entries < EVENTS_PER_TURN && reading->events < EVENTS_PER_TURN &&
           reading->batch->len < READ_AHEAD_BYTES;
}

struct enriching {
    struct relay *r;
    struct lane *lane;
    struct err *err;
};

static bool publish_enriched(void *ctx, struct view id, struct view body)
{
    struct enriching *e = ctx;
    uint64_t tag;
    struct broker_message message = {.exchange = VIEW(""),
                                     .routing_key = VIEW(ENRICHED_QUEUE),
                                     .message_id = id,
                                     .body = body,
                                     .persistent = true,
                                     .mandatory = true};
    if (!broker_publish(e->r->broker, &message, &tag, e->err))
        return false;
    window_add(&e->r->window, tag, e->lane, 0, 0);
    return true;
}

static bool publish_entry(struct relay *r, struct lane *lane, uint64_t n, struct view events,
                          struct view changes, struct err *err)
{
    struct view body;
    struct enriching enriching = {r, lane, err};
    uint64_t tag = 0;
    for (struct json_iter it = json_iter(events); json_next_element(&it, &body);) {
        if (!publish_body(r, lane->tenant_id, body, &tag, err))
            return false;
        window_add(&r->window, tag, lane, 0, 0);
    }
    if (r->enriches && !enrich_entry(lane->tenant_id, events, changes, publish_enriched, &enriching))
        return false;
    if (!window_follow(&r->window, lane, n))
        lanes_confirm(lane, n);
    lane->sent = n;
    return true;
}

/* Who waited for room in the socket would not hear why there is none. */
static bool has_room(struct relay *r)
{
    r->stuffed = !broker_has_room(r->broker);
    return !r->stuffed;
}

/* Publishes the lane's next entries, as many as there is room for. */
static bool publish_lane(struct relay *r, struct lane *lane, struct err *err)
{
    struct reading reading = {.batch = &r->batch};
    buf_clear(&r->batch);
    if (!r->store->ops->read_log(r->store, lane->tenant_id, LOG_BY_ENTRY, lane->sent, r->enriches, on_entry,
                                 &reading, err))
        return false;
    size_t start = 0;
    for (size_t i = 0; i < reading.entries; i++) {
        if (!has_room(r))
            break;
        size_t events_end = reading.entry[i].events_end, end = reading.entry[i].end;
        struct view events = {r->batch.data + start, events_end - start};
        struct view changes = {r->batch.data + events_end, end - events_end};
        if (!publish_entry(r, lane, reading.entry[i].n, events, changes, err))
            return false;
        start = reading.entry[i].end;
    }
    lane->used_at_ms = clock_mono_ms();
    lane->more = r->stuffed || reading.entries == EVENTS_PER_TURN || reading.events >= EVENTS_PER_TURN ||
                 r->batch.len >= READ_AHEAD_BYTES;
    return true;
}

static bool read_figures(struct relay *r, struct lane *lane, uint64_t *rev, struct buf *data, struct err *err)
{
    struct head head;
    struct buf doc;
    bool found;
    struct figures figures;
    buf_init(&doc, DOC_MAX);
    bool ok = r->store->ops->head(r->store, lane->tenant_id, &head, err) &&
              r->store->ops->get(r->store, lane->tenant_id, DOC_FIGURES, VIEW("all"), &doc, &found, err);
    if (ok) {
        *rev = head.figures_rev;
        figures_read(buf_view(&doc), &figures);
        figures_show(&figures, clock_wall_ms(), data);
    }
    buf_free(&doc);
    return ok;
}

/* The newest figures, if they have changed and the last announcement is a second old. */
static bool publish_figures(struct relay *r, struct lane *lane, int64_t now, struct err *err)
{
    if (!lane->figures_dirty || now - lane->figures_at_ms < FIGURES_EVERY_MS || !has_room(r))
        return true;
    uint64_t rev = 0, tag = 0;
    char id[24];
    struct buf data, body;
    buf_init(&data, DOC_MAX);
    buf_init(&body, DOC_MAX);
    bool ok = read_figures(r, lane, &rev, &data, err);
    if (ok && rev > lane->figures_sent) {
        struct event_draft draft = {.type = "metrics_update",
                                    .class = EVENT_LATEST,
                                    .key = VIEW("dashboard"),
                                    .rev = rev,
                                    .data = buf_view(&data)};
        crypto_random_id("e_", id);
        event_encode(&body, &draft, lane->tenant_id, id, "", 0, clock_wall_ms());
        ok = publish_body(r, lane->tenant_id, buf_view(&body), &tag, err);
        if (ok) {
            window_add(&r->window, tag, lane, 0, rev);
            lane->figures_sent = rev;
            lane->figures_at_ms = now;
        }
    }
    lane->figures_dirty = !ok;
    buf_free(&data);
    buf_free(&body);
    return ok;
}

static bool can_publish(struct relay *r)
{
    return !r->blocked && !window_full(&r->window) && has_room(r);
}

/* One turn over the lanes that are due. False: broker or store failed. */
static bool publish_due(struct relay *r, struct err *err)
{
    int64_t now = clock_mono_ms();
    list_foreach(node, &r->lanes.due)
    {
        struct lane *lane = container_of(node, struct lane, node);
        if (!can_publish(r))
            return true;
        if (now < lane->retry_at_ms)
            continue;
        if (!publish_lane(r, lane, err) || !publish_figures(r, lane, now, err))
            return false;
        if (!lane->more && !lane->figures_dirty)
            list_unlink(&lane->node);
    }
    return true;
}

/* --- confirms --------------------------------------------------------------------------------------------
 */

static void on_confirmed(void *ctx, void *owner, uint64_t entry, uint64_t figures_rev)
{
    (void)ctx;
    struct lane *lane = owner;
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
    broker_close(r->broker);
    r->blocked = r->stuffed = false;
    r->failed = true;
    /* Nothing of what was in flight counts: it goes out again. */
    count(METER_EVENTS_REPUBLISHED, (int64_t)window_drop(&r->window));
    lanes_start_over(&r->lanes);
}

/* Somebody may have declared the queue otherwise; then it is his, and events go out without it. */
static bool declare_enriched(struct relay *r, struct err *err)
{
    struct broker_queue queue = {.name = ENRICHED_QUEUE, .durable = true};
    r->enriches = broker_declare_queue(r->broker, &queue, err);
    if (r->enriches)
        return true;
    log_warn("relay_without_enriched", "code=%s text=\"%s\"", err_code_name(err->code), err->text);
    broker_close(r->broker);
    return broker_open(r->broker, true, err);
}

static bool connect_broker(struct relay *r, struct err *err)
{
    if (!broker_open(r->broker, true, err) || !declare_enriched(r, err) ||
        !broker_declare_exchange(r->broker, r->exchange, "topic", err))
        return false;
    set_connected(r, true);
    r->said = (struct err){0};
    log_info("relay_connected", "exchange=%s", r->exchange);
    return true;
}

/* What the broker has to say. False: start over. */
static bool listen(struct relay *r, int timeout_ms, struct err *err)
{
    struct broker_event event;
    do {
        enum broker_happening what = broker_next(r->broker, timeout_ms, mailbox_fd(r->news), &event, err);
        switch (what) {
        case BROKER_ACK:
            backoff_reset(&r->backoff);
            r->failed = false;
            window_ack(&r->window, event.tag, event.multiple, on_confirmed, r);
            break;
        case BROKER_NACK:
            window_nack(&r->window, event.tag, event.multiple, on_refused, r);
            window_ack(&r->window, 0, false, on_confirmed, r);
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
    } while (broker_has_more(r->broker));
    return true;
}

/* How long there is nothing to do: figures wait for their second, what was refused for its next try. */
static int idle_ms(struct relay *r, int64_t now)
{
    int64_t wait = POLL_MS;
    if (!can_publish(r))
        return r->blocked || !r->stuffed ? POLL_MS : ROOM_MS;
    list_foreach(node, &r->lanes.due)
    {
        struct lane *lane = container_of(node, struct lane, node);
        int64_t in = lane->more ? 0 : lane->figures_at_ms + FIGURES_EVERY_MS - now;
        if (in < lane->retry_at_ms - now)
            in = lane->retry_at_ms - now;
        wait = in < wait ? in : wait;
    }
    return wait > 0 ? (int)wait : 0;
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
    broker_close(r->broker);
    r->failed = true;
}

void relay_run(struct worker *worker, void *ctx)
{
    struct relay *r = ctx;
    struct err err;
    while (!worker_stopping(worker)) {
        if (!broker_is_open(r->broker)) {
            reconnect(r, worker);
            continue;
        }
        take_news(r);
        sweep(r, clock_mono_ms());
        if (!publish_due(r, &err) || !listen(r, idle_ms(r, clock_mono_ms()), &err))
            disconnect(r, &err);
        lanes_send_marks(&r->lanes, r->jobs, clock_mono_ms());
    }
}
