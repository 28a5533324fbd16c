/*
 * Which callers are among the people that their profile keeps (core/people.h), with what their tokens say of
 * them now: asked of the store, and remembered for some seconds, since another state-manager may write it.
 *
 * Thread: the reader's; asks its handle of the store. Lifetime: embedded.
 */
#ifndef STATE_MANAGER_ACQUAINTANCES_H
#define STATE_MANAGER_ACQUAINTANCES_H

#include "shared/map.h"
#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

struct acquaintances {
    struct store *store;
    struct map known; /* tenant and document -> struct acquaintance */
};

void acquaintances_init(struct acquaintances *a, struct store *store);
void acquaintances_finish(struct acquaintances *a);
/* Of a job on a resource. *known also where there is nobody to be kept. False: the store did not answer. */
bool acquaintances_know(struct acquaintances *a, const struct job *job, bool *known,
                        struct err *err) MUSTCHECK;

#endif
