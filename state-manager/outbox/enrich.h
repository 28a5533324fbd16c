/*
 * Inbound messages with their conversations, for consumers behind the queue `inbound.enriched`:
 * {"v":1,"tenantId","message":{...},"conversation":{...}}, built from what a log entry holds.
 * Thread: any (pure).
 */
#ifndef STATE_MANAGER_OUTBOX_ENRICH_H
#define STATE_MANAGER_OUTBOX_ENRICH_H

#include "shared/buf.h"
#include "shared/view.h"
#include <stdbool.h>

#define ENRICHED_QUEUE "inbound.enriched"

/* Calls fn with a body for each inbound message of the entry, in order; id is the message's (stable over
 * repeats). False as soon as fn says so. */
bool enrich_entry(const char *tenant_id, struct view events, struct view changes,
                  bool (*fn)(void *ctx, struct view id, struct view body), void *ctx);

#endif
