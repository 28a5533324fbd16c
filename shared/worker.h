/*
 * A named thread with a stop flag. Signals are blocked in it, so that they reach the loop.
 * Thread: created, stopped and destroyed by the loop's thread. Lifetime: destroy joins.
 */
#ifndef SHARED_WORKER_H
#define SHARED_WORKER_H

#include <stdbool.h>

struct worker;

/* `run` returns soon after worker_stopping() has become true. Name: at most 15 characters. */
struct worker *worker_start(const char *name, void (*run)(struct worker *worker, void *ctx), void *ctx);
bool worker_stopping(const struct worker *worker); /* any thread */
/* Raises the flag; whatever the thread waits on must be woken by the caller (mailbox_close). */
void worker_stop(struct worker *worker);
void worker_destroy(struct worker *worker); /* stops and joins; NULL-safe */

#endif
