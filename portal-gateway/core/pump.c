/*
 * How events get from the ring to a socket: gathered from the session's cursor on, written at once, and the
 * cursor moved by what was taken. This is the hot path: a delivery to a live socket is one entry looked at
 * and one write.
 */
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/recovery.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    GATHER_MAX = 64,
    ROUNDS_MAX = 4,      /* full gathers for one socket before the others have their turn */
    MESSAGE_PAYLOADS = 4 /* of an answer to one message, attachments and what is put around them included */
};

struct gather {
    struct iovec frames[GATHER_MAX];
    /* Of events: once that frame is taken, the cursor; below the ring the seq. Likewise once all are. */
    uint64_t behind[GATHER_MAX], reached;
    size_t own, count;
    bool past; /* from below the ring */
};

/* One message with all its attachments always has its place. */
static bool has_place_for(const struct session *s, const struct frame *frame)
{
    const struct policy *policy = s->hub->policy;
    return s->control_count < (session_polls(s) ? CONTROL_POLLED_MAX : CONTROL_MAX) &&
           s->control_bytes + frame->len <= policy->lag_bytes + MESSAGE_PAYLOADS * policy->max_payload;
}

void session_send(struct session *s, struct frame *frame)
{
    if (!has_place_for(s, frame)) {
        frame_unref(frame);
        session_close(s, CLOSE_SLOW);
        return;
    }
    if (s->control_count == s->control_cap) {
        s->control_cap = s->control_cap ? s->control_cap * 2 : 4;
        s->control = xrealloc(s->control, s->control_cap * sizeof(struct frame *));
    }
    s->control[s->control_count++] = frame;
    s->control_bytes += frame->len;
}

void session_send_event(struct session *s, const char *type, struct view data)
{
    struct position at = session_position(s);
    session_send(s, frame_of_event(s->form, type, data, &at, (struct view){NULL, 0}));
}

struct position session_position(const struct session *s)
{
    if (!s->tenant)
        return (struct position){"", 0};
    const struct stream *stream = &s->tenant->stream;
    if (s->reading)
        return s->reading->at;
    if (!s->pending || s->cursor >= stream->ring.head)
        return stream->at;
    if (s->cursor >= stream->ring.first)
        return ring_before(&stream->ring, s->cursor);
    struct position heard = stream->at;
    heard.seq = s->heard;
    return heard;
}

static bool is_behind(const struct entry *e, uint64_t place, const struct since *since)
{
    bool has_seq = e->record && e->record->event.seq;
    return !has_seq || e->at.seq > since->seq || (since->anew && place >= since->anew);
}

/* Whether it was in a room of the entry's already. */
static bool shares_a_room(const struct session *s, const struct entry *e, uint64_t place)
{
    for (unsigned i = 0; i < e->room_count; i++) {
        const struct membership *in = room_membership(e->rooms[i], &s->member);
        if (in && place >= in->since.place && is_behind(e, place, &in->since))
            return true;
    }
    return false;
}

/* What is gone by once it is late: who is behind the ring or comes back gets the newest values at the end. */
static bool is_passing(const struct session *s, const struct event *event)
{
    if (event->class == EVENT_EPHEMERAL && s->lagging) {
        s->hub->tally.skipped++;
        return true;
    }
    return s->replaying && !event->seq;
}

static bool is_for(const struct session *s, const struct entry *e, uint64_t place)
{
    if (e->dead || (e->restricted && !shares_a_room(s, e, place)))
        return false;
    if (!e->record)
        return true;
    const struct event *event = &e->record->event;
    const char *except = event->except;
    if (event->inside || (*except && (strcmp(except, s->id) == 0 || strcmp(except, s->sub) == 0)))
        return false;
    return !is_passing(s, event);
}

static void put(struct gather *g, const struct frame *frame, uint64_t behind)
{
    g->behind[g->count] = behind;
    g->frames[g->count++] = (struct iovec){(void *)(uintptr_t)frame->bytes, frame->len};
}

static void gather_own(struct gather *g, const struct session *s)
{
    g->count = 0;
    g->past = false;
    g->reached = s->cursor;
    for (unsigned i = 0; i < s->control_count && g->count < GATHER_MAX; i++)
        put(g, s->control[i], s->cursor);
    g->own = g->count;
}

