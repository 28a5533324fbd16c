/*
 * The only crossing between threads: a bounded queue of letters, fair between senders, plus a wake.
 *
 * A letter is embedded in a struct of the sender's (container_of brings it back). Pushing hands the struct
 * over: the pusher must not touch it again. What is in it are copies and ids, never pointers to live objects
 * of another thread.
 *
 * Fairness: every letter names a lane (a hash of its tenant). The drain takes lanes in turn, one letter each,
 * and keeps the order within a lane. A lane may hold at most half of the capacity, so one tenant's flood
 * waits behind its own.
 *
 * Thread: any may push; one drains. Lifetime: destroyed after both sides have stopped; letters left inside
 * are given to `discard`.
 */
#ifndef SHARED_MAILBOX_H
#define SHARED_MAILBOX_H

#include "shared/compiler.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct letter {
    struct letter *next;
};

struct mailbox;

/* `wake` is called by pushers, outside the lock, when the mailbox was empty before; it must be callable from
 * any thread. NULL: the drainer waits with mailbox_wait() or on mailbox_fd(). */
struct mailbox *mailbox_create(size_t capacity, void (*wake)(void *), void *wake_ctx);
void mailbox_destroy(struct mailbox *m, void (*discard)(struct letter *)); /* NULL-safe */

/* Takes the letter on true. False: full (then it is still the caller's) or closed. */
bool mailbox_push(struct mailbox *m, uint64_t lane, struct letter *letter) MUSTCHECK;
/* As above, but waits for room up to timeout_ms. */
bool mailbox_push_wait(struct mailbox *m, uint64_t lane, struct letter *letter, int timeout_ms) MUSTCHECK;
/* Up to `max` letters as a chain linked by next, or NULL. Never waits. */
struct letter *mailbox_drain(struct mailbox *m, size_t max);
/* Waits until there is something, it is closed, or the time is up. True when there is something. */
bool mailbox_wait(struct mailbox *m, int timeout_ms);
/* An eventfd that is readable while there is something; mailbox_drain() resets it. Made at the first call, by
 * the drainer, before anybody pushes. */
int mailbox_fd(struct mailbox *m);
size_t mailbox_count(struct mailbox *m);
/* No pushes from now on; wakes everybody who waits. */
void mailbox_close(struct mailbox *m);

#endif
