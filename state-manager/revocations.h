/*
 * Which tokens are good no longer, of the tenants that are calling: read from the store by tenant, and
 * remembered for less than a second, so that a revocation is heeded here within one although every
 * state-manager may write it.
 *
 * Thread: a worker's; asks its handle of the store. Lifetime: embedded.
 */
#ifndef STATE_MANAGER_REVOCATIONS_H
#define STATE_MANAGER_REVOCATIONS_H

#include "shared/map.h"
#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

struct revocations {
    struct store *store;
    struct map tenants; /* id -> struct revoked */
};

void revocations_init(struct revocations *r, struct store *store);
void revocations_finish(struct revocations *r);
/* UNAUTHENTICATED: the caller's token was revoked. NULL, who came without one, always passes. */
bool revocations_admit(struct revocations *r, const struct caller *caller, struct err *err) MUSTCHECK;

#endif
