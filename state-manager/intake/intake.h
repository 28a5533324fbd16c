/*
 * Takes events of other producers from the queue `waba.agent-portal.events`: bodies
 * {"type","tenantId","data"}, committed to the log like any command and acknowledged to the broker only then.
 *
 * What comes twice has one effect: by message-id, by the body's `id`, or, where there is neither and the
 * broker says that it delivers again, by a digest of the body remembered for ten minutes. A body that carries
 * epoch and seq is one of our own coming round (an old binding of the exchange to the queue): counted and
 * dropped, never published again. What cannot be an event goes to `waba.dead-letter` with the reason.
 *
 * Thread: one worker of its own, with its own broker connection. Lifetime: as the relay's.
 */
#ifndef STATE_MANAGER_INTAKE_INTAKE_H
#define STATE_MANAGER_INTAKE_INTAKE_H

#include "shared/worker.h"
#include "state-manager/jobs.h"

#define INTAKE_QUEUE      "waba.agent-portal.events"
#define DEAD_LETTER_QUEUE "waba.dead-letter"

struct intake;

struct intake *intake_create(const char *amqp_url, struct jobs *jobs, struct err *err);
void intake_destroy(
    struct intake *in); /* NULL-safe; after the committer has stopped, which may hold its jobs */
void intake_run(struct worker *worker, void *intake);

#endif
