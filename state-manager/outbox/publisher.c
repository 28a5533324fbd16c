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
    static const char *const names[] = {"type", "id"};
    struct view values[countof(names)];
    char type[EVENT_TYPE_MAX + 1], id[EVENT_ID_MAX + 1], key[EVENT_ROUTING_KEY_SIZE];
    json_get_several(body, names, values, countof(names));
    if (!json_copy_string(values[0], type, sizeof type) || !json_copy_string(values[1], id, sizeof id))
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

/* The events that were not sent yet, while it may; lane->part says up to where they were. */
static bool publish_events(struct publisher *p, struct lane *lane, struct view events, size_t *left,
                           bool *all, struct err *err)
{
    struct view body;
    uint64_t tag = 0;
    struct json_iter it = json_iter(events);
    if (lane->part)
        it.rest = (struct view){events.p + lane->part, events.n - 1 - lane->part};
    for (*all = false; json_next_element(&it, &body); lane->part = (size_t)(it.rest.p - events.p)) {
        if (!*left || lane_is_full(lane) || !publisher_has_room(p))
            return true;
        if (!publish_body(p, lane->tenant_id, body, &tag, err))
            return false;
        sent_one(p, lane, tag, 0);
        --*left;
    }
    *all = true;
    return true;
}

/* An entry, or a part of it when it is long: then it is not lane->sent. */
static bool publish_entry(struct publisher *p, struct lane *lane, const struct reading_entry *entry,
                          size_t *left, struct err *err)
{
    bool all;
    struct enriching enriching = {p, lane, err};
    if (!publish_events(p, lane, entry->events, left, &all, err))
        return false;
    if (!all)
        return true;
    lane->part = 0;
    if (p->enriches &&
        !enrich_entry(lane->tenant_id, entry->events, entry->changes, publish_enriched, &enriching))
        return false;
    if (!window_follow(&p->window, lane, entry->n))
        lanes_confirm(lane, entry->n);
    lane->sent = entry->n;
    return true;
}

/* Who waited for room in the socket would not hear why there is none. */
bool publisher_has_room(struct publisher *p)
{
    p->stuffed = !broker_has_room(p->broker);
    return !p->stuffed;
}

static struct reading_entry entry_of(const struct reading *reading, size_t i)
{
    const char *bytes = reading->batch->data;
    size_t start = i ? reading->entry[i - 1].end : 0, events_end = reading->entry[i].events_end;
    return (struct reading_entry){reading->entry[i].n,
                                  {bytes + start, events_end - start},
                                  {bytes + events_end, reading->entry[i].end - events_end}};
}

static void keep(struct publisher *p, const struct lane *lane, const struct reading_entry *entry)
{
    struct buf bytes = p->kept.bytes;
    p->kept.lane = lane;
    p->kept.after = lane->sent;
    p->kept.entry = *entry;
    p->kept.bytes = p->batch;
    p->batch = bytes;
}

/* Publishes the lane's next entries, as many as there is room for. */
bool publish_lane(struct publisher *p, struct lane *lane, struct err *err)
{
    struct reading reading = {.batch = &p->batch};
    size_t left = EVENTS_PER_TURN, i = 0;
    lane->used_at_ms = clock_mono_ms();
    lane->more = true;
    if (lane->part && p->kept.lane == lane && p->kept.after == lane->sent)
        return publish_entry(p, lane, &p->kept.entry, &left, err);
    buf_clear(&p->batch);
    p->unread = !p->store->ops->read_log(p->store, lane->tenant_id, LOG_BY_ENTRY, lane->sent, p->enriches,
                                         on_entry, &reading, err);
    if (p->unread)
        return false;
    for (; i < reading.entries && left && !lane_is_full(lane) && publisher_has_room(p); i++) {
        struct reading_entry entry = entry_of(&reading, i);
        if (!publish_entry(p, lane, &entry, &left, err))
            return false;
        if (lane->sent != entry.n) {
            keep(p, lane, &entry);
            return true;
        }
    }
    lane->more = i < reading.entries || reading.entries == EVENTS_PER_TURN ||
                 reading.events >= EVENTS_PER_TURN || p->batch.len >= READ_AHEAD_BYTES;
    return true;
}

/* Unless they are those that were sent last. */
static bool read_figures(struct publisher *p, struct lane *lane, uint64_t *rev, struct buf *data,
                         struct err *err)
{
    struct head head;
    struct buf doc;
    bool found;
    struct figures figures;
    if (!p->store->ops->head(p->store, lane->tenant_id, &head, err))
        return false;
    *rev = head.figures_rev;
    if (*rev <= lane->figures_sent)
        return true;
    buf_init(&doc, DOC_MAX);
    bool ok = p->store->ops->get(p->store, lane->tenant_id, DOC_FIGURES, VIEW("all"), &doc, &found, err);
    if (ok) {
        figures_read(buf_view(&doc), &figures);
        figures_show(&figures, clock_wall_ms(), data);
    }
    buf_free(&doc);
    return ok;
}

/* The newest figures, if they have changed and the last announcement is a second old. */
bool publish_figures(struct publisher *p, struct lane *lane, int64_t now, struct err *err)
{
    if (!lane_may_announce(lane) || !publisher_has_room(p))
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
