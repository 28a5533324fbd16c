#include "portal-gateway/core/room.h"
#include "shared/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

void room_index_init(struct room_index *index)
{
    map_init(&index->by_name);
}

void room_index_finish(struct room_index *index)
{
    assert(!index->by_name.count);
    map_free(&index->by_name);
}

static struct view name_of(const struct room *room)
{
    return (struct view){room->name, room->name_bytes};
}

struct room *room_find(const struct room_index *index, struct view name)
{
    return map_get(&index->by_name, name);
}

struct room *room_get(struct room_index *index, struct view name)
{
    struct room *room = room_find(index, name);
    if (!room) {
        room = xcalloc(1, sizeof *room + name.n + 1);
        room->index = index;
        room->name_bytes = name.n;
        if (name.n)
            memcpy(room->name, name.p, name.n);
        map_put(&index->by_name, name, room);
    }
    room->refs++;
    return room;
}

static void drop_when_unused(struct room *room)
{
    if (room->refs || room->count)
        return;
    map_remove(&room->index->by_name, name_of(room));
    free(room->slots);
    free(room);
}

void room_unref(struct room *room)
{
    room->refs--;
    drop_when_unused(room);
}

void member_init(struct member *m)
{
    *m = (struct member){0};
}

void member_finish(struct member *m)
{
    while (m->count)
        room_leave(m->rooms[m->count - 1].room, m);
    free(m->rooms);
    member_init(m);
}

const struct membership *room_membership(const struct room *room, const struct member *m)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->rooms[i].room == room)
            return &m->rooms[i];
    return NULL;
}

bool room_has(const struct room *room, const struct member *m)
{
    return room_membership(room, m) != NULL;
}

bool room_join(struct room *room, struct member *m, const struct since *since, bool asked_for)
{
    if (room_has(room, m))
        return false;
    if (room->count == room->cap) {
        room->cap = room->cap ? room->cap * 2 : 1;
        room->slots = xrealloc(room->slots, room->cap * sizeof *room->slots);
    }
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 4;
        m->rooms = xrealloc(m->rooms, m->cap * sizeof *m->rooms);
    }
    m->rooms[m->count] = (struct membership){room, room->count, asked_for, *since};
    room->slots[room->count++] = (struct room_slot){m, m->count++};
    return true;
}

/* Both indexes fill a freed place with their last one and tell the other side where that moved. */
bool room_leave(struct room *room, struct member *m)
{
    const struct membership *in = room_membership(room, m);
    if (!in)
        return false;
    unsigned at = (unsigned)(in - m->rooms);
    size_t slot = in->slot;

    room->slots[slot] = room->slots[--room->count];
    struct room_slot *moved = &room->slots[slot];
    if (slot < room->count)
        moved->member->rooms[moved->at].slot = slot;

    m->rooms[at] = m->rooms[--m->count];
    if (at < m->count)
        m->rooms[at].room->slots[m->rooms[at].slot].at = at;
    drop_when_unused(room);
    return true;
}
