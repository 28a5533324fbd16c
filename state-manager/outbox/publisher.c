#include "state-manager/outbox/publisher.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/log.h"
#include "state-manager/core/figures.h"
#include "state-manager/outbox/enrich.h"

enum {
    READ_AHEAD_BYTES = 256 << 10,
    EVENTS_PER_TURN = 64 /* of one tenant, before the next one's turn */
};

static void log_event_out(struct view body)
{
    struct event event;
    if (log_threshold >= LOG_DEBUG && event_decode(body, &event, NULL))
        log_debug("event_out", "tenant=%s type=%s seq=%llu class=%s", event.tenant_id, event.type,
                  (unsigned long long)event.seq, event_class_name(event.class));
}

static bool publish_body(struct publisher *p, const char *tenant_id, struct view body, uint64_t *tag,
                         struct err *err)
{
    char type[EVENT_TYPE_MAX + 1], id[EVENT_ID_MAX + 1], key[EVENT_ROUTING_KEY_SIZE];
    if (!json_copy_string(json_get(body, "type"), type, sizeof type) ||
        !json_copy_string(json_get(body, "id"), id, sizeof id))
        return err_set(err, ERR_INTERNAL, "a body in the log has no type or no id");
    event_routing_key(tenant_id, type, key);
    struct broker_message message = {.exchange = view_of(p->exchange),
                                     .routing_key = view_of(key),
                                     .message_id = view_of(id),
                                     .body = body,
                                     .persistent = true};
    bool ok = broker_publish(p->broker, &message, tag, err);
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

static void sent_one(struct publisher *p, struct lane *lane, uint64_t tag, uint64_t rev)
{
    window_add(&p->window, tag, lane, 0, rev);
    lane->in_flight++;
}

struct enriching {
    struct publisher *p;
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
    if (!broker_publish(e->p->broker, &message, &tag, e->err))
        return false;
    sent_one(e->p, e->lane, tag, 0);
    return true;
}

/* The events that were not sent yet, while it may; lane->part says how many were. */
static bool publish_events(struct publisher *p, struct lane *lane, struct view events, size_t *left,
                           struct err *err)
{
    struct view body;
    size_t i = 0;
    uint64_t tag = 0;
    for (struct json_iter it = json_iter(events); json_next_element(&it, &body); i++) {
        if (i < lane->part)
            continue;
        if (!*left || lane_is_full(lane) || !publisher_has_room(p))
            return true;
        if (!publish_body(p, lane->tenant_id, body, &tag, err))
            return false;
        sent_one(p, lane, tag, 0);
        lane->part++;
        --*left;
    }
    lane->part = SIZE_MAX;
    return true;
}

/* An entry, or a part of it when it is long: then lane->part says so. */
static bool publish_entry(struct publisher *p, struct lane *lane, uint64_t n, struct view events,
                          struct view changes, size_t *left, struct err *err)
{
    struct enriching enriching = {p, lane, err};
    if (!publish_events(p, lane, events, left, err))
        return false;
    if (lane->part != SIZE_MAX)
        return true;
    lane->part = 0;
    if (p->enriches && !enrich_entry(lane->tenant_id, events, changes, publish_enriched, &enriching))
        return false;
    if (!window_follow(&p->window, lane, n))
        lanes_confirm(lane, n);
    lane->sent = n;
    return true;
}

/* Who waited for room in the socket would not hear why there is none. */
bool publisher_has_room(struct publisher *p)
{
    p->stuffed = !broker_has_room(p->broker);
    return !p->stuffed;
}

/* Publishes the lane's next entries, as many as there is room for. */
bool publish_lane(struct publisher *p, struct lane *lane, struct err *err)
{
    struct reading reading = {.batch = &p->batch};
    buf_clear(&p->batch);
    p->unread = !p->store->ops->read_log(p->store, lane->tenant_id, LOG_BY_ENTRY, lane->sent, p->enriches,
                                         on_entry, &reading, err);
    if (p->unread)
        return false;
    size_t start = 0, left = EVENTS_PER_TURN, i = 0;
    for (; i < reading.entries; i++) {
        if (!left || lane_is_full(lane) || !publisher_has_room(p))
            break;
        size_t events_end = reading.entry[i].events_end, end = reading.entry[i].end;
        struct view events = {p->batch.data + start, events_end - start};
        struct view changes = {p->batch.data + events_end, end - events_end};
        if (!publish_entry(p, lane, reading.entry[i].n, events, changes, &left, err))
            return false;
        if (lane->part)
            break;
        start = reading.entry[i].end;
    }
    lane->used_at_ms = clock_mono_ms();
    lane->more = i < reading.entries || reading.entries == EVENTS_PER_TURN ||
                 reading.events >= EVENTS_PER_TURN || p->batch.len >= READ_AHEAD_BYTES;
    return true;
}

static bool read_figures(struct publisher *p, struct lane *lane, uint64_t *rev, struct buf *data,
                         struct err *err)
{
    struct head head;
    struct buf doc;
    bool found;
    struct figures figures;
    buf_init(&doc, DOC_MAX);
    bool ok = p->store->ops->head(p->store, lane->tenant_id, &head, err) &&
              p->store->ops->get(p->store, lane->tenant_id, DOC_FIGURES, VIEW("all"), &doc, &found, err);
    if (ok) {
        *rev = head.figures_rev;
        figures_read(buf_view(&doc), &figures);
        figures_show(&figures, clock_wall_ms(), data);
    }
    buf_free(&doc);
    return ok;
}

/* The newest figures, if they have changed and the last announcement is a second old. */
bool publish_figures(struct publisher *p, struct lane *lane, int64_t now, struct err *err)
{
    if (!lane->figures_dirty || now - lane->figures_at_ms < FIGURES_EVERY_MS || !publisher_has_room(p))
        return true;
    uint64_t rev = 0, tag = 0;
    char id[24];
    struct buf data, body;
    buf_init(&data, DOC_MAX);
    buf_init(&body, DOC_MAX);
    bool ok = read_figures(p, lane, &rev, &data, err);
    p->unread = !ok;
    if (ok && rev > lane->figures_sent) {
        struct event_draft draft = {.type = "metrics_update",
                                    .class = EVENT_LATEST,
                                    .key = VIEW("dashboard"),
                                    .rev = rev,
                                    .data = buf_view(&data)};
        crypto_random_id("e_", id);
        event_encode(&body, &draft, lane->tenant_id, id, "", 0, clock_wall_ms());
        ok = publish_body(p, lane->tenant_id, buf_view(&body), &tag, err);
        if (ok) {
            sent_one(p, lane, tag, rev);
            lane->figures_sent = rev;
            lane->figures_at_ms = now;
        }
    }
    lane->figures_dirty = !ok;
    buf_free(&data);
    buf_free(&body);
    return ok;
}
