#include "portal-gateway/core/recovery.h"
#include "portal-gateway/core/admission.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/inside.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of what is sent before the answer to CONNECT, at most; bytes of bodies. */
enum { EARLY_EVENTS = 60, EARLY_BYTES = 4096, EARLY_POLLED_BYTES = 32768 };

/* --- what is wished for --- */

void recovery_wish_sio(struct session *s, struct view pid, struct view offset)
{
    if (json_type(pid) == JSON_NONE || !s->hub->policy->recovery)
        return;
    recovery_forget(s);
    struct wish *w = s->wish = xcalloc(1, sizeof *w);
    if (json_type(pid) != JSON_STRING || !json_copy_string(pid, w->pid_text, sizeof w->pid_text))
        w->pid_text[0] = 0;
    w->has_offset = position_read(offset, &w->offset);
    w->is_unreadable = !w->has_offset && json_type(offset) != JSON_NONE;
}

static void on_right(struct rights_wait *wait, const struct answer *answer)
{
    struct wished_room *room = container_of(wait, struct wished_room, wait);
    bool known = answer->ok || !strcmp(answer->code, "NOT_FOUND");
    bool granted = answer->ok && admission_opens(room->session, view_of(room->name), answer->body);
    room->right = !known ? ROOM_UNKNOWN : granted ? ROOM_GRANTED : ROOM_DENIED;
    if (room->right == ROOM_DENIED)
        session_log_refused_room(room->session, room->name, err_code_name(ERR_DENIED));
    if (room->right != ROOM_UNKNOWN && !room->session->wish->asking) /* else the next tick asks again */
        tenant_open(room->session->tenant);
}

static void name_rooms(struct session *s, struct view rooms)
{
    struct wish *w = s->wish;
    char name[EVENT_ROOM_BYTES_MAX + 1];
    struct view one;
    struct json_iter it = json_iter(rooms);
    for (struct json_iter count = it; json_next_element(&count, &one);)
        w->room_count++;
    w->rooms = xcalloc(w->room_count + 1, sizeof *w->rooms);
    for (size_t i = 0; json_next_element(&it, &one); i++) {
        struct wished_room *room = &w->rooms[i];
        room->session = s;
        room->name = xstrdup(json_copy_string(one, name, sizeof name) ? name : "");
        rights_wait_init(&room->wait, on_right);
    }
}

void recovery_wish_ws(struct session *s, struct view offset, struct view rooms)
{
    recovery_forget(s);
    if (json_type(offset) == JSON_NONE && json_type(rooms) != JSON_ARRAY)
        return;
    struct wish *w = s->wish = xcalloc(1, sizeof *w);
    w->has_offset = position_read(offset, &w->offset);
    w->is_unreadable = !w->has_offset && json_type(offset) != JSON_NONE;
    name_rooms(s, rooms);
}

void recovery_forget(struct session *s)
{
    struct wish *w = s->wish;
    if (!w)
        return;
    for (size_t i = 0; i < w->room_count; i++) {
        rights_cancel(&w->rooms[i].wait);
        free(w->rooms[i].name);
    }
    free(w->rooms);
    free(w);
    s->wish = NULL;
}

/* --- whether it can be --- */

static const char *const losses[] = {
#define X(id, name) name,
    LOSSES(X)
#undef X
};

static enum recovery refuse(const struct session *s, enum loss why)
{
    meter_add(NOT_RECOVERED, 1);
    log_info("not_recovered", "session=%s tenant=%s user=\"%s\" why=%s", s->id, tenant_id(s->tenant), s->sub,
             losses[why]);
    return RECOVERY_NONE;
}

static bool is_epoch(const struct position *p, const char *epoch)
{
    return !strcmp(p->epoch, epoch);
}

/* Where a Socket.IO client stands: where it says, but not before its session began. A client that was not
 * recovered keeps the offset that it had (wire spec, 4.7). What it says and nobody can read hides what it has
 * heard: nothing can be repeated to it then. */
static bool find_position(struct wish *w, const char *epoch)
{
    struct position base = w->pid.base;
    if (!*base.epoch) /* began before the tenant had any history */
        memcpy(base.epoch, epoch, sizeof base.epoch);
    if (w->has_offset && !*w->offset.epoch && !w->offset.seq)
        w->offset = base;
    w->from = w->has_offset ? w->offset : base;
    if (w->is_unreadable || !is_epoch(&w->from, epoch))
        return false;
    if (is_epoch(&base, epoch) && base.seq > w->from.seq)
        w->from = base;
    return true;
}

static uint64_t bytes_from(const struct ring *ring, uint64_t place)
{
    uint64_t bytes = 0;
    for (; place < ring->head; place++) {
        const struct record *r = ring_at(ring, place)->record;
        bytes += r && r->event.seq ? r->bytes : 0;
    }
    return bytes;
}

