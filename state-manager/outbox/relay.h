/*
 * The outbox: publishes the log's entries to the events exchange, in order per tenant, with confirms,
 * pipelined, and remembers how far it got. Whatever happens on the way, an entry is published again until the
 * broker has it; gateways drop what comes twice.
 *
 * It also announces the figures (`metrics_update`): the newest only, at most once a second per tenant.
 *
 * Thread: one worker of its own, with its own broker connection and its own reader's handle of the store.
 * Lifetime: create, then worker; destroy after the worker has stopped.
 */
#ifndef STATE_MANAGER_OUTBOX_RELAY_H
#define STATE_MANAGER_OUTBOX_RELAY_H

#include "shared/worker.h"
#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

struct relay;

struct relay_options {
    const char *amqp_url, *exchange;
    struct store *store; /* taken */
    struct jobs *jobs;   /* where marks go */
};

struct relay *relay_create(const struct relay_options *options, struct err *err);
void relay_destroy(struct relay *r); /* NULL-safe */
void relay_run(struct worker *worker, void *relay);
/* The tenant has news. Any thread; never waits; losing one is harmless, the relay looks for itself every 2 s.
 */
void relay_nudge(void *relay, const char *tenant_id);
/* Ends the waits of relay_run(), for the stop. Any thread. */
void relay_wake(struct relay *r);
/* Whether the broker takes our publishes. Any thread. */
bool relay_connected(const struct relay *r);

#endif
