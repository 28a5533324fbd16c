#include "portal-gateway/core/ring.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 16 };

void ring_init(struct ring *ring, size_t max_events, size_t max_bytes)
{
    *ring =
        (struct ring){.max_events = max_events ? max_events : 1, .max_bytes = max_bytes, .kept = UINT64_MAX};
}

void entry_release(struct entry *e)
{
    for (size_t i = 0; i < FRAME_FORMS; i++) {
        frame_unref(e->frames[i]);
        e->frames[i] = NULL;
    }
    for (unsigned i = 0; i < e->room_count; i++)
        room_unref(e->rooms[i]);
    free(e->rooms);
    e->rooms = NULL;
    e->room_count = 0;
    record_destroy(e->record);
    e->record = NULL;
}

static void drop_oldest(struct ring *ring)
{
    struct entry *e = ring_at(ring, ring->first++);
    if (ring->first > ring->joint && *e->at.epoch)
        ring->before = e->at;
    entry_release(e);
    free(e);
}

void ring_finish(struct ring *ring)
{
    while (ring->first < ring->head)
        drop_oldest(ring);
    free(ring->slots);
    *ring = (struct ring){0};
}

static void grow(struct ring *ring)
{
    size_t cap = ring->cap ? ring->cap * 2 : FIRST_CAP;
    struct entry **slots = xcalloc(cap, sizeof *slots);
    for (uint64_t place = ring->first; place < ring->head; place++)
        slots[place & (cap - 1)] = ring_at(ring, place);
    free(ring->slots);
    ring->slots = slots;
    ring->cap = cap;
}

uint64_t ring_bytes_from(const struct ring *ring, uint64_t place)
{
    return place >= ring->head ? 0 : ring->bytes_ever - ring_at(ring, place)->bytes_before;
}

static bool is_over(const struct ring *ring)
{
    return ring->head - ring->first >= ring->max_events ||
           ring_bytes_from(ring, ring->first) > ring->max_bytes;
}

static struct entry *append(struct ring *ring, size_t bytes, const struct position *at)
{
    struct entry *e = xcalloc(1, sizeof *e);
    e->at = *at;
    e->bytes = sizeof *e + bytes;
    e->bytes_before = ring->bytes_ever;
    ring->bytes_ever += e->bytes;
    while (ring->first < ring->head && ring->first < ring->kept && is_over(ring))
        drop_oldest(ring);
    if (ring->head - ring->first == ring->cap)
        grow(ring);
    ring->slots[ring->head++ & (ring->cap - 1)] = e;
    return e;
}

struct entry *ring_append(struct ring *ring, struct record *record, const struct position *at)
{
    /* A frame of about the body's size will join it. */
    struct entry *e = append(ring, sizeof *record + 2 * record->bytes, at);
    e->record = record;
    e->restricted = record->event.rooms.n > 0;
    return e;
}

struct entry *ring_append_resync(struct ring *ring, const char *reason, const struct position *at)
{
    struct entry *e = append(ring, 0, at);
    e->reason = reason;
    ring->joint = ring->head;
    ring->before = *at;
    return e;
}

void ring_place(struct ring *ring, const struct position *at)
{
    ring->before = *at;
}

bool ring_covers(const struct ring *ring, const struct position *at, uint64_t *place)
{
    uint64_t low = ring->joint > ring->first ? ring->joint : ring->first, high = ring->head;
    if (strcmp(ring->before.epoch, at->epoch) != 0 || at->seq < ring->before.seq)
        return false;
    while (low < high) { /* positions never go back from `joint` on */
        uint64_t middle = low + (high - low) / 2;
        if (ring_at(ring, middle)->at.seq > at->seq)
            high = middle;
        else
            low = middle + 1;
    }
    *place = low;
    return true;
}

struct position ring_before(const struct ring *ring, uint64_t place)
{
    if (place <= ring->first || place <= ring->joint)
        return ring->before;
    return ring_at(ring, place - 1)->at;
}

void ring_drop_before(struct ring *ring, uint64_t place)
{
    while (ring->first < place && ring->first < ring->head)
        drop_oldest(ring);
}

void ring_kill(struct ring *ring, uint64_t place)
{
    struct entry *e = ring_at(ring, place);
    e->dead = true;
    entry_release(e);
}

void entry_resolve_rooms(struct entry *e, struct room_index *index)
{
    if (!e->restricted || e->rooms || e->dead)
        return;
    struct view room;
    char name[EVENT_ROOM_BYTES_MAX + 1];
    e->rooms = xcalloc(EVENT_ROOMS_MAX, sizeof(struct room *));
    struct json_iter it = json_iter(e->record->event.rooms);
    while (e->room_count < EVENT_ROOMS_MAX && json_next_element(&it, &room))
        if (json_copy_string(room, name, sizeof name))
            e->rooms[e->room_count++] = room_get(index, view_of(name));
    e->rooms = xrealloc(e->rooms, e->room_count * sizeof(struct room *));
}

static struct frame *build(const struct entry *e, enum frame_form form)
{
    if (!e->record)
        return frame_of_resync(form, e->reason, &e->at);
    const struct event *event = &e->record->event;
    struct view room = {NULL, 0};
    struct json_iter it = json_iter(event->rooms);
    if (!json_next_element(&it, &room))
        room.n = 0;
    return frame_of_event(form, event->type, event->data, &e->at, room);
}

struct frame *entry_frame(struct entry *e, enum frame_form form)
{
    if (!e->frames[form])
        e->frames[form] = build(e, form);
    return e->frames[form];
}
