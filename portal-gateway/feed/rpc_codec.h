/*
 * Requests to the state-manager and their answers, as bytes (queue `state-manager.rpc`).
 *
 *   {"v":1,"op":"heads","tenants":["a"],"latest":true}
 *     -> {"ok":true,"heads":{"a":{"epoch":"k3f9","seq":42}},"latest":{"a":[<event body>,...]},
 *         "revocations":{"a":[{"sub":"u1","before":1795269600000}]}}
 *   {"v":1,"op":"replay","tenantId":"a","epoch":"k3f9","after":40,"limit":500}
 *     -> {"ok":true,"tenantId":"a","epoch":"k3f9","head":47,"complete":true,"events":[<event body>,...]}
 *   errors: {"ok":false,"error":{"code","message"}}
 *
 * epoch "" = the tenant has no history yet. Pure functions; thread: any.
 */
#ifndef PORTAL_GATEWAY_FEED_RPC_CODEC_H
#define PORTAL_GATEWAY_FEED_RPC_CODEC_H

#include "portal-gateway/core/letters.h"
#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"

void rpc_write_heads(struct buf *out, const struct heads *heads);
void rpc_write_replay(struct buf *out, const char *tenant_id, const struct position *after, unsigned limit);

/* Fills in what was answered; events that cannot be read are left out. UNAVAILABLE: the answer is an error.
 */
bool rpc_read_heads(struct view body, struct heads *heads, struct err *err) MUSTCHECK;
/* Adds head, complete and records to a replay whose `after` is set. The records are then the caller's, also
 * on false. */
bool rpc_read_replay(struct view body, struct replay *replay, struct err *err) MUSTCHECK;

#endif
