/*
 * The read path: answers the jobs that only read, from documents, in the state-manager's own words.
 * Thread: one worker of its own, with its own reader's handle. Lifetime: create, then worker; destroy after
 * it stopped.
 */
#ifndef STATE_MANAGER_READER_H
#define STATE_MANAGER_READER_H

#include "shared/worker.h"
#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

struct reader;

struct reader *reader_create(struct store *store, struct jobs *jobs); /* takes the store */
void reader_destroy(struct reader *r);                                /* NULL-safe */
void reader_run(struct worker *worker, void *reader);

#endif
