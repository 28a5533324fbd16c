/*
 * What the gateway answers on its port: Socket.IO, /ws, health, metrics and the page. Routes requests,
 * refuses what may not come in, and turns accepted upgrades into sessions. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_HTTP_ENDPOINT_H
#define PORTAL_GATEWAY_HTTP_ENDPOINT_H

#include "portal-gateway/core/hub.h"
#include "portal-gateway/http/assets.h"
#include "portal-gateway/http/bundle.h"
#include "shared/address.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/loop.h"

struct endpoint;

struct endpoint_options {
    const char *host;
    int port;
    const char *allowed_origins;
    size_t max_connections;
    struct hub *hub;
    const struct peer_keys *keys;   /* by which other gateways are known */
    const struct networks *proxies; /* whose X-Forwarded-For is believed */
    int64_t arrival_rate;           /* server.h */
    const struct assets *assets;
    const struct bundle *bundle;
};

/* Listens. Everything in the options must outlive it. */
struct endpoint *endpoint_create(struct loop *loop, const struct endpoint_options *options,
                                 struct err *err) MUSTCHECK;
void endpoint_destroy(struct endpoint *e); /* NULL-safe; every session is gone afterwards */
int endpoint_port(const struct endpoint *e);
/* Its WebSockets for sessions of other gateways, and the end of up to max of them. */
size_t endpoint_tunnels(const struct endpoint *e);
void endpoint_drain_tunnels(struct endpoint *e, size_t max);
/* Not ready any more, and no new connections. */
void endpoint_stop_accepting(struct endpoint *e);

#endif
