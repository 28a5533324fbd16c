/*
 * Answers the gateways' requests on the queue `state-manager.rpc`: reads out of the log and the documents,
 * commands through the committer. A request carries reply-to and a correlation id; its delivery is
 * acknowledged once its answer was published.
 *
 *   {"v":1,"op":"heads","tenants":[...],"latest":true?} -> {"ok":true,"heads":{t:{"epoch","seq"}}} and for
 * latest
 *       {"latest":{t:[body]},"revocations":{t:[{"sub"?,"jti"?,"before":<wall ms>}]}}
 *   {"v":1,"op":"replay","tenantId","epoch","after","limit"} ->
 *       {"ok":true,"tenantId","epoch","head","complete","events":[body]}
 *   {"v":1,"op":"rights","tenantId","rooms":[name]} -> {"ok":true,"rooms":{name:true|false|<owner>}}: whether
 * it is the room of a conversation or a profile's document that there is; whose, where the profile's rule for
 * the room asks for that ("": nobody's)
 *   {"v":1,"op":"sessions","tenantId","after":""} ->
 * {"ok":true,"tenantId","epoch","head","sessions":[{"pid","sub",
 *       "rooms":{name:<offset>},"ended"?,"generation"?,"offset","at"}],"next"}: behind a pid, by pid; next
 * "": there are no more
 *   {"v":1,"op":"command","tenantId","author","command","conversationId"?,"key"?,"body"} ->
 * {"ok":true,"reply"}: what REST answers. send_message and mark_read are REST's; session: body
 * {"pid","generation"?,"room","in","granted"?} or {"pid","generation"?,"ended":true}, reply {"offset"}, null
 * when there was nothing to leave; granted: the token alone is enough for the room of a profile, else its
 * document must be the author's; generation: of the session's connection (portal-gateway/core/inside.h), an
 * earlier one than the latest that has asked is refused with CONFLICT. write: beside the body
 * "operation":"<profile>.<resource>.<operation>","params":{name:string},"claims":{"sub","tenantId",
 * "roles",...}, and the reply is the operation's. The
 * same key of the same author, or without one the same message-id, has one effect and one answer. anything
 * else -> {"ok":false,"error":{"code","message"}}, codes as over REST
 *
 * epoch "": the tenant has no history yet. complete:false: some events behind `after` are gone, or the epoch
 * is another. An answer is cut at about REPLAY_BYTES; the caller goes on from the last event until `head`.
 * `head` of sessions is read before them: what their documents do not have yet has a later place.
 *
 * Thread: one worker of its own, with its own broker connection and reader's handle. Lifetime: as the
 * relay's.
 */
#ifndef STATE_MANAGER_RPC_RESPONDER_H
#define STATE_MANAGER_RPC_RESPONDER_H

#include "shared/worker.h"
#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

#define RPC_QUEUE "state-manager.rpc"

struct responder;

struct responder_options {
    const char *amqp_url;
    struct store *store; /* taken */
    struct jobs *jobs;
    const struct profiles *profiles;
    size_t commands_max;     /* commands under way; more are refused (rpc/commands.h) */
    size_t command_body_max; /* bytes */
};

struct responder *responder_create(const struct responder_options *options, struct err *err);
void responder_destroy(struct responder *r); /* NULL-safe; after the committer has stopped */
void responder_run(struct worker *worker, void *responder);
bool responder_connected(const struct responder *r); /* any thread */

#endif
