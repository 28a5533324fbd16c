/*
 * The rpc thread: questions to the state-manager over a broker connection of its own. Every question is
 * answered by one letter to the loop, in time or as failed. What the gateway publishes itself (heartbeats,
 * what is ephemeral) leaves here too, as long as there is a connection, and is lost otherwise: under an alarm
 * the broker reads nothing from a connection that publishes, and the feed's has to ack.
 *
 * Thread: started, asked and stopped by the loop's thread; works in its own.
 */
#ifndef PORTAL_GATEWAY_FEED_RPC_H
#define PORTAL_GATEWAY_FEED_RPC_H

#include "portal-gateway/core/letters.h"
#include "shared/err.h"
#include "shared/mailbox.h"

struct rpc;

struct rpc_options {
    const char *url, *gateway_id;
    const char *exchange;       /* of the events */
    const char *beats_exchange; /* of the gateways' heartbeats, declared; NULL: there are none */
    struct mailbox *inbox;      /* letters of kind struct news */
};

/* NULL and err: the URL is wrong. The texts are copied. */
struct rpc *rpc_start(const struct rpc_options *options, struct err *err);
/* Joins; NULL-safe. */
void rpc_stop(struct rpc *r);
void rpc_ask_heads(struct rpc *r, struct heads *heads); /* takes */
void rpc_ask_replay(struct rpc *r, const char *tenant_id, const struct position *after);
void rpc_ask_past(struct rpc *r, const char *tenant_id, const struct position *after);
/* A request that the loop has written; NEWS_ANSWER with that token follows. */
void rpc_ask(struct rpc *r, const char *tenant_id, uint64_t token, struct view request);
/* Publishes a heartbeat; an event body. */
void rpc_beat(struct rpc *r, struct view body);
void rpc_publish(struct rpc *r, const char *tenant_id, const char *type, struct view body);

#endif
