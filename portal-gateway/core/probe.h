/*
 * A WebSocket that wants to take over from polling (Engine.IO v4): it asks with 2probe, is told 3probe, and
 * takes over with 5. Until then the session stays on polling, and from 3probe on no GET is held, because the
 * client waits for its own to come back. Whatever else happens to it, polling goes on.
 *
 * Owner: its WebSocket, from the accepted upgrade on; probe_gone() is its end. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_PROBE_H
#define PORTAL_GATEWAY_CORE_PROBE_H

#include "portal-gateway/core/session.h"

struct probe;

/* The session polls, and no other probe is under way. ops: the session's from the upgrade on. */
struct probe *probe_create(struct session *s, const struct link_ops *ops);
void probe_on_open(struct probe *p, void *link);
/* Returns the session that the link is the only one of from now on, NULL: it is not. */
struct session *probe_on_message(struct probe *p, struct view message, bool is_text);
/* The link is gone, or has become the session's. */
void probe_gone(struct probe *p);

/* For poll.c. The session closes: so does the WebSocket. */
void probe_desert(struct probe *p);
/* A GET is held. */
void probe_on_poll(struct probe *p);

#endif
