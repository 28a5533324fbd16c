/*
 * The rooms of one tenant, by two indexes kept in step: room -> members, member -> rooms.
 *
 * A room lives as long as it has members or somebody holds a reference: entries of the ring do, so that "may
 * this socket see it" is a comparison of pointers. Names never leave their tenant. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_ROOM_H
#define PORTAL_GATEWAY_CORE_ROOM_H

#include "shared/map.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct room_index {
    struct map by_name;
};

struct room_slot;

struct room {
    struct room_index *index;
    unsigned refs;           /* without the members */
    struct room_slot *slots; /* the members, in no order */
    size_t count, cap;
    size_t name_bytes;
    char name[];
};

/* What is in rooms: embedded in a session. */
struct member {
    struct membership *rooms;
    unsigned count, cap;
};

struct room_slot {
    struct member *member;
    unsigned at; /* index in member->rooms */
};

/* Since when somebody is in a room: what stands before is not for him. */
struct since {
    uint64_t seq;   /* events with a seq: those above */
    uint64_t place; /* of the ring: entries from there on */
    uint64_t
        anew; /* a place of the ring: from there on another history counts its own seqs; 0: it does not */
};

struct membership {
    struct room *room;
    size_t slot;    /* index in room->slots */
    bool asked_for; /* by the client; else the token gave it */
    struct since since;
};

void room_index_init(struct room_index *index);
/* Every room must be gone by then. */
void room_index_finish(struct room_index *index);
/* The room of that name with one reference more; made when there is none. */
struct room *room_get(struct room_index *index, struct view name);
struct room *room_find(const struct room_index *index, struct view name); /* NULL: none; no reference */
void room_unref(struct room *room);

void member_init(struct member *m);
void member_finish(struct member *m); /* leaves everything */
/* False: it is in already. */
bool room_join(struct room *room, struct member *m, const struct since *since, bool asked_for);
bool room_leave(struct room *room, struct member *m); /* may destroy the room */
bool room_has(const struct room *room, const struct member *m);
/* NULL: it is not in. */
const struct membership *room_membership(const struct room *room, const struct member *m);

#endif
