/*
 * The feed thread: what the exchange has for the tenants present here, decoded and put into the loop's
 * mailbox.
 *
 * It owns one broker connection and this gateway's queue (exclusive, bounded, dropping its head: what is
 * dropped is a hole, and holes are filled). After any loss it connects, declares, binds and consumes again,
 * with backoff and jitter; each binding is then confirmed anew, so that the loop asks for the heads.
 *
 * Ack policy, here and only here: a delivery is acked (gathered, "multiple") once its letter is with the
 * loop. What is no event is acked too, counted and logged: another try would not make it one. A loop that
 * does not take its letters pauses consumption; when that lasts, the connection is given up and everything is
 * asked for again.
 *
 * It hears the other gateways, too: heartbeats have an exchange of their own (fanout), so that nobody who
 * listens to events is bothered with them.
 *
 * Thread: started, asked and stopped by the loop's thread; works in its own.
 */
#ifndef PORTAL_GATEWAY_FEED_CONSUMER_H
#define PORTAL_GATEWAY_FEED_CONSUMER_H

#include "portal-gateway/core/peer_keys.h"
#include "shared/err.h"
#include "shared/mailbox.h"
#include <stdint.h>

struct consumer;

struct consumer_options {
    const char *url, *exchange, *gateway_id;
    int64_t queue_messages, queue_bytes; /* what the broker keeps for us at most */
    struct mailbox *inbox;               /* letters of kind struct news */
    const char *beats_exchange;          /* where gateways say that they are there; NULL: they do not */
    const struct peer_keys *keys;        /* what they sign it with; copied */
};

/* NULL and err: the URL is wrong. The texts are copied. */
struct consumer *consumer_start(const struct consumer_options *options, struct err *err);
/* Joins; NULL-safe. */
void consumer_stop(struct consumer *c);
/* NEWS_BOUND follows, now and after every reconnect. For a tenant that is bound: binds it again, in case the
 * broker has lost the binding. */
void consumer_bind(struct consumer *c, const char *tenant_id);
void consumer_unbind(struct consumer *c, const char *tenant_id);
/* Binds to the heartbeats anew. */
void consumer_bind_beats(struct consumer *c);
/* From now on one binding for everyone, and a filter here. */
void consumer_bind_all(struct consumer *c);

#endif
