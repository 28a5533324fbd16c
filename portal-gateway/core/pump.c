/*
 * How events get from the ring to a socket: gathered from the session's cursor on, written at once, and the
 * cursor moved by what was taken. This is the hot path: a delivery to a live socket is one entry looked at
 * and one write.
 */
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
    GATHER_MAX = 64,
    ROUNDS_MAX = 4,      /* full gathers for one socket before the others have their turn */
    MESSAGE_PAYLOADS = 4 /* of an answer to one message, attachments and what is put around them included */
};

struct gather {
    struct iovec frames[GATHER_MAX];
    uint64_t behind[GATHER_MAX]; /* the cursor once that frame is taken */
    size_t own, count;
    uint64_t reached; /* the cursor once all are taken */
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
    const struct ring *ring = &s->tenant->stream.ring;
    if (!s->pending || s->cursor >= ring->head)
        return s->tenant->stream.at;
    if (s->cursor > ring->first)
        return ring_at(ring, s->cursor - 1)->at;
    return (struct position){"", 0}; /* fallen off: nothing that a reconnect could go on from */
}

static bool shares_a_room(const struct session *s, const struct entry *e)
{
    for (unsigned i = 0; i < e->room_count; i++)
        if (room_has(e->rooms[i], &s->member))
            return true;
    return false;
}

static bool is_for(const struct session *s, const struct entry *e)
{
    if (e->dead || (e->restricted && !shares_a_room(s, e)))
        return false;
    if (!e->record)
        return true;
    const char *except = e->record->event.except;
    if (*except && (strcmp(except, s->id) == 0 || strcmp(except, s->sub) == 0))
        return false;
    if (s->lagging && e->record->event.class == EVENT_EPHEMERAL) {
        s->hub->tally.skipped++;
        return false;
    }
    return true;
}

static void put(struct gather *g, const struct frame *frame, uint64_t behind)
{
    g->behind[g->count] = behind;
    g->frames[g->count++] = (struct iovec){(void *)(uintptr_t)frame->bytes, frame->len};
}

static void gather(struct gather *g, const struct session *s)
{
    g->count = 0;
    for (unsigned i = 0; i < s->control_count && g->count < GATHER_MAX; i++)
        put(g, s->control[i], s->cursor);
    g->own = g->count;
    g->reached = s->cursor;
    if (s->state != SESSION_LIVE || !s->pending || g->count == GATHER_MAX)
        return;
    struct ring *ring = &s->tenant->stream.ring;
    for (; g->reached < ring->head && g->count < GATHER_MAX; g->reached++) {
        struct entry *e = ring_at(ring, g->reached);
        if (is_for(s, e))
            put(g, entry_frame(e, s->form), g->reached + 1);
    }
}

static void drop_own(struct session *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
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

/* Moves the cursor behind what was taken. */
static void account(struct session *s, const struct gather *g, size_t taken)
{
    size_t own = taken < g->own ? taken : g->own;
    if (own)
        drop_own(s, own);
    for (size_t i = own; i < taken; i++)
        ring_at(&s->tenant->stream.ring, g->behind[i] - 1)->sockets++;
    if (taken == g->count)
        s->cursor = g->reached;
    else if (taken > own)
        s->cursor = g->behind[taken - 1];
    s->hub->tally.writes += g->count > 0;
    s->hub->tally.frames += taken;
    s->hub->tally.deliveries += taken - own;
}

/* That nobody polls just now is no lag; that it does not fit into one answer is. */
static void block(struct session *s, bool took_some)
{
    s->blocked = true;
    s->lagging |= took_some || !session_polls(s);
    session_set_due(s, DUE_STALL, loop_now_ms(s->hub->loop) + s->hub->policy->lag_ms);
}

/* Whether the ring still has what the session has not heard. Reading on from the log would start here. */
static bool fell_behind(const struct session *s)
{
    return s->state == SESSION_LIVE && s->pending && s->cursor < s->tenant->stream.ring.first;
}

static void flush_link(const struct session *s)
{
    if (s->ops->flush && s->state != SESSION_CLOSING)
        s->ops->flush(s->link);
}

void session_pump(struct session *s)
{
    struct gather g;
    bool took_some = false;
    if (s->state != SESSION_HELD)
        list_unlink(&s->queued);
    if (s->blocked || !s->ops)
        return;
    if (s->state == SESSION_LIVE)
        s->tenant->all_marked = false;
    if (fell_behind(s)) {
        session_close(s, CLOSE_SLOW);
        return;
    }
    /* One answer to a poll takes all, within its own bound. */
    for (int round = 0; round < ROUNDS_MAX || session_polls(s); round++) {
        gather(&g, s);
        size_t taken = g.count ? s->ops->write(s->link, g.frames, g.count) : 0;
        account(s, &g, taken);
        took_some |= taken > 0;
        if (taken < g.count) {
            block(s, took_some);
            flush_link(s);
            return;
        }
        if (g.count < GATHER_MAX) {
            s->pending = s->lagging = false;
            flush_link(s);
            return;
        }
    }
    if (s->state == SESSION_LIVE)
        tenant_requeue(s->tenant, s);
}

static bool lags_too_far(const struct session *s)
{
    const struct ring *ring = &s->tenant->stream.ring;
    const struct policy *policy = s->hub->policy;
    return s->cursor < ring->first || ring->head - s->cursor > policy->lag_events ||
           ring_bytes_from(ring, s->cursor) > policy->lag_bytes;
}

bool session_mark(struct session *s, uint64_t place)
{
    if (s->state != SESSION_LIVE)
        return false;
    if (s->pending) {
        if (s->blocked && lags_too_far(s))
            session_close(s, CLOSE_SLOW);
        return false;
    }
    s->pending = true;
    s->cursor = place;
    return !s->blocked;
}
