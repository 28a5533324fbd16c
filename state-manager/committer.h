/*
 * The write path: takes the jobs that wait, decides all their commands tenant by tenant, and commits them
 * together.
 *
 * One fsync serves everybody who waited (group commit). An entry that another writer was first with is
 * decided again on the new state. Only when all commands of a job are durable is the job finished. Between
 * the groups it lets the keeper do its steps.
 *
 * Thread: one worker of its own; it alone uses the writer's handle of the store. Lifetime: create, then
 * worker; destroy after the worker has stopped.
 */
#ifndef STATE_MANAGER_COMMITTER_H
#define STATE_MANAGER_COMMITTER_H

#include "shared/worker.h"
#include "state-manager/core/store.h"
#include "state-manager/jobs.h"
#include "state-manager/keeper.h"
#include <stdbool.h>

struct committer;

/* `on_committed` tells the relay which tenant has news; called on the committer's thread. Takes the
 * store. `housekeeping` NULL: somebody else keeps this store in bounds. */
struct committer *committer_create(struct store *store, struct jobs *jobs,
                                   const struct keeper_options *housekeeping,
                                   void (*on_committed)(void *ctx, const char *tenant_id), void *ctx);
void committer_destroy(struct committer *c); /* NULL-safe */
void committer_run(struct worker *worker, void *committer);
/* Whether the last use of the store went well, and the one that is under way does not take too long. Any
 * thread. */
bool committer_healthy(const struct committer *c);

#endif