/* Whether what it missed is there: in the ring, or its beginning read from the log. */
static enum recovery look_for_missed(struct session *s)
{
    struct tenant *t = s->tenant;
    struct wish *w = s->wish;
    const struct policy *policy = s->hub->policy;
    uint64_t place;
    w->wants_log = false;
    if (t->stream.at.seq - w->from.seq > policy->recovery_events)
        return refuse(s, LOSS_TOO_MUCH);
    if (ring_covers(&t->stream.ring, &w->from, &place))
        return bytes_from(&t->stream.ring, place) <= policy->recovery_bytes ? RECOVERY_GRANTED
                                                                            : refuse(s, LOSS_TOO_MUCH);
    if (past_is_gone(&t->past, &w->from))
        return refuse(s, LOSS_EVENTS_GONE);
    if (past_find(&t->past, &w->from, loop_now_ms(s->hub->loop)))
        return RECOVERY_GRANTED;
    w->wants_log = true;
    tenant_want_past(t);
    return RECOVERY_WAIT;
}

/* Whether the stream has come as far as the client; another gateway may have been quicker. */
static enum recovery compare_with_stream(struct session *s)
{
    struct tenant *t = s->tenant;
    struct wish *w = s->wish;
    const struct stream *stream = &t->stream;
    if (w->from.seq <= stream->at.seq)
        return look_for_missed(s);
    if (!w->heads_due)
        w->heads_due = t->heads_asked + 1; /* what is asked already may say what was before */
    else if (t->heads_answered >= w->heads_due && w->from.seq > stream->head)
        return refuse(s, LOSS_BEYOND_THE_HEAD);
    tenant_want_head(t);
    return RECOVERY_WAIT;
}

static enum recovery decide_sio(struct session *s)
{
    struct tenant *t = s->tenant;
    struct wish *w = s->wish;
    struct pid *pid = &w->pid;
    if (!pid_read(&s->hub->pid_keys, s->claims, view_of(w->pid_text), pid))
        return refuse(s, LOSS_FOREIGN_PID);
    if (clock_wall_ms() - pid->issued_ms > s->hub->policy->pid_ms)
        return refuse(s, LOSS_OLD_PID);
    if (revoked_has(&t->revoked, s->sub, "", pid->issued_ms))
        return refuse(s, LOSS_REVOKED);
    if (t->roster.state != ROSTER_READ) {
        roster_want(&t->roster);
        return RECOVERY_WAIT;
    }
    const struct roster_row *row = roster_find(&t->roster, view_of(pid->id));
    if (row && row->ended)
        return refuse(s, LOSS_ENDED);
    if (!find_position(w, t->stream.at.epoch))
        return refuse(s, LOSS_ANOTHER_HISTORY);
    return compare_with_stream(s);
}

static void find_right(struct session *s, struct wished_room *room)
{
    bool by_token;
    enum admission admission = admission_of(s, view_of(room->name), &by_token);
    if (admission == ADMISSION_DEPENDS) {
        room->right = ROOM_ASKED;
        rights_ask(s->tenant->rights, &room->wait, view_of(room->name), loop_now_ms(s->hub->loop));
        return;
    }
    room->right = admission == ADMISSION_GRANTED ? ROOM_GRANTED : ROOM_DENIED;
    if (room->right == ROOM_DENIED)
        session_log_refused_room(s, room->name, err_code_name(ERR_DENIED));
}

/* Whether it is known of every room that the client names; asks for those of which it is not. */
static bool knows_rights(struct session *s)
{
    struct wish *w = s->wish;
    bool known = true;
    w->asking = true;
    for (size_t i = 0; i < w->room_count; i++) {
        struct wished_room *room = &w->rooms[i];
        if (room->right == ROOM_UNKNOWN)
            find_right(s, room);
        known &= room->right == ROOM_GRANTED || room->right == ROOM_DENIED;
    }
    w->asking = false;
    return known;
}

static enum recovery decide_ws(struct session *s)
{
    struct wish *w = s->wish;
    const char *epoch = s->tenant->stream.at.epoch;
    if (!knows_rights(s))
        return RECOVERY_WAIT;
    if (!w->has_offset && !w->is_unreadable)
        return RECOVERY_NONE;
    w->from = w->offset;
    if (!w->has_offset || (!is_epoch(&w->from, epoch) && (*w->from.epoch || w->from.seq)))
        return refuse(s, LOSS_ANOTHER_HISTORY);
    snprintf(w->from.epoch, sizeof w->from.epoch, "%s", epoch);
    return compare_with_stream(s);
}

