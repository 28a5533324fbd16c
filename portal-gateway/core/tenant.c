#include "portal-gateway/core/tenant.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/inside.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/presence.h"
#include "portal-gateway/core/recovery.h"
#include "portal-gateway/core/rights.h"
#include "portal-gateway/core/typing.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tenant *tenant_create(struct hub *hub, const char *id)
{
    struct tenant *t = xcalloc(1, sizeof *t);
    t->hub = hub;
    memcpy(t->id, id, strnlen(id, TENANT_ID_MAX));
    stream_init(&t->stream, hub->policy->ring_events, hub->policy->ring_bytes);
    t->stream.ring.kept = 0;
    room_index_init(&t->rooms);
    t->rights = rights_create(t);
    t->typing = typing_create(t);
    t->everyone = room_get(&t->rooms, (struct view){"", 0});
    list_init(&t->held);
    list_init(&t->dirty);
    list_init(&t->in_dirty);
    list_init(&t->thirsty);
    past_init(&t->past);
    pace_init(&t->pace);
    roster_init(&t->roster, t);
    revoked_init(&t->revoked);
    map_init(&t->recoverable);
    t->presence = presence_create(t);
    meter_add(TENANTS, 1);
    return t;
}

void tenant_destroy(struct tenant *t)
{
    assert(!t->sessions);
    list_unlink(&t->in_dirty);
    list_unlink(&t->thirsty);
    pace_finish(&t->pace);
    map_free(&t->recoverable);
    revoked_finish(&t->revoked);
    roster_finish(&t->roster);
    past_finish(&t->past);
    typing_destroy(t->typing);
    rights_destroy(t->rights);
    presence_destroy(t->presence);
    stream_finish(&t->stream);
    room_unref(t->everyone);
    room_index_finish(&t->rooms);
    free(t);
    meter_add(TENANTS, -1);
}

const char *tenant_id(const struct tenant *t)
{
    return t->id;
}

static bool over_user_limit(const struct tenant *t, const struct session *s)
{
    char room[TOKEN_NAME_MAX + 16];
    int n = snprintf(room, sizeof room, "user:%s", s->sub);
    const struct room *r = room_find(&t->rooms, (struct view){room, (size_t)n});
    size_t limit = t->hub->policy->connections_per_user;
    return limit && r && r->count >= limit;
}

static bool over_tenant_limit(const struct tenant *t)
{
    size_t limit = t->hub->policy->connections_per_tenant;
    return limit && t->everyone->count >= limit;
}

/* Temporary, so not told as a refusal, after which a Socket.IO client would stay away: the transport ends. */
static bool refuse(struct session *s, enum close_reason reason)
{
    log_warn("too_many_connections", "tenant=%s user=\"%s\" of=%s", s->tenant->id, s->sub,
             reason == CLOSE_LIMIT ? "user" : "tenant");
    session_close(s, reason);
    return false;
}

static bool has_room_for(const struct tenant *t, struct session *s)
{
    if (over_user_limit(t, s))
        return refuse(s, CLOSE_LIMIT);
    return !over_tenant_limit(t) || refuse(s, CLOSE_TENANT_LIMIT);
}

void tenant_join_rooms(struct tenant *t, struct session *s, const struct since *since)
{
    room_join(t->everyone, &s->member, since, false);
    session_join_token_rooms(s, s->claims, since);
}

void tenant_make_live(struct tenant *t, struct session *s, bool recovered)
{
    t->all_marked = false; /* this one is not */
    if (session_is_recorded(s))
        map_put(&t->recoverable, view_of(s->id), s);
    session_set_due(s, DUE_CONNECT, 0);
    session_set_due(s, DUE_TOKEN_WARNING, s->due[DUE_TOKEN_EXPIRY] - t->hub->policy->token_warning_ms);
    session_set_state(s, SESSION_LIVE);
    presence_arrive(t->presence, s->sub);
    s->present = true;
    log_info("session_live", "session=%s protocol=%s tenant=%s user=\"%s\" recovered=%d", s->id,
             s->protocol->name, t->id, s->sub, recovered);
    session_told(s);
    s->protocol->greet(s, recovered);
    session_forget_claims(s);
}

