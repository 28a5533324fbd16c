/*
 * The gateway's configuration: filled from the environment once, read-only afterwards. The rows are in
 * settings.c.
 */
#ifndef PORTAL_GATEWAY_SETTINGS_H
#define PORTAL_GATEWAY_SETTINGS_H

#include "portal-gateway/core/policy.h"
#include "shared/address.h"
#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/config.h"
#include "shared/log.h"
#include "shared/profile.h"
#include <stdbool.h>
#include <stdint.h>

struct settings {
    char *profile;
    char *amqp_url, *exchange;
    char *log_level;
    char *allowed_origins;
    char *jwt_alg, *jwt_secret, *jwt_secret_previous, *jwt_public_keys, *jwt_issuer, *jwt_audience;
    char *host, *advertise_url, *relay_secret;
    int64_t port;
    int64_t ping_interval_ms, ping_timeout_ms, connect_timeout_ms, upgrade_timeout_ms, max_payload;
    bool recovery, demo;
    int64_t max_connections, max_connections_per_user, max_connections_per_address,
        max_connections_per_tenant;
    int64_t arrival_rate, tenant_share;
    int64_t message_rate, byte_rate;
    char *trusted_proxies;
    int64_t token_expiring_s;
    int64_t recovery_events, recovery_bytes, lag_bytes, lag_s, ring_events, ring_bytes, gather_ms;
    int64_t queue_messages, queue_bytes;
    int64_t presence_users, presence_lease_s;
    int64_t drain_s;
    char *www_dir, *client_dir;
    enum log_level threshold;  /* of log_level */
    struct networks proxies;   /* of trusted_proxies */
    struct profiles *profiles; /* of profile */
    struct buf presence_rooms; /* JSON array */
    struct policy policy;      /* what core needs of all this */
};

extern const struct config_row gateway_settings_rows[];
extern const size_t gateway_settings_row_count;

/* False: faults holds a line for each wrong row. */
bool gateway_settings_load(struct settings *s, struct buf *faults) MUSTCHECK;
void gateway_settings_free(struct settings *s);

#endif
