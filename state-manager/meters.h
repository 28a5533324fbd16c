/* What the state-manager counts, for /metrics. One table; any thread adds (shared/metrics.h). */
#ifndef STATE_MANAGER_METERS_H
#define STATE_MANAGER_METERS_H

#include "shared/metrics.h"

#define METERS(X)                                                                                            \
    X(WEBHOOKS, "portalcast_webhooks_total{result=\"stored\"}", "counter", "webhook bodies by result")       \
    X(WEBHOOKS_REFUSED, "portalcast_webhooks_total{result=\"refused\"}", "counter", "")                      \
    X(WEBHOOKS_FAILED, "portalcast_webhooks_total{result=\"failed\"}", "counter", "")                        \
    X(COMMANDS, "portalcast_commands_total{result=\"committed\"}", "counter", "commands by result")          \
    X(COMMANDS_DUPLICATE, "portalcast_commands_total{result=\"duplicate\"}", "counter", "")                  \
    X(COMMANDS_REFUSED, "portalcast_commands_total{result=\"refused\"}", "counter", "")                      \
    X(QUARANTINED, "portalcast_quarantined_total", "counter",                                                \
      "kept aside: unreadable, or of no known number")                                                       \
    X(DELIVERED_LATE, "portalcast_quarantine_delivered_total", "counter",                                    \
      "kept aside, and delivered once their number had an owner")                                            \
    X(ENTRIES_DROPPED, "portalcast_retention_dropped_total{what=\"log\"}", "counter",                        \
      "dropped after their time")                                                                            \
    X(DOCUMENTS_DROPPED, "portalcast_retention_dropped_total{what=\"documents\"}", "counter", "")            \
    X(COMMITS, "portalcast_commits_total", "counter", "group commits")                                       \
    X(COMMIT_CONFLICTS, "portalcast_commit_conflicts_total", "counter",                                      \
      "log entries that another writer was first with")                                                      \
    X(STORE_ERRORS, "portalcast_store_errors_total", "counter", "calls of the store that failed")            \
    X(STORE_UP, "portalcast_store_works", "gauge", "1 while commits reach the store")                        \
    X(QUEUE_FULL, "portalcast_queue_full_total", "counter", "calls refused because too many waited")         \
    X(QUEUED, "portalcast_queue_length", "gauge", "calls that wait for the store")                           \
    X(EVENTS_PUBLISHED, "portalcast_events_published_total", "counter", "events confirmed by the broker")    \
    X(EVENTS_REPUBLISHED, "portalcast_events_unconfirmed_total", "counter",                                  \
      "events whose confirm was lost or negative")                                                           \
    X(BACKLOG, "portalcast_unpublished_tenants", "gauge", "tenants with entries that are not published yet") \
    X(INTAKE, "portalcast_intake_total{result=\"committed\"}", "counter", "foreign events by result")        \
    X(INTAKE_OWN, "portalcast_intake_total{result=\"own\"}", "counter", "")                                  \
    X(INTAKE_POISON, "portalcast_intake_total{result=\"poison\"}", "counter", "")                            \
    X(INTAKE_RETRIED, "portalcast_intake_total{result=\"retried\"}", "counter", "")                          \
    X(BROKER_UP, "portalcast_broker_connected{part=\"relay\"}", "gauge",                                     \
      "1 while connected and not blocked by an alarm")                                                       \
    X(RPC_UP, "portalcast_broker_connected{part=\"rpc\"}", "gauge", "")                                      \
    X(INTAKE_UP, "portalcast_broker_connected{part=\"intake\"}", "gauge", "")                                \
    X(RPC_CALLS, "portalcast_rpc_requests_total", "counter", "requests of gateways that were answered")

enum meter {
#define X(id, name, type, help) METER_##id,
    METERS(X)
#undef X
        METER_COUNT
};

extern struct metric meters[METER_COUNT];

static inline void count(enum meter meter, int64_t n)
{
    metric_add(&meters[meter], n);
}

#endif