/* Lets it in, unless it lacks something; then it waits on. */
static void let_in(struct tenant *t, struct session *s)
{
    if (revoked_has(&t->revoked, s->sub, s->jti ? s->jti : "", s->issued_ms)) {
        s->protocol->turn_away(s, REFUSAL_TOKEN_REVOKED);
        return;
    }
    enum recovery recovery = recovery_decide(s);
    if (recovery == RECOVERY_WAIT) {
        list_append(&t->held, &s->queued);
        return;
    }
    if (recovery == RECOVERY_GRANTED)
        recovery_displace(s);
    if (!has_room_for(t, s))
        return;
    if (recovery == RECOVERY_GRANTED) {
        recovery_begin(s);
        return;
    }
    struct since now = {.seq = t->stream.at.seq, .place = t->stream.ring.head};
    tenant_join_rooms(t, s, &now);
    recovery_join_wished(s, &now);
    tenant_make_live(t, s, false);
    session_pump(s);
}

void tenant_add(struct tenant *t, struct session *s)
{
    s->tenant = t;
    t->sessions++;
    t->empty_since_ms = 0;
    session_set_state(s, SESSION_HELD);
    if (t->stream.placed && pace_admits(s))
        let_in(t, s);
    else
        list_append(&t->held, &s->queued);
}

void tenant_remove(struct tenant *t, struct session *s)
{
    pace_forget(s);
    if (s->present)
        presence_depart(t->presence, s->sub);
    s->present = false;
    list_unlink(&s->queued);
    if (map_get(&t->recoverable, view_of(s->id)) == s)
        map_remove(&t->recoverable, view_of(s->id));
    typing_forget(t->typing, s);
    member_finish(&s->member);
    if (!--t->sessions)
        t->empty_since_ms = loop_now_ms(t->hub->loop);
}

void tenant_open(struct tenant *t)
{
    struct list held;
    if (!t->stream.placed)
        return;
    list_init(&held);
    list_append_all(&held, &t->held);
    while (!list_empty(&held)) { /* who waits on goes to the end */
        struct session *s = container_of(held.next, struct session, queued);
        if (!pace_admits(s))
            break;
        list_unlink(&s->queued);
        let_in(t, s);
    }
    list_append_all(&held, &t->held);
    list_append_all(&t->held, &held);
}

void tenant_want_head(struct tenant *t)
{
    t->head_wanted = t->latest_wanted = true;
    t->hub->ask_soon = true;
}

/* --- the log, for those below the ring --- */

static void lower(const struct position **lowest, const struct position *at)
{
    if (!*lowest || at->seq < (*lowest)->seq)
        *lowest = at;
}

/* From the lowest place that somebody waits at: what comes is good for all of them. */
void tenant_ask_past(struct tenant *t)
{
    const struct position *lowest = NULL;
    list_unlink(&t->thirsty);
    if (t->past.asking || loop_now_ms(t->hub->loop) < t->past.retry_at_ms)
        return;
    list_foreach(node, &t->past.waiting)
    {
        const struct session *s = container_of(node, struct session, queued);
        if (s->reading)
            lower(&lowest, &s->reading->at);
    }
    list_foreach(node, &t->held)
    {
        const struct session *s = container_of(node, struct session, queued);
        if (s->wish && s->wish->wants_log)
            lower(&lowest, &s->wish->from);
    }
    if (!lowest)
        return;
    t->past.asking = true;
    t->past.asked_after = *lowest;
    meter_add(PAST_READS, 1);
    t->hub->upstream.ask_past(t->hub->upstream.ctx, t->id, lowest);
}

void tenant_want_past(struct tenant *t)
{
    if (!list_empty(&t->thirsty))
        return;
    list_append(&t->hub->thirsty, &t->thirsty); /* all of a turn ask together */
    loop_wake_signal(t->hub->wake);
}

void tenant_wait_for_past(struct tenant *t, struct session *s)
{
    list_append(&t->past.waiting, &s->queued);
    tenant_want_past(t);
}

void tenant_take_past(struct tenant *t, struct replay *answer)
{
    past_take(&t->past, answer, loop_now_ms(t->hub->loop));
    while (!list_empty(&t->past.waiting))
        tenant_requeue(t, container_of(t->past.waiting.next, struct session, queued));
    tenant_open(t);
}

/* Once both the feed and the rpc thread are connected: then what is said is heard, and the answer too. */
static void say_fences(struct tenant *t)
{
    if (!t->fences_due || !t->hub->feed_up || !t->hub->rpc_up)
        return;
    t->fences_due = false;
    inside_say_fences(t);
}

