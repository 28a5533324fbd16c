/* Which rooms a session is in: what its token gives, and what its client asked for. */
#include "portal-gateway/core/call.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/buf.h"
#include "shared/json.h"
#include "shared/log.h"
#include <stdio.h>
#include <string.h>

enum { NAME_IN_LOG_MAX = 256 };

static struct since since_now(const struct tenant *t)
{
    return (struct since){.seq = t->stream.at.seq, .place = t->stream.ring.head};
}

static bool join(struct session *s, struct view name, const struct since *since, bool asked_for)
{
    struct room *r = room_get(&s->tenant->rooms, name);
    bool joined = room_join(r, &s->member, since, asked_for);
    room_unref(r);
    return joined;
}

static void join_named(struct session *s, const char *prefix, const char *name, const struct since *since)
{
    char room[TOKEN_NAME_MAX + 16];
    int n = snprintf(room, sizeof room, "%s%s", prefix, name);
    join(s, (struct view){room, (size_t)n}, since, false);
}

static void join_all(struct session *s, const char *prefix, const struct token_list *names,
                     const struct since *since)
{
    for (size_t i = 0; i < names->count; i++)
        join_named(s, prefix, names->items[i], since);
}

void session_join_token_rooms(struct session *s, const struct claims *claims, const struct since *since)
{
    join_named(s, "user:", s->sub, since);
    join_all(s, "role:", &claims->roles, since);
    join_all(s, "team:", &claims->teams, since);
    join_all(s, "", &claims->rooms, since);
}

static bool lists(const struct token_list *names, struct view name)
{
    for (size_t i = 0; i < names->count; i++)
        if (view_is(name, names->items[i]))
            return true;
    return false;
}

static bool gives(const struct claims *claims, struct view room)
{
    struct view rest = room, prefix;
    if (lists(&claims->rooms, room))
        return true;
    if (!view_split(&rest, ':', &prefix) || !rest.p)
        return false;
    if (view_is(prefix, "user"))
        return view_is(rest, claims->sub);
    return (view_is(prefix, "role") && lists(&claims->roles, rest)) ||
           (view_is(prefix, "team") && lists(&claims->teams, rest));
}

void session_change_token_rooms(struct session *s, const struct claims *claims)
{
    struct since now = since_now(s->tenant);
    for (unsigned i = s->member.count; i > 0; i--) { /* the last one takes the place of one that is left */
        const struct membership *in = &s->member.rooms[i - 1];
        struct view name = {in->room->name, in->room->name_bytes};
        if (name.n && !in->asked_for && !gives(claims, name))
            room_leave(in->room, &s->member);
    }
    session_join_token_rooms(s, claims, &now);
}

bool session_join(struct session *s, struct view room)
{
    struct since now = since_now(s->tenant);
    return session_join_since(s, room, &now);
}

bool session_join_since(struct session *s, struct view room, const struct since *since)
{
    return room.n && join(s, room, since, true);
}

bool session_joined_at(struct session *s, struct view room, const char *offset)
{
    struct position at;
    const struct stream *stream = &s->tenant->stream;
    if (!offset_parse(view_of(offset), at.epoch, &at.seq))
        return false;
    bool is_foreign = *stream->at.epoch && strcmp(at.epoch, stream->at.epoch) != 0;
    bool passed = is_foreign || at.seq <= stream->at.seq;
    struct since since = {.seq = passed ? stream->at.seq : at.seq, .place = stream->ring.head};
    session_join_since(s, room, &since); /* unless it is in */
    return true;
}

bool session_leave(struct session *s, struct view room)
{
    struct room *r = room_find(&s->tenant->rooms, room);
    const struct membership *in = r && room.n ? room_membership(r, &s->member) : NULL;
    return in && in->asked_for && room_leave(r, &s->member);
}

void session_left_at(struct session *s, struct view offset)
{
    struct position at;
    if (position_read(offset, &at))
        s->left_at = at;
}

bool session_is_in(const struct session *s, struct view room)
{
    const struct room *r = room_find(&s->tenant->rooms, room);
    return r && room_has(r, &s->member);
}

/* Whether its client waits for an answer about that room, which will say. */
static bool is_asked(const struct session *s, const char *room)
{
    list_foreach(node, &s->calls)
    {
        if (!strcmp(container_of(node, struct call, in_calls)->subject, room))
            return true;
    }
    return false;
}

/* Its record has changed behind where it is in the room since, and does not name it. */
static bool has_left(const struct session *s, const struct roster_row *row, const struct membership *in)
{
    if (!in->asked_for || row->changed.seq <= in->since.seq || is_asked(s, in->room->name))
        return false;
    for (size_t i = 0; i < row->count; i++)
        if (!strcmp(row->rooms[i].name, in->room->name))
            return false;
    return true;
}

void session_correct_rooms(struct session *s, const struct roster_row *row)
{
    const struct position *at = &s->tenant->stream.at, stands = session_position(s);
    bool missed = false;
    s->rooms_doubted = !strcmp(s->left_at.epoch, row->changed.epoch) && row->changed.seq < s->left_at.seq;
    if (s->rooms_doubted)
        return;
    for (unsigned i = s->member.count; i > 0; i--) { /* the last one takes the place of one that is left */
        const struct membership *in = &s->member.rooms[i - 1];
        if (has_left(s, row, in))
            room_leave(in->room, &s->member);
    }
    for (size_t i = 0; i < row->count; i++) {
        const struct position *joined = &row->rooms[i].joined;
        struct since since = {.seq = joined->seq, .place = s->tenant->stream.ring.head};
        if (!strcmp(joined->epoch, at->epoch) && !is_asked(s, row->rooms[i].name) &&
            session_join_since(s, view_of(row->rooms[i].name), &since))
            missed |= joined->seq < at->seq && s->tenant->doubted_from < at->seq;
    }
    if (!missed || s->state != SESSION_LIVE)
        return;
    session_send(s, frame_of_resync(s->form, "events_gone", &stands));
    if (!s->blocked)
        session_pump(s);
}

bool session_is_recorded(const struct session *s)
{
    return s->protocol == &protocol_sio && s->hub->policy->recovery;
}

void session_log_refused_room(const struct session *s, const char *room, const char *code)
{
    struct buf name;
    buf_init(&name, NAME_IN_LOG_MAX);
    json_put_string(&name, view_of(room));
    log_warn("join_refused", "session=%s tenant=%s user=\"%s\" code=%s room=%.*s", s->id,
             tenant_id(s->tenant), s->sub, code, VIEW_ARG(buf_view(&name)));
    buf_free(&name);
}
