/*
 * The composition root: makes the parts of a gateway in order, wires them, and ends them in reverse.
 *
 * Thread: the loop's. One per process.
 */
#ifndef PORTAL_GATEWAY_APP_H
#define PORTAL_GATEWAY_APP_H

#include "portal-gateway/settings.h"
#include "shared/compiler.h"
#include "shared/err.h"

struct app;

/* Everything but the listening socket and the threads. The settings must outlive it. */
struct app *app_create(const struct settings *settings, struct err *err) MUSTCHECK;
/* Starts the threads and listens. */
bool app_start(struct app *app, struct err *err) MUSTCHECK;
/* Serves until SIGTERM or SIGINT, then until the connections are closed. */
void app_run(struct app *app);
void app_destroy(struct app *app); /* NULL-safe */

#endif