void tenant_doubt_rooms(struct tenant *t)
{
    t->rooms_doubted = true;
    t->doubted_from = ring_before(&t->stream.ring, t->stream.ring.joint).seq;
}

void tenant_settle_rooms(struct tenant *t)
{
    t->rooms_doubted &= t->recoverable.count > 0;
    if (t->rooms_doubted)
        roster_want(&t->roster);
}

void tenant_tick(struct tenant *t)
{
    say_fences(t);
    tenant_settle_rooms(t);
    tenant_settle_latest(t);
    past_forget_old(&t->past, loop_now_ms(t->hub->loop));
    typing_tick(t->typing, loop_now_ms(t->hub->loop));
    presence_tick(t->presence, loop_now_ms(t->hub->loop));
    tenant_ask_past(t);
    tenant_open(t);
}

/* --- revocation --- */

static void end_if_revoked(const struct tenant *t, struct session *s)
{
    if (s->state == SESSION_CLOSING || !revoked_has(&t->revoked, s->sub, s->jti ? s->jti : "", s->issued_ms))
        return;
    log_info("session_revoked", "session=%s tenant=%s user=\"%s\"", s->id, t->id, s->sub);
    if (s->state == SESSION_LIVE)
        session_pump(s); /* what stands before his end is still his to hear */
    if (s->state == SESSION_CLOSING)
        return;
    if (!revoked_may_return(&t->revoked, s->sub))
        s->protocol->kick(s);
    session_close(s, CLOSE_REVOKED);
}

void tenant_end_revoked(struct tenant *t)
{
    list_foreach(node, &t->hub->sessions)
    {
        struct session *s = container_of(node, struct session, in_hub);
        if (s->tenant == t)
            end_if_revoked(t, s);
    }
}

/* Whether a value that may be for some rooms only is for this session. */
static bool is_for(const struct tenant *t, const struct session *s, const struct event *event)
{
    struct view room;
    char name[EVENT_ROOM_BYTES_MAX + 1];
    struct json_iter it = json_iter(event->rooms);
    while (json_next_element(&it, &room)) {
        const struct room *r =
            json_copy_string(room, name, sizeof name) ? room_find(&t->rooms, view_of(name)) : NULL;
        if (r && room_has(r, &s->member))
            return true;
    }
    return !event->rooms.n;
}

/* What was replayed out of the log may have lost values on the way, which the state-manager is asked for. Who
 * comes from a gateway that has heard them must not be told older ones. */
static bool is_latest_known(const struct tenant *t)
{
    return t->heads_answered >= t->latest_due || t->latest_given_up || !t->hub->rpc_up;
}

void tenant_doubt_latest(struct tenant *t)
{
    t->latest_due = t->heads_asked + 1; /* what is asked already may say what was before */
    t->latest_wanted = true;
    t->latest_given_up = false;
}

static bool may_have_latest(const struct tenant *t, const struct session *s)
{
    return s->latest_due ? t->heads_answered >= s->latest_due : is_latest_known(t);
}

/* Who is told values of its own: those for its rooms; all when some have come since it came, which it hears
 * out of the ring. */
struct choice {
    const struct tenant *t;
    const struct session *s;
    bool of_all;
};

static bool is_chosen(const void *ctx, const struct latest_value *value)
{
    const struct choice *c = ctx;
    return value->place < c->s->latest_before && (c->of_all || latest_is_restricted(value)) &&
           is_for(c->t, c->s, &value->record->event);
}

static void send_pack(struct session *s, const struct latest_pack *pack)
{
    for (size_t i = 0; i < pack->count; i++)
        session_send(s, frame_ref(pack->frames[i]));
}

static void send_latest(struct tenant *t, struct session *s)
{
    struct latest *l = &t->stream.latest;
    struct choice choice = {t, s, .of_all = l->packed_before > s->latest_before};
    struct position position = session_position(s);
    if (!choice.of_all)
        send_pack(s, latest_for_all(l, s->form, &position));
    if (!choice.of_all && !l->restricted)
        return;
    struct latest_pack own = latest_choose(l, s->form, &position, is_chosen, &choice);
    send_pack(s, &own);
    latest_pack_finish(&own);
}

