/* What the files of http/ share about a request; nobody else includes this. Thread: the loop's. */
#ifndef PORTAL_GATEWAY_HTTP_ENDPOINT_PARTS_H
#define PORTAL_GATEWAY_HTTP_ENDPOINT_PARTS_H

#include "portal-gateway/core/poll.h"
#include "portal-gateway/http/endpoint.h"
#include "shared/server.h"
#include <stdbool.h>

struct endpoint {
    struct endpoint_options options;
    struct server *server;
    struct polls *polls;
    struct relay *relay; /* to other gateways */
    size_t other_files;  /* that it has open */
    bool draining;
};

enum { ORIGIN_SIZE = 256 };

/* What a WebSocket of ours stands for, and so what its user is: ws_kind(). */
enum visitor {
    VISITOR_SESSION,        /* a session */
    VISITOR_SESSION_BASE64, /* a session whose client cannot take binary frames */
    VISITOR_PROBE,          /* a probe */
    VISITOR_SURPLUS         /* nothing: it is closed as soon as it is open */
};

/* Answers with the CORS headers of the request's origin and no-store. type NULL: no body. */
void answer(struct endpoint *e, const struct request *r, int status, const char *type, struct view body);
/* The same with up to four headers more. */
void answer_with(struct endpoint *e, const struct request *r, int status, const char *type, struct view body,
                 const struct reply_header *extra, size_t count);
/* By id, when the request itself may not be there any more. origin: who may read it, or "". */
void answer_held(struct endpoint *e, uint64_t request_id, const char *origin, int status, const char *type,
                 struct view body);
/* {"error":{"code","message","details":{}}} */
void answer_error(struct endpoint *e, const struct request *r, int status, const char *code,
                  const char *message);

/* What the request may be answered from: the same, or 304 when its client has that version. */
void answer_asset(struct endpoint *e, const struct request *r, const struct asset *a,
                  const struct reply_header *extra, size_t count);
/* The origin of a browser that may read the answer; false: there is none, "". */
bool origin_of(const struct endpoint *e, const struct request *r, char out[static ORIGIN_SIZE]);
/* Whether a page of a foreign origin asks; then that is counted, but not answered. */
bool origin_is_refused(const struct endpoint *e, const struct request *r);
/* Each false: answered. A WebSocket from a foreign origin; one session more. */
bool origin_may_connect(struct endpoint *e, const struct request *r);
bool session_may_open(struct endpoint *e, const struct request *r);
/* A session of the request's client, who may open one. */
struct session *session_open(struct endpoint *e, const struct request *r, const struct protocol *protocol,
                             const char *token);
/* The token of the Authorization header or of `?token=`; "" when there is none. */
void token_of(const struct request *r, char out[static TOKEN_MAX_BYTES + 1]);

/* socketio.c: the checks of Engine.IO, in the order and with the bodies of its reference. */
bool socketio_head(struct endpoint *e, const struct request *r, uint64_t body_bytes);
void socketio_request(struct endpoint *e, const struct request *r);
bool socketio_upgrade(struct endpoint *e, const struct request *r, struct upgrade *answer);

/* status.c */
void status_healthz(struct endpoint *e, const struct request *r);
void status_readyz(struct endpoint *e, const struct request *r);
void status_metrics(struct endpoint *e, const struct request *r);

#endif
