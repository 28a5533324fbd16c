/* Which rooms a session is in: what its token gives, and what its client asked for. */
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include <stdio.h>
#include <string.h>

static struct since since_now(const struct tenant *t)
{
    return (struct since){t->stream.at.seq, t->stream.ring.head};
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

bool session_join(struct session *s, struct view room)
{
    struct since now = since_now(s->tenant);
    return session_join_since(s, room, &now);
}

bool session_join_since(struct session *s, struct view room, const struct since *since)
{
    return room.n && join(s, room, since, true);
}

void session_joined_at(struct session *s, struct view room, const char *offset)
{
    struct position at;
    const struct stream *stream = &s->tenant->stream;
    bool known = offset_parse(view_of(offset), at.epoch, &at.seq) && !strcmp(at.epoch, stream->at.epoch);
    if (!known || at.seq <= stream->at.seq)
        session_join(s, room); /* unless it is in */
}

bool session_leave(struct session *s, struct view room)
{
    struct room *r = room_find(&s->tenant->rooms, room);
    const struct membership *in = r && room.n ? room_membership(r, &s->member) : NULL;
    return in && in->asked_for && room_leave(r, &s->member);
}

bool session_is_in(const struct session *s, struct view room)
{
    const struct room *r = room_find(&s->tenant->rooms, room);
    return r && room_has(r, &s->member);
}

bool session_is_recorded(const struct session *s)
{
    return s->protocol == &protocol_sio && s->hub->policy->recovery;
}
