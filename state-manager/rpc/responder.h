/*
 * Answers the gateways' requests on the queue `state-manager.rpc`, out of the log.
 *
 *   {"v":1,"op":"heads","tenants":[...],"latest":true?} ->
 * {"ok":true,"heads":{t:{"epoch","seq"}},"latest":{t:[body]}?}
 *   {"v":1,"op":"replay","tenantId","epoch","after","limit"} ->
 * {"ok":true,"tenantId","epoch","head","complete","events":[body]} anything else ->
 * {"ok":false,"error":{"code","message"}}
 *
 * epoch "": the tenant has no history yet. complete:false: some events behind `after` are gone, or the epoch
 * is another. An answer is cut at about REPLAY_BYTES; the caller goes on from the last event until `head`.
 *
 * Thread: one worker of its own, with its own broker connection and reader's handle. Lifetime: as the
 * relay's.
 */
#ifndef STATE_MANAGER_RPC_RESPONDER_H
#define STATE_MANAGER_RPC_RESPONDER_H

#include "shared/worker.h"
#include "state-manager/core/store.h"

#define RPC_QUEUE "state-manager.rpc"

struct responder;

/* Takes the store. */
struct responder *responder_create(const char *amqp_url, struct store *store, struct err *err);
void responder_destroy(struct responder *r); /* NULL-safe */
void responder_run(struct worker *worker, void *responder);
bool responder_connected(const struct responder *r); /* any thread */

#endif
