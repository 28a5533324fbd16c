/*
 * The state-manager's configuration: one struct, one table (design: environment only). Read-only after boot.
 */
#ifndef STATE_MANAGER_SETTINGS_H
#define STATE_MANAGER_SETTINGS_H

#include "shared/config.h"
#include "shared/profile.h"

struct settings {
    char *host;
    int64_t port;
    char *store_url;
    char *amqp_url, *events_exchange;
    char *webhook_app_secret, *webhook_app_secret_previous, *webhook_verify_token;
    char *jwt_secret, *jwt_secret_previous, *jwt_public_keys, *jwt_alg, *jwt_issuer, *jwt_audience;
    char *allowed_origins;
    char *profile;
    struct profiles *profiles; /* what PROFILE names, loaded */
    char *log_level;
    int64_t event_retention_days, event_retention_count, raw_retention_days, raw_retention_count;
    int64_t reply_retention_hours, quarantine_retention_days, revocation_retention_days, housekeeping_seconds;
    int64_t max_connections, arrival_rate, max_webhook_bytes, max_body_bytes, request_timeout_ms,
        queue_length, tenant_share;
    bool demo;
};

extern const struct config_row settings_rows[];
extern const size_t settings_row_count;

/* Loads and checks, also across rows (secrets). False: `faults` holds a line for each. */
bool settings_load(struct settings *settings, struct buf *faults) MUSTCHECK;
void settings_free(struct settings *settings);

#endif
