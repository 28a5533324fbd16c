/*
 * Catching up over REST: the events behind a position that the caller may hear. Those are the tenant's, those
 * of the rooms that his token gives, and those of the rooms of profiles that he may join, by a role, because
 * they are his, or because the document is that they are of. Thread: the reader's.
 */
#ifndef STATE_MANAGER_CATCH_UP_H
#define STATE_MANAGER_CATCH_UP_H

#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

/* job->after, its page's limit, the token's rooms in its body. False: job->err says why. */
bool catch_up_answer(struct store *store, struct job *job) MUSTCHECK;

#endif
