/*
 * The composition root: owns every part of the running state-manager and knows the order of start and stop.
 * Thread: the loop's (main's).
 */
#ifndef STATE_MANAGER_APP_H
#define STATE_MANAGER_APP_H

#include "shared/err.h"
#include "state-manager/settings.h"

struct app;

/* Opens the store, makes the parts, binds the port, starts the workers. NULL and err: what is in the way. */
struct app *app_create(const struct settings *settings, struct err *err);
/* Serves until SIGTERM or SIGINT, then answers what is under way and returns. */
void app_run(struct app *app);
void app_destroy(struct app *app); /* NULL-safe */

#endif