static void gather_from_ring(struct gather *g, const struct session *s)
{
    struct ring *ring = &s->tenant->stream.ring;
    for (; g->reached < ring->head && g->count < GATHER_MAX; g->reached++) {
        struct entry *e = ring_at(ring, g->reached);
        if (is_for(s, e, g->reached))
            put(g, entry_frame(e, s->form), g->reached + 1);
    }
}

/* Not further than the stream has come: the rest follows out of the ring. */
static void gather_from_past(struct gather *g, const struct session *s, struct chunk *c)
{
    size_t i = chunk_index(c, s->reading->at.seq);
    g->past = true;
    g->reached = s->reading->at.seq;
    for (; i < c->count && g->count < GATHER_MAX; i++) {
        struct entry *e = &c->entries[i];
        if (e->at.seq > s->tenant->stream.at.seq)
            return;
        entry_resolve_rooms(e, &s->tenant->rooms);
        g->reached = e->at.seq;
        if (is_for(s, e, UINT64_MAX))
            put(g, entry_frame(e, s->form), e->at.seq);
    }
}

static void drop_own(struct session *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->hub->tally.frames += s->control[i]->count;
        s->control_bytes -= s->control[i]->len;
        frame_unref(s->control[i]);
    }
    s->control_count -= (unsigned)n;
    if (s->control_count) {
        memmove(s->control, s->control + n, s->control_count * sizeof(struct frame *));
        return;
    }
    free(s->control);
    s->control = NULL;
    s->control_cap = 0;
}

/* The seq behind the last event frame of those taken. */
static uint64_t seq_behind(const struct session *s, const struct gather *g, size_t taken)
{
    uint64_t behind = g->behind[taken - 1];
    return g->past ? behind : ring_at(&s->tenant->stream.ring, behind - 1)->at.seq;
}

static void account_events(struct session *s, const struct gather *g, size_t taken)
{
    if (!g->past)
        for (size_t i = g->own; i < taken; i++)
            ring_at(&s->tenant->stream.ring, g->behind[i] - 1)->sockets++;
    if (s->wish)
        for (size_t i = g->own; i < taken; i++)
            s->wish->bytes += g->frames[i].iov_len;
    s->told = s->heard = seq_behind(s, g, taken);
    s->told_ms = loop_now_ms(s->hub->loop);
    s->hub->tally.deliveries += taken - g->own;
}

/* Moves the cursor behind what was taken. */
static void account(struct session *s, const struct gather *g, size_t taken)
{
    size_t own = taken < g->own ? taken : g->own;
    if (own)
        drop_own(s, own);
    uint64_t *at = g->past ? &s->reading->at.seq : &s->cursor;
    if (taken == g->count)
        *at = g->reached;
    else if (taken > own)
        *at = g->behind[taken - 1];
    if (taken > own)
        account_events(s, g, taken);
    s->hub->tally.writes += g->count > 0;
    s->hub->tally.frames += taken - own;
}

/* That nobody polls just now is no lag; that it does not fit into one answer is. */
static void block(struct session *s, bool took_some)
{
    s->blocked = true;
    s->lagging |= took_some || !session_polls(s);
    session_set_due(s, DUE_STALL, loop_now_ms(s->hub->loop) + s->hub->policy->lag_ms);
    if (s->state == SESSION_RECOVERING) /* it is the client's turn */
        session_set_due(s, DUE_CONNECT, 0);
}

static void flush_link(const struct session *s)
{
    if (s->ops->flush && s->state != SESSION_CLOSING)
        s->ops->flush(s->link);
}

/* The ring has gone on without it: from here on it reads the log, as one that comes back. */
static void fall_behind(struct session *s)
{
    const struct ring *ring = &s->tenant->stream.ring;
    if (s->reading || s->cursor >= ring->first)
        return;
    s->replaying = true;
    s->reading = xcalloc(1, sizeof *s->reading);
    s->reading->at = s->tenant->stream.at;
    s->reading->at.seq = s->heard;
    if (s->cursor < ring->joint) /* what it has heard belongs to another history, or there is a gap */
        s->reading->at.epoch[0] = 0;
    meter_add(FELL_BEHIND, 1);
    log_debug("fell_behind", "session=%s seq=%" PRIu64, s->id, s->heard);
}

