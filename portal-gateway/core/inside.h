/*
 * Inside events: what gateways and state-managers tell each other in a tenant's stream (types
 * `portalcast:...`). They have their place in the sequence like every event and reach no client.
 *
 *   portalcast:session   a Socket.IO client joined or left a room, or may never be recovered again
 *   portalcast:revoked   tokens of a user, one token, or all of the tenant's do not count any more
 *   portalcast:fence     sessions are here; whoever holds one of them by an older fence closes it
 *   portalcast:presence  who is there (presence.h)
 *
 * Each connection by which a session goes on is of a later generation than those before, the first of 0. The
 * fence says it, and so does what is recorded of the session: the state-manager takes nothing from an earlier
 * generation than the latest that has asked, so that what a gateway that stood still finds in its sockets
 * does not undo what the client has asked for elsewhere since.
 *
 * Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_INSIDE_H
#define PORTAL_GATEWAY_CORE_INSIDE_H

#include "portal-gateway/core/record.h"
#include <stdint.h>

struct session;
struct tenant;

/* Does what it says. `place`: of its entry in the ring, or of the next one when it has none. */
void inside_take(struct tenant *t, const struct record *r, uint64_t place);
/* Tells all gateways that the session is here now. */
void inside_fence(struct session *s);
/* Tells them all that are here: some may have been taken over while nobody could say so. */
void inside_say_fences(struct tenant *t);
/* Has it recorded that the session may never be recovered again. */
void inside_end(struct session *s);

#endif
