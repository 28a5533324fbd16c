/*
 * The housekeeping: what grows is dropped after its time, what waited for an owner of its number is delivered
 * once it has one, and figures of yesterday are announced as today's.
 *
 * Works in small steps between the group commits, so that nobody waits long for it. Several state-managers
 * may do the same at once: every step can be repeated.
 *
 * Thread: the committer's; uses its handle of the store. Lifetime: create to destroy.
 */
#ifndef STATE_MANAGER_KEEPER_H
#define STATE_MANAGER_KEEPER_H

#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

struct keeper_options {
    int64_t every_s;              /* between two sweeps */
    int64_t log_days, log_events; /* per tenant; whichever ends first; sessions: log_days */
    int64_t raw_days;             /* what was not understood, receipts without a message */
    int64_t raw_count;            /* of what was not understood, per tenant; 0: any number */
    int64_t reply_hours, quarantine_days, revocation_days;
};

struct keeper;

/* What the keeper wants committed goes to `give`, which owns the job then and must settle it before the next
 * step. */
struct keeper *keeper_create(struct store *store, const struct keeper_options *options,
                             void (*give)(void *ctx, struct job *job), void *ctx);
void keeper_destroy(struct keeper *k); /* NULL-safe */

/* Does one step if one is due. False: the store failed; the keeper waits a while then. */
bool keeper_step(struct keeper *k, int64_t now_wall_ms, int64_t now_mono_ms, struct err *err) MUSTCHECK;
/* A channel got an owner: what waits for it is delivered soon. */
void keeper_deliver(struct keeper *k);
/* An entry is in the store, or may be: whose documents of a kind that is counted are more now. */
void keeper_saw(struct keeper *k, const struct entry *entry);
/* How long nothing is due, at most `most`. */
int keeper_wait_ms(const struct keeper *k, int64_t now_mono_ms, int most);

#endif
