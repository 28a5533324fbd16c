/*
 * The recent events of one tenant, bounded by count and bytes; every socket of the tenant holds a cursor into
 * it.
 *
 * Places are numbered from 0 and never reused: `first` is the oldest that is still there, `head` the next to
 * be filled. A `latest` value that was replaced leaves a dead entry behind. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_RING_H
#define PORTAL_GATEWAY_CORE_RING_H

#include "portal-gateway/core/frame.h"
#include "portal-gateway/core/record.h"
#include "portal-gateway/core/room.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct entry {
    struct record *record; /* NULL: a resync */
    const char *reason;    /* of a resync, a literal */
    struct position at;    /* where a client stands that has heard this */
    bool dead;             /* replaced by a newer one */
    bool restricted;       /* for its rooms only; else for the whole tenant */
    unsigned room_count;
    struct room **rooms; /* one reference each */
    struct frame *frames[FRAME_FORMS];
    size_t bytes;          /* what it costs to keep */
    uint64_t bytes_before; /* of all entries ever put in before it */
    size_t sockets;        /* that were written to */
};

struct ring {
    struct entry **slots; /* cap is a power of two and grows up to the maximum */
    size_t cap, max_events, max_bytes;
    uint64_t first, head;
    uint64_t bytes_ever; /* of all entries ever put in */
    uint64_t kept;       /* entries from there on stay, whatever the bounds: their sockets do not know of them
                          * yet. UINT64_MAX: there are none */
    uint64_t joint; /* the place behind the last resync: what is before does not lead up to what follows */
    struct position before; /* where a client stands that has heard all before `first`, or before `joint` */
};

void ring_init(struct ring *ring, size_t max_events, size_t max_bytes);
void ring_finish(struct ring *ring);
/* Takes the record; drops the oldest entries as far as the bounds ask for. */
struct entry *ring_append(struct ring *ring, struct record *record, const struct position *at);
struct entry *ring_append_resync(struct ring *ring, const char *reason, const struct position *at);
/* first <= place < head */
static inline struct entry *ring_at(const struct ring *ring, uint64_t place)
{
    return ring->slots[place & (ring->cap - 1)];
}
/* Bytes of the entries from place to head. */
uint64_t ring_bytes_from(const struct ring *ring, uint64_t place);
/* The stream has been put in place there: what follows comes right behind it. Nothing is in the ring. */
void ring_place(struct ring *ring, const struct position *at);
/* Whether everything behind that position is there; then *place is where it goes on. */
bool ring_covers(const struct ring *ring, const struct position *at, uint64_t *place);
/* The position before what stands at that place (first to head). */
struct position ring_before(const struct ring *ring, uint64_t place);
/* Forgets the entries before that place. */
void ring_drop_before(struct ring *ring, uint64_t place);
/* A dead entry keeps its place only. */
void ring_kill(struct ring *ring, uint64_t place);

/* Names the rooms that it is for: of its record, once. */
void entry_resolve_rooms(struct entry *e, struct room_index *index);
/* Gives back what it holds; the entry itself is its owner's. */
void entry_release(struct entry *e);
/* The frame in that form; made at the first call. Borrowed. */
struct frame *entry_frame(struct entry *e, enum frame_form form);

#endif
