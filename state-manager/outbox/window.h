/*
 * What was published and is not confirmed yet, in the order of publishing. Confirms come in any order, singly
 * or for all up to a tag; they are passed on in order, so that "confirmed up to entry n" is true when it is
 * said. Thread: the relay's.
 */
#ifndef STATE_MANAGER_OUTBOX_WINDOW_H
#define STATE_MANAGER_OUTBOX_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WINDOW_FULL = 1024, /* records; a turn that has begun may go over it */
    WINDOW_OPENS = 896  /* once it was full: a few at a time are dear, since each turn begins with reading */
};

struct window_record {
    uint64_t tag;   /* the broker's */
    void *owner;    /* NULL: forgotten */
    uint64_t entry; /* log entry that is complete with this, or 0 */
    uint64_t rev;   /* of figures, or 0 */
    bool confirmed;
};

struct window {
    struct window_record *records;
    size_t first, count, cap; /* a ring */
    bool is_full;             /* as window_full() last found */
};

void window_init(struct window *w);
void window_finish(struct window *w);
bool window_full(struct window *w);
void window_add(struct window *w, uint64_t tag, void *owner, uint64_t entry, uint64_t rev);
/* A record that is no message: the entry is complete once everything before it is confirmed. False: nothing
 * is before it, so it is complete now. */
bool window_follow(struct window *w, void *owner, uint64_t entry);
/* Passes on what is confirmed now; not what its owner has forgotten. */
void window_ack(struct window *w, uint64_t tag, bool multiple,
                void (*confirmed)(void *ctx, void *owner, uint64_t entry, uint64_t rev), void *ctx);
/* The broker has refused these: their owners start over, so that nothing of theirs that is out counts any
 * more. `refused` is told of each owner once, with the number of messages. window_ack(w, 0, ...) then passes
 * on what only waited for these. */
void window_nack(struct window *w, uint64_t tag, bool multiple,
                 void (*refused)(void *ctx, void *owner, size_t messages), void *ctx);
/* Forgets all; returns how many messages there were. */
size_t window_drop(struct window *w);

#endif
