/* Reads on profiles' resources: one document, lists, what was changed by whom. Thread: the reader's. */
#ifndef STATE_MANAGER_RESOURCES_H
#define STATE_MANAGER_RESOURCES_H

#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

/* What the job's operation (get, list or audit) says, into job->reply. False: job->err says why not. */
bool resources_answer(struct store *store, struct job *job) MUSTCHECK;

#endif
