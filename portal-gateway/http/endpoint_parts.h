/* What the files of http/ share about a request; nobody else includes this. Thread: the loop's. */
#ifndef PORTAL_GATEWAY_HTTP_ENDPOINT_PARTS_H
#define PORTAL_GATEWAY_HTTP_ENDPOINT_PARTS_H

#include "portal-gateway/http/endpoint.h"
#include "shared/server.h"
#include <stdbool.h>

struct endpoint {
    struct endpoint_options options;
    struct server *server;
    bool draining;
};

/* Answers with the CORS headers of the request's origin and no-store. type NULL: no body. */
void answer(struct endpoint *e, const struct request *r, int status, const char *type, struct view body);
/* The same with up to four headers more. */
void answer_with(struct endpoint *e, const struct request *r, int status, const char *type, struct view body,
                 const struct reply_header *extra, size_t count);
/* {"error":{"code","message","details":{}}} */
void answer_error(struct endpoint *e, const struct request *r, int status, const char *code,
                  const char *message);

/* Whether an upgrade may go on: origin, drain, number of sessions. False: answered. */
bool upgrade_allowed(struct endpoint *e, const struct request *r);
/* The token of the Authorization header or of `?token=`; "" when there is none. */
void token_of(const struct request *r, char out[static TOKEN_MAX_BYTES + 1]);

/* socketio.c: the checks of Engine.IO, in the order and with the bodies of its reference. */
void socketio_request(struct endpoint *e, const struct request *r);
bool socketio_upgrade(struct endpoint *e, const struct request *r, struct upgrade *answer);

/* status.c */
void status_healthz(struct endpoint *e, const struct request *r);
void status_readyz(struct endpoint *e, const struct request *r);
void status_metrics(struct endpoint *e, const struct request *r);

#endif
