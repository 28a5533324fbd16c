/*
 * The rpc thread: questions to the state-manager over a broker connection of its own. Every question is
 * answered by one letter to the loop, in time or as failed.
 *
 * Thread: started, asked and stopped by the loop's thread; works in its own.
 */
#ifndef PORTAL_GATEWAY_FEED_RPC_H
#define PORTAL_GATEWAY_FEED_RPC_H

#include "portal-gateway/core/letters.h"
#include "shared/err.h"
#include "shared/mailbox.h"

struct rpc;

/* NULL and err: the URL is wrong. */
struct rpc *rpc_start(const char *url, const char *gateway_id, struct mailbox *inbox, struct err *err);
/* Joins; NULL-safe. */
void rpc_stop(struct rpc *r);
void rpc_ask_heads(struct rpc *r, struct heads *heads); /* takes */
void rpc_ask_replay(struct rpc *r, const char *tenant_id, const struct position *after);

#endif
