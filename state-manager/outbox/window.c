#include "state-manager/outbox/window.h"
#include "shared/mem.h"
#include <stdlib.h>

void window_init(struct window *w)
{
    *w = (struct window){0};
}

void window_finish(struct window *w)
{
    free(w->records);
    window_init(w);
}

bool window_full(struct window *w)
{
    w->is_full = w->count >= (w->is_full ? WINDOW_OPENS : WINDOW_FULL);
    return w->is_full;
}

static struct window_record *record_at(const struct window *w, size_t i)
{
    return &w->records[(w->first + i) % w->cap];
}

static void grow(struct window *w)
{
    size_t cap = w->cap ? w->cap * 2 : WINDOW_FULL * 2;
    struct window_record *records = xcalloc(cap, sizeof *records);
    for (size_t i = 0; i < w->count; i++)
        records[i] = *record_at(w, i);
    free(w->records);
    w->records = records;
    w->cap = cap;
    w->first = 0;
}

static void add(struct window *w, struct window_record record)
{
    if (w->count == w->cap)
        grow(w);
    *record_at(w, w->count) = record;
    w->count++;
}

void window_add(struct window *w, uint64_t tag, void *owner, uint64_t entry, uint64_t rev)
{
    add(w, (struct window_record){tag, owner, entry, rev, false});
}

bool window_follow(struct window *w, void *owner, uint64_t entry)
{
    if (!w->count)
        return false;
    struct window_record *last = record_at(w, w->count - 1);
    add(w, (struct window_record){last->tag, owner, entry, 0, last->confirmed});
    return true;
}

static bool is_meant(const struct window_record *record, uint64_t tag, bool multiple)
{
    return multiple ? record->tag <= tag : record->tag == tag;
}

void window_ack(struct window *w, uint64_t tag, bool multiple,
                void (*confirmed)(void *ctx, void *owner, uint64_t entry, uint64_t rev), void *ctx)
{
    for (size_t i = 0; i < w->count && record_at(w, i)->tag <= tag; i++)
        if (is_meant(record_at(w, i), tag, multiple))
            record_at(w, i)->confirmed = true;
    while (w->count && record_at(w, 0)->confirmed) {
        struct window_record *first = record_at(w, 0);
        if (first->owner)
            confirmed(ctx, first->owner, first->entry, first->rev);
        w->first = (w->first + 1) % w->cap;
        w->count--;
    }
}

/* The records stay, because later tags count on their places. Returns how many messages it were. */
static size_t forget(struct window *w, const void *owner)
{
    size_t messages = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct window_record *record = record_at(w, i);
        if (record->owner != owner)
            continue;
        record->owner = NULL;
        messages += !record->entry;
    }
    return messages;
}

void window_nack(struct window *w, uint64_t tag, bool multiple,
                 void (*refused)(void *ctx, void *owner, size_t messages), void *ctx)
{
    for (size_t i = 0; i < w->count && record_at(w, i)->tag <= tag; i++) {
        struct window_record *record = record_at(w, i);
        if (record->confirmed || !is_meant(record, tag, multiple))
            continue;
        void *owner = record->owner;
        record->confirmed = true;
        if (owner)
            refused(ctx, owner, forget(w, owner));
    }
}

size_t window_drop(struct window *w)
{
    size_t messages = 0;
    for (size_t i = 0; i < w->count; i++)
        messages += record_at(w, i)->owner && !record_at(w, i)->entry;
    w->first = w->count = 0;
    return messages;
}