enum recovery recovery_decide(struct session *s)
{
    if (!s->wish)
        return RECOVERY_NONE;
    return s->protocol == &protocol_ws ? decide_ws(s) : decide_sio(s);
}

/* --- becoming it --- */

/* Whether what it missed and the answer behind it arrive together: in a segment or three of TCP, or in one
 * answer to a poll. */
static bool is_little(struct session *s)
{
    struct tenant *t = s->tenant;
    const struct position *from = &s->wish->from;
    size_t most = session_polls(s) ? EARLY_POLLED_BYTES : EARLY_BYTES;
    uint64_t place, missed = t->stream.at.seq - from->seq;
    if (!missed)
        return true;
    if (missed > EARLY_EVENTS)
        return false;
    if (ring_covers(&t->stream.ring, from, &place))
        return bytes_from(&t->stream.ring, place) <= most;
    const struct chunk *c = past_find(&t->past, from, loop_now_ms(s->hub->loop));
    return c && c->last >= t->stream.at.seq && chunk_bytes_from(c, from->seq) <= most;
}

static void rejoin(struct session *s, const struct roster_row *row)
{
    for (size_t i = 0; row && i < row->count; i++) {
        const struct roster_room *room = &row->rooms[i];
        bool same = is_epoch(&room->joined, s->wish->from.epoch);
        struct since since = {.seq = same ? room->joined.seq : 0};
        session_join_since(s, view_of(room->name), &since);
    }
}

void recovery_displace(struct session *s)
{
    struct session *older =
        s->protocol == &protocol_ws ? NULL : map_get(&s->tenant->recoverable, view_of(s->wish->pid.id));
    if (!older)
        return;
    map_remove(&s->tenant->recoverable, view_of(older->id));
    member_finish(&older->member);
    session_close(older, CLOSE_TAKEN_OVER);
}

/* The same public id, and nobody else under it: here already, elsewhere by the fence. */
static void take_over(struct session *s)
{
    log_info("taken_over", "session=%s was=%s", s->id, s->wish->pid.id);
    memcpy(s->id, s->wish->pid.id, sizeof s->id);
    rejoin(s, roster_find(&s->tenant->roster, view_of(s->id)));
    inside_fence(s);
}

void recovery_join_wished(struct session *s, const struct since *since)
{
    for (size_t i = 0; s->wish && i < s->wish->room_count; i++)
        if (s->wish->rooms[i].right == ROOM_GRANTED)
            session_join_since(s, view_of(s->wish->rooms[i].name), since);
}

void recovery_begin(struct session *s)
{
    meter_add(RECOVERED, 1);
    const struct since beginning = {0};
    struct reading *r = s->reading = xcalloc(1, sizeof *r);
    r->at = s->wish->from;
    s->came_with = r->at.seq;
    tenant_join_rooms(s->tenant, s, &beginning);
    s->pending = s->replaying = true;
    bool is_plain = s->protocol == &protocol_ws, behind = !is_plain && is_little(s);
    if (is_plain)
        recovery_join_wished(s, &beginning);
    else
        take_over(s);
    if (!behind) { /* says at once what follows */
        uint64_t from = s->heard = s->wish->from.seq;
        tenant_make_live(s->tenant, s, true);
        s->told = from;
        session_pump(s);
        return;
    }
    map_put(&s->tenant->recoverable, view_of(s->id), s);
    session_set_due(s, DUE_CONNECT, loop_now_ms(s->hub->loop) + s->hub->policy->connect_timeout_ms);
    session_set_state(s, SESSION_RECOVERING);
    session_pump(s);
}

void recovery_complete(struct session *s)
{
    s->replaying = false;
    if (s->state == SESSION_RECOVERING)
        tenant_make_live(s->tenant, s, true);
    tenant_send_latest_again(s->tenant, s, s->came_with == s->tenant->stream.at.seq);
}

/* Out of the rooms that it asked for, since now it is a new one. */
static void start_anew(struct session *s)
{
    map_remove(&s->tenant->recoverable, view_of(s->id));
    crypto_random_id("", s->id);
    member_finish(&s->member);
    struct since now = {.seq = s->tenant->stream.at.seq, .place = s->tenant->stream.ring.head};
    tenant_join_rooms(s->tenant, s, &now);
    tenant_make_live(s->tenant, s, false);
}

void recovery_fail(struct session *s, enum loss why)
{
    const struct stream *stream = &s->tenant->stream;
    free(s->reading);
    s->reading = NULL;
    s->pending = s->replaying = false;
    refuse(s, why);
    if (s->state == SESSION_RECOVERING) {
        start_anew(s);
        return;
    }
    session_send(s, frame_of_resync(s->form, losses[why], &stream->at));
    s->told = stream->at.seq;
    tenant_send_latest(s->tenant, s);
}
