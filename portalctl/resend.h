/*
 * Sends event bodies of the log to the exchange once more, as the relay does: same bytes, same routing key,
 * confirmed. Gateways drop them by seq. Thread: the only one.
 */
#ifndef PORTALCTL_RESEND_H
#define PORTALCTL_RESEND_H

#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

struct broker;

/* An open connection with confirms and the exchange declared; owned (broker_destroy()). NULL and err: the
 * broker is away or the URL is wrong. */
struct broker *resend_open(const char *amqp_url, const char *name, const char *exchange, struct err *err);
/* True: the broker has all of them. */
bool resend(struct broker *broker, const char *exchange, const char *tenant_id, const struct view *bodies,
            size_t count, struct err *err) MUSTCHECK;

#endif
