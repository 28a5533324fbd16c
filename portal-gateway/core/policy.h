/*
 * The numbers that rule sessions and streams, as settings.c read them. Filled once at boot, read-only
 * afterwards.
 */
#ifndef PORTAL_GATEWAY_CORE_POLICY_H
#define PORTAL_GATEWAY_CORE_POLICY_H

#include "portal-gateway/core/rate.h"
#include "shared/profile.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PRESENCE_USERS_MOST = 1000 };

struct policy {
    bool conformance;                /* answers like a mirror: no tokens, no tenants, no broker */
    bool agent_portal;               /* conversations, and what clients say about them */
    const struct profiles *profiles; /* the systems that are described by data; NULL: none */
    struct view presence_rooms;      /* who hears of who is there: JSON array; empty: the whole tenant */
    int64_t ping_interval_ms, ping_timeout_ms;
    int64_t connect_timeout_ms;     /* from the open transport to a live session */
    int64_t upgrade_timeout_ms;     /* from a WebSocket that wants to take over to its "5" */
    int64_t token_warning_ms;       /* token_expiring comes that long before */
    int64_t linger_ms;              /* a tenant stays bound that long after its last session */
    int64_t heads_interval_ms;      /* how often a lost last event is looked for */
    int64_t gather_ms;              /* how long a flush to many sockets waits for more events; 0: not */
    size_t max_payload;             /* bytes of one message of a client */
    size_t strangers;               /* who have not signed in; over that the oldest ones go; 0: unlimited */
    size_t connections_per_user;    /* 0: unlimited */
    size_t connections_per_address; /* 0: unlimited, and not counted */
    size_t connections_per_tenant;  /* 0: unlimited */
    struct rate messages, bytes;    /* of one client */
    int64_t tenant_share;           /* percent of the loop for what one tenant's clients say */
    int64_t arrival_rate;           /* sessions of one tenant a second; 0: any */
    size_t ring_events, ring_bytes; /* of a tenant's recent events */
    int64_t ring_ms;                /* after one to two of which they are forgotten */
    uint64_t recovery_events;       /* who has missed more is not recovered */
    uint64_t recovery_bytes;        /* likewise */
    int64_t pid_ms;                 /* how old a session may be to be recovered */
    size_t lag_bytes;               /* of own frames (answers, refusals) that wait for a socket */
    int64_t lag_ms;                 /* a socket that took nothing for so long is cut */
    size_t bind_all_over;           /* tenants present; over that `tenant.#` is bound once */
    size_t presence_users;          /* of a tenant, that are announced; 0: presence is off */
    int64_t presence_lease_ms;      /* how long the word of another gateway counts */
    bool recovery;                  /* Socket.IO: pid and a trailing offset on every event */
};

#endif