enum source { SOURCE_RING, SOURCE_PAST, SOURCE_LATER, SOURCE_LOST };

/* Where what follows is to be had. */
static enum source find_source(struct session *s, struct chunk **chunk)
{
    struct tenant *t = s->tenant;
    fall_behind(s);
    if (!s->reading)
        return SOURCE_RING;
    if (strcmp(s->reading->at.epoch, t->stream.at.epoch) != 0 || past_is_gone(&t->past, &s->reading->at))
        return SOURCE_LOST;
    if (ring_covers(&t->stream.ring, &s->reading->at, &s->cursor)) {
        s->heard = s->reading->at.seq;
        session_end_reading(s);
        return SOURCE_RING;
    }
    *chunk = past_find(&t->past, &s->reading->at, loop_now_ms(s->hub->loop));
    return *chunk ? SOURCE_PAST : SOURCE_LATER;
}

static bool hears_events(const struct session *s)
{
    return s->pending && (s->state == SESSION_LIVE || s->state == SESSION_RECOVERING);
}

/* Own frames, then events from where it stands. */
static enum source gather(struct gather *g, struct session *s)
{
    struct chunk *chunk = NULL;
    gather_own(g, s);
    if (!hears_events(s) || g->count == GATHER_MAX)
        return SOURCE_RING;
    enum source source = find_source(s, &chunk);
    g->reached = s->cursor;
    if (source == SOURCE_RING)
        gather_from_ring(g, s);
    else if (source == SOURCE_PAST)
        gather_from_past(g, s, chunk);
    return source;
}

static void wait_for_past(struct session *s)
{
    if (s->state == SESSION_RECOVERING && !s->due[DUE_CONNECT])
        session_set_due(s, DUE_CONNECT, loop_now_ms(s->hub->loop) + s->hub->policy->connect_timeout_ms);
    tenant_wait_for_past(s->tenant, s);
}

/* It stands at the head. True: that has made it say something. */
static bool catch_up(struct session *s)
{
    s->pending = s->lagging = false;
    if (!s->replaying)
        return false;
    recovery_complete(s);
    return true;
}

static bool missed_too_much(const struct session *s)
{
    return s->state == SESSION_RECOVERING && s->wish->bytes > s->hub->policy->recovery_bytes;
}

/* One gather and what follows from it. False: that is all for now. */
static bool pump_once(struct session *s, bool *took_some)
{
    struct gather g;
    enum source source = gather(&g, s);
    size_t taken = g.count ? s->ops->write(s->link, g.frames, g.count) : 0;
    account(s, &g, taken);
    *took_some |= taken > 0;
    if (taken < g.count) {
        block(s, *took_some);
        return false;
    }
    if (missed_too_much(s) || source == SOURCE_LOST) {
        recovery_fail(s, source == SOURCE_LOST ? LOSS_EVENTS_GONE : LOSS_TOO_MUCH);
        return true;
    }
    if (source == SOURCE_LATER)
        wait_for_past(s);
    if (source != SOURCE_RING || g.count == GATHER_MAX)
        return source != SOURCE_LATER;
    if (hears_events(s))
        return catch_up(s);
    s->lagging = false;
    return false;
}

void session_pump(struct session *s)
{
    bool took_some = false;
    if (s->state != SESSION_HELD)
        list_unlink(&s->queued);
    if (s->blocked || !s->ops)
        return;
    if (s->state == SESSION_LIVE)
        s->tenant->all_marked = false;
    /* One answer to a poll takes all, within its own bound. */
    for (int round = 0; round < ROUNDS_MAX || session_polls(s); round++)
        if (!pump_once(s, &took_some)) {
            flush_link(s);
            return;
        }
    if (s->state == SESSION_LIVE || s->state == SESSION_RECOVERING)
        tenant_requeue(s->tenant, s);
}

bool session_mark(struct session *s, uint64_t place, uint64_t heard)
{
    if (s->state != SESSION_LIVE || s->pending)
        return false;
    s->pending = true;
    s->cursor = place;
    s->heard = heard;
    return !s->blocked;
}
