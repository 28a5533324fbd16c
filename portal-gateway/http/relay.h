/*
 * Requests for sessions of other gateways. Behind a proxy without sticky sessions the requests of one session
 * land anywhere; its secret id begins with the tag of its gateway, and whoever gets a request for somebody
 * else's session relays it there and hands the answer back. So the owner alone decides, and hears at once
 * when a client goes away.
 *
 * A relayed request says so in a signed header (peer_keys.h); the owner takes nobody else's word for it, and
 * does not relay it further. Polling requests go over kept connections, one at a time each; a WebSocket
 * becomes a tunnel. A gateway that does not answer costs its client a 503: it then connects anew. Thread: the
 * loop's.
 */
#ifndef PORTAL_GATEWAY_HTTP_RELAY_H
#define PORTAL_GATEWAY_HTTP_RELAY_H

#include "shared/compiler.h"
#include "shared/loop.h"
#include "shared/server.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint;
struct relay;

struct relay *relay_create(struct loop *loop, struct endpoint *e);
void relay_destroy(struct relay *r); /* NULL-safe; before the server */

/* False: it says that it was relayed, and was not, and is answered 403. */
bool relay_admits(struct endpoint *e, const struct request *r, const char *sid) MUSTCHECK;
/* Whether the request belongs to another gateway that is there, or may turn out to be; never when it has been
 * relayed to us. */
bool relay_wants(const struct endpoint *e, const struct request *r, const char *sid);

/* Of what relay_wants(): answered later, and the second at once when it cannot be taken. */
void relay_request(struct endpoint *e, const struct request *r, const char *sid);
void relay_upgrade(struct endpoint *e, const struct request *r, const char *sid);

/* A client went away; other requests than those that are relayed are none of its business. */
void relay_on_gone(struct relay *r, uint64_t request);
/* WebSockets that are relayed, and the end of up to max of them. */
size_t relay_tunnels(const struct relay *r);
void relay_drain(struct relay *r, size_t max);

#endif
