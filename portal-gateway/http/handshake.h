/*
 * The query of a request to Engine.IO, and what the reference server says to one that it does not want. Pure.
 * Thread: any.
 */
#ifndef PORTAL_GATEWAY_HTTP_HANDSHAKE_H
#define PORTAL_GATEWAY_HTTP_HANDSHAKE_H

#include "shared/server.h"
#include "shared/view.h"
#include <stdbool.h>

enum { EIO_SID_MAX = 127 };

enum eio_transport { EIO_NO_TRANSPORT, EIO_POLLING, EIO_WEBSOCKET };

/* Of each name the last one counts. */
struct eio_query {
    enum eio_transport transport;
    bool is_v4;                /* EIO=4 */
    bool b64;                  /* the client cannot take binary frames */
    bool has_sid;              /* an empty one counts as none */
    char sid[EIO_SID_MAX + 1]; /* "" when it cannot be one of ours */
};

void eio_query_read(struct view query, struct eio_query *out);

/* code, message */
#define EIO_ERRORS(X)                               \
    X(UNKNOWN_TRANSPORT, "Transport unknown")       \
    X(UNKNOWN_SID, "Session ID unknown")            \
    X(BAD_HANDSHAKE_METHOD, "Bad handshake method") \
    X(BAD_REQUEST, "Bad request")                   \
    X(FORBIDDEN, "Forbidden")                       \
    X(UNSUPPORTED_VERSION, "Unsupported protocol version")

enum eio_error {
    EIO_FINE = -1,
#define X(id, message) EIO_##id,
    EIO_ERRORS(X)
#undef X
};

const char *eio_error_message(enum eio_error why);

/* What is wrong with it before anybody is asked for a session: transport, then the characters of Origin. */
enum eio_error eio_check(const struct eio_query *q, struct view origin);
/* A handshake without an Upgrade, but for its version, which counts after whoever may refuse it. */
enum eio_error eio_check_handshake(const struct eio_query *q, enum http_method method);

#endif
