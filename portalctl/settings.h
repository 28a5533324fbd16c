/*
 * Settings of portalctl, from the environment. The rows are the documentation. Thread: boot; read-only then.
 */
#ifndef PORTALCTL_SETTINGS_H
#define PORTALCTL_SETTINGS_H

#include "shared/config.h"

struct settings {
    char *jwt_secret, *jwt_issuer, *jwt_audience;
    char *amqp_url, *events_exchange;
    char *store_url;
    char *state_manager_url;
    char *webhook_app_secret;
};

extern const struct config_row settings_rows[];
extern const size_t settings_count;

#endif
