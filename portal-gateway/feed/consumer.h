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
 * Thread: started, asked and stopped by the loop's thread; works in its own.
 */
#ifndef PORTAL_GATEWAY_FEED_CONSUMER_H
#define PORTAL_GATEWAY_FEED_CONSUMER_H

#include "shared/err.h"
#include "shared/mailbox.h"
#include <stdint.h>

struct consumer;

struct consumer_options {
    const char *url, *exchange, *gateway_id;
    int64_t queue_messages, queue_bytes; /* what the broker keeps for us at most */
    struct mailbox *inbox;               /* letters of kind struct news */
};

/* NULL and err: the URL is wrong. The texts are copied. */
struct consumer *consumer_start(const struct consumer_options *options, struct err *err);
/* Joins; NULL-safe. */
void consumer_stop(struct consumer *c);
/* NEWS_BOUND follows, now and after every reconnect. */
void consumer_bind(struct consumer *c, const char *tenant_id);
void consumer_unbind(struct consumer *c, const char *tenant_id);
/* From now on one binding for everyone, and a filter here. */
void consumer_bind_all(struct consumer *c);

#endif
