/*
 * What the gateway counts, one row each; shown by /metrics. Any thread may count.
 */
#ifndef PORTAL_GATEWAY_CORE_METERS_H
#define PORTAL_GATEWAY_CORE_METERS_H

#include "shared/metrics.h"

/* id, name, type, help. Rows of one name stand together. */
#define METERS(X)                                                                                           \
    X(SESSIONS_SIO, "portalcast_gateway_sessions{protocol=\"socketio\"}", "gauge",                          \
      "Open sessions by protocol")                                                                          \
    X(SESSIONS_WS, "portalcast_gateway_sessions{protocol=\"ws\"}", "gauge", "Open sessions by protocol")    \
    X(POLLING, "portalcast_gateway_transports{transport=\"polling\"}", "gauge",                             \
      "Open sessions by transport")                                                                         \
    X(WEBSOCKET, "portalcast_gateway_transports{transport=\"websocket\"}", "gauge",                         \
      "Open sessions by transport")                                                                         \
    X(UPGRADES, "portalcast_gateway_upgrades_total", "counter", "Sessions moved from polling to WebSocket") \
    X(LIVE, "portalcast_gateway_live_sessions", "gauge", "Sessions that hear their tenant's stream")        \
    X(TENANTS, "portalcast_gateway_tenants", "gauge", "Tenants present, lingering ones included")           \
    X(OPENED, "portalcast_gateway_sessions_opened_total", "counter", "Sessions ever opened")                \
    X(DELIVERIES, "portalcast_gateway_deliveries_total", "counter", "Events written to sockets")            \
    X(FRAMES, "portalcast_gateway_frames_total", "counter", "Frames written to sockets, own ones included") \
    X(WRITES, "portalcast_gateway_writes_total", "counter", "Gathered writes to sockets")                   \
    X(SKIPPED, "portalcast_gateway_ephemeral_skipped_total", "counter",                                     \
      "Ephemeral events kept from slow sockets")                                                            \
    X(EVENTS, "portalcast_gateway_events_total", "counter", "Events taken from the exchange")               \
    X(REPEATS, "portalcast_gateway_repeats_dropped_total", "counter", "Events heard before")                \
    X(EARLY, "portalcast_gateway_events_early_total", "counter", "Events that came before their turn")      \
    X(POISON, "portalcast_gateway_poison_total", "counter", "Messages on the exchange that are no events")  \
    X(REPLAYS, "portalcast_gateway_replays_total", "counter", "Holes that were asked for")                  \
    X(REPLAYED, "portalcast_gateway_replayed_events_total", "counter", "Events that came by replay")        \
    X(RESETS, "portalcast_gateway_stream_resets_total", "counter", "Streams that began anew (resync sent)") \
    X(RECOVERED, "portalcast_gateway_recoveries_total{outcome=\"recovered\"}", "counter",                   \
      "Clients that wanted to go on where they were, by outcome")                                           \
    X(NOT_RECOVERED, "portalcast_gateway_recoveries_total{outcome=\"not_recovered\"}", "counter",           \
      "Clients that wanted to go on where they were, by outcome")                                           \
    X(FELL_BEHIND, "portalcast_gateway_fell_behind_total", "counter",                                       \
      "Slow sockets that went on reading from the log")                                                     \
    X(PAST_READS, "portalcast_gateway_log_reads_total", "counter",                                          \
      "Chunks of the log asked for by reconnecting and slow sockets")                                       \
    X(HEADS, "portalcast_gateway_heads_total", "counter", "Requests for heads")                             \
    X(RPC_FAILED, "portalcast_gateway_rpc_failed_total", "counter",                                         \
      "Requests without a good answer in time")                                                             \
    X(PEERS, "portalcast_gateway_peers", "gauge", "Other gateways that are heard")                          \
    X(BEATS_REFUSED, "portalcast_gateway_peer_beats_refused_total", "counter",                              \
      "Heartbeats that are not of one of our gateways")                                                     \
    X(RELAYED, "portalcast_gateway_relayed_total", "counter",                                               \
      "Requests relayed to the gateway of their session")                                                   \
    X(RELAYING, "portalcast_gateway_relaying", "gauge", "Requests and WebSockets being relayed")            \
    X(RELAY_FAILED, "portalcast_gateway_relay_failed_total", "counter",                                     \
      "Relayed requests that their gateway did not answer")                                                 \
    X(RELAY_REFUSED, "portalcast_gateway_relay_refused_total", "counter",                                   \
      "Requests that said falsely to come from a gateway")                                                  \
    X(FEED_UP, "portalcast_gateway_feed_up", "gauge", "1 while bound and consuming")                        \
    X(FEED_STARTS, "portalcast_gateway_feed_starts_total", "counter", "Consumer starts")                    \
    X(RPC_UP, "portalcast_gateway_rpc_up", "gauge", "1 while requests can be sent")                         \
    X(PRESENT, "portalcast_gateway_present_users", "gauge",                                                 \
      "Users announced as present, of all tenants and on any gateway")                                      \
    X(PRESENCE_HIDDEN, "portalcast_gateway_present_users_hidden", "gauge",                                  \
      "Users here over PRESENCE_USERS, whose presence is not announced")                                    \
    X(INBOX, "portalcast_gateway_mailbox_letters", "gauge", "Letters waiting for the loop")                 \
    X(INBOX_FULL, "portalcast_gateway_mailbox_full_total", "counter",                                       \
      "Times the loop did not take letters in time")                                                        \
    X(SLOWED, "portalcast_gateway_slowed_total", "counter",                                                 \
      "Times that a client was not read because its tenant was over its share")                             \
    X(AUTH_FAILED, "portalcast_gateway_auth_failures_total", "counter", "Tokens refused or missing")        \
    X(ORIGIN_REFUSED, "portalcast_gateway_origins_refused_total", "counter",                                \
      "Upgrades and handshakes from a foreign origin")                                                      \
    X(ADDRESS_REFUSED, "portalcast_gateway_addresses_refused_total", "counter",                             \
      "Sessions refused because their address has too many")                                                \
    X(OLD_PROTOCOL, "portalcast_gateway_old_protocol_total", "counter",                                     \
      "Engine.IO handshakes that are not version 4")

enum meter {
#define X(id, name, type, help) METER_##id,
    METERS(X)
#undef X
        METER_COUNT
};

extern struct metric gateway_meters[METER_COUNT];

#define meter_add(id, n) metric_add(&gateway_meters[METER_##id], (int64_t)(n))
#define meter_set(id, n) metric_set(&gateway_meters[METER_##id], (int64_t)(n))

#endif
