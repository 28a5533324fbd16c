/*
 * Sessions by HTTP long-polling (Engine.IO v4): a GET is held until there is something to say, POSTs bring
 * what the client says.
 *
 * Between two GETs a session is blocked like one with a full socket, so that its events stay in the tenant's
 * ring; the next GET takes all that there is in one answer. What ends a session: a GET that goes away, a
 * second GET while one is held, a second POST while one comes in, a payload that cannot be read. One that the
 * server closes with nobody there to be told leaves its last words behind for the next GETs (the reference's
 * way: what was queued, then a noop and a close).
 *
 * Requests are the caller's, by id: each is answered through struct poll_out, now or later. `origin` is who
 * may read the answer, "" for nobody in a browser. Owner: the polls own their links; polls_destroy() ends
 * their sessions. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_POLL_H
#define PORTAL_GATEWAY_CORE_POLL_H

#include "portal-gateway/core/session.h"
#include "shared/compiler.h"
#include "shared/loop.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

struct polls;
struct poll_link;
struct probe;

/* The way out. */
struct poll_out {
    void *ctx;
    /* type NULL: no body. False: the client has gone; polls_on_gone() follows for a request that is held. */
    bool (*reply)(void *ctx, uint64_t request, const char *origin, int status, const char *type,
                  struct view body);
    /* Cuts the connection of a request that is being received; polls_on_gone() may follow. */
    void (*abort)(void *ctx, uint64_t request);
};

struct polls *polls_create(struct loop *loop, const struct poll_out *out);
void polls_destroy(struct polls *p); /* NULL-safe */
/* The client of a request went away; other requests than those of polling are none of its business. */
void polls_on_gone(struct polls *p, uint64_t request);
/* A request for a session that is not there any more: answered when it has left last words; false: it has
 * not. */
bool polls_last_words(struct polls *p, struct view sid, bool is_get, uint64_t request,
                      const char *origin) MUSTCHECK;

/* A new session opens; the handshake is its first GET. */
void poll_open(struct polls *p, struct session *s, uint64_t request, const char *origin);

/* For a session that polls. Each may close it. */
void poll_get(struct session *s, uint64_t request, const char *origin);
/* A POST begins to come in; false: it has been answered. poll_post() or polls_on_gone() follows. */
bool poll_post_begins(struct session *s, uint64_t request, const char *origin) MUSTCHECK;
/* The packets are handed to the session, then it is answered. */
void poll_post(struct session *s, uint64_t request, const char *origin, struct view payload);

/* For probe.c. */
struct probe *poll_probe(const struct session *s); /* NULL: none is under way */
void poll_set_probe(struct session *s, struct probe *probe);
bool poll_holds(const struct session *s); /* a GET */
/* Answers the held GET, if there is one, with a noop. */
void poll_release(struct session *s);
/* The link that the session has left: what it still holds is closed. */
void poll_leave(struct poll_link *l);

#endif