void tenant_send_latest(struct tenant *t, struct session *s)
{
    s->latest_before = t->stream.ring.head;
    s->awaits_latest = !may_have_latest(t, s);
    t->latest_awaited |= s->awaits_latest;
    if (!s->awaits_latest)
        send_latest(t, s);
}

void tenant_send_latest_again(struct tenant *t, struct session *s, bool missed_nothing)
{
    s->latest_due = t->latest_due;
    if (missed_nothing && t->stream.latest.values.count > t->stream.latest.own) {
        s->latest_due = t->heads_asked + 1;
        t->head_wanted = t->latest_wanted = true;
        hub_ask_in_company(t->hub);
    }
    tenant_send_latest(t, s);
}

void tenant_settle_latest(struct tenant *t)
{
    if (!t->latest_awaited)
        return;
    t->latest_awaited = false;
    for (size_t i = 0; i < t->everyone->count; i++) {
        struct session *s = container_of(t->everyone->slots[i].member, struct session, member);
        if (!s->awaits_latest)
            continue;
        s->awaits_latest = !may_have_latest(t, s);
        t->latest_awaited |= s->awaits_latest;
        if (s->awaits_latest)
            continue;
        send_latest(t, s);
        if (s->state == SESSION_LIVE && !s->blocked)
            tenant_requeue(t, s);
        loop_wake_signal(t->hub->wake); /* which pumps */
    }
}

void tenant_begin_history(struct tenant *t)
{
    for (size_t i = 0; i < t->everyone->count; i++) {
        struct member *m = t->everyone->slots[i].member;
        for (unsigned j = 0; j < m->count; j++)
            m->rooms[j].since.anew = t->stream.ring.joint;
    }
}

void tenant_forget_old(struct tenant *t)
{
    ring_drop_before(&t->stream.ring, t->aged);
    t->aged = t->stream.ring.head;
}

void tenant_requeue(struct tenant *t, struct session *s)
{
    list_unlink(&s->queued);
    list_append(&t->dirty, &s->queued);
    if (list_empty(&t->in_dirty))
        list_append(&t->hub->dirty, &t->in_dirty);
}

static void mark_room(struct tenant *t, const struct room *room, uint64_t place, uint64_t heard)
{
    for (size_t i = 0; i < room->count; i++) {
        struct session *s = container_of(room->slots[i].member, struct session, member);
        if (session_mark(s, place, heard))
            tenant_requeue(t, s);
    }
}

static void mark_entry(struct tenant *t, struct entry *e, uint64_t place)
{
    const struct event *event = e->record ? &e->record->event : NULL;
    uint64_t heard = event && event->seq ? event->seq - 1 : e->at.seq;
    entry_resolve_rooms(e, &t->rooms);
    if (event && event->inside) {
        inside_take(t, e->record, place);
    } else if (e->restricted) {
        for (unsigned i = 0; i < e->room_count; i++)
            mark_room(t, e->rooms[i], place, heard);
    } else if (!t->all_marked) {
        mark_room(t, t->everyone, place, heard);
        t->all_marked = !list_empty(&t->dirty); /* until one of them is pumped */
    }
}

void tenant_mark(struct tenant *t)
{
    struct ring *ring = &t->stream.ring;
    for (; t->marked < ring->head; t->marked++)
        if (!ring_at(ring, t->marked)->dead)
            mark_entry(t, ring_at(ring, t->marked), t->marked);
    ring->kept = t->marked;
}

/* One line per event that has gone out, for those who watch. */
static void log_delivered(struct tenant *t)
{
    const struct ring *ring = &t->stream.ring;
    if (t->logged < ring->first || log_threshold < LOG_DEBUG)
        t->logged = log_threshold < LOG_DEBUG ? ring->head : ring->first;
    for (; t->logged < ring->head; t->logged++) {
        const struct entry *e = ring_at(ring, t->logged);
        log_debug("delivered", "tenant=%s type=%s seq=%" PRIu64 " sockets=%zu", t->id,
                  e->record ? e->record->event.type
                  : e->dead ? "replaced"
                            : "resync",
                  e->record ? e->record->event.seq : 0, e->sockets);
    }
}

bool tenant_flush(struct tenant *t, size_t max)
{
    for (; max && !list_empty(&t->dirty); max--)
        session_pump(container_of(t->dirty.next, struct session, queued)); /* takes it off the list */
    if (!list_empty(&t->dirty))
        return true;
    list_unlink(&t->in_dirty);
    log_delivered(t);
    return false;
}
