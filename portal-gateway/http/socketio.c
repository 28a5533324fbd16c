/*
 * /socket.io/: which handshakes become sessions. Order of checks and bodies as the reference server has them
 * (wire spec of Engine.IO v4, error codes 0 to 5). The polling transport would take its requests here.
 */
#include "portal-gateway/core/meters.h"
#include "portal-gateway/http/endpoint_parts.h"
#include <stdio.h>
#include <string.h>

enum { PARAMETER_SIZE = 256 };

/* code, message */
#define EIO_ERRORS(X)                               \
    X(UNKNOWN_TRANSPORT, "Transport unknown")       \
    X(UNKNOWN_SID, "Session ID unknown")            \
    X(BAD_HANDSHAKE_METHOD, "Bad handshake method") \
    X(BAD_REQUEST, "Bad request")                   \
    X(FORBIDDEN, "Forbidden")                       \
    X(UNSUPPORTED_VERSION, "Unsupported protocol version")

enum eio_error {
#define X(id, message) EIO_##id,
    EIO_ERRORS(X)
#undef X
};

static const char *const messages[] = {
#define X(id, message) message,
    EIO_ERRORS(X)
#undef X
};

static void refuse(struct endpoint *e, const struct request *r, enum eio_error why)
{
    char body[96];
    int n = snprintf(body, sizeof body, "{\"code\":%d,\"message\":\"%s\"}", (int)why, messages[why]);
    if (why == EIO_UNSUPPORTED_VERSION)
        meter_add(OLD_PROTOCOL, 1);
    answer(e, r, why == EIO_FORBIDDEN ? 403 : 400, "application/json", (struct view){body, (size_t)n});
}

/* To a WebSocket client: the bare message. */
static bool refuse_upgrade(struct endpoint *e, const struct request *r, enum eio_error why)
{
    answer(e, r, 400, "text/html", view_of(messages[why]));
    return false;
}

static bool has(const struct request *r, const char *name, const char *value)
{
    char text[PARAMETER_SIZE];
    return request_query(r, name, text, sizeof text) && strcmp(text, value) == 0;
}

/* An empty sid counts as none. */
static bool has_sid(const struct request *r)
{
    char text[PARAMETER_SIZE];
    return request_query(r, "sid", text, sizeof text) && *text;
}

/* Raw Engine.IO sessions are for protocol suites only. */
static const struct protocol *protocol_of(const struct endpoint *e, const struct request *r)
{
    if (!view_starts(r->path, "/engine.io"))
        return &protocol_sio;
    return e->options.hub->policy->profile == PROFILE_CONFORMANCE ? &protocol_eio : NULL;
}

void socketio_request(struct endpoint *e, const struct request *r)
{
    if (!protocol_of(e, r)) {
        answer_error(e, r, 404, "NOT_FOUND", "no such path");
        return;
    }
    if (!has(r, "transport", "websocket"))
        refuse(e, r, EIO_UNKNOWN_TRANSPORT); /* polling is not enabled */
    else if (has_sid(r))
        refuse(e, r, EIO_UNKNOWN_SID);
    else if (r->method != HTTP_GET)
        refuse(e, r, EIO_BAD_HANDSHAKE_METHOD);
    else
        refuse(e, r, EIO_BAD_REQUEST); /* a WebSocket handshake without an upgrade */
}

bool socketio_upgrade(struct endpoint *e, const struct request *r, struct upgrade *up)
{
    char token[TOKEN_MAX_BYTES + 1];
    const struct protocol *protocol = protocol_of(e, r);
    if (!protocol) {
        answer_error(e, r, 404, "NOT_FOUND", "no WebSocket here");
        return false;
    }
    if (!has(r, "transport", "websocket"))
        return refuse_upgrade(e, r, EIO_UNKNOWN_TRANSPORT);
    if (has_sid(r)) /* no session here is on another transport */
        return refuse_upgrade(e, r, EIO_UNKNOWN_SID);
    if (!upgrade_allowed(e, r))
        return false;
    if (!has(r, "EIO", "4")) {
        refuse(e, r, EIO_UNSUPPORTED_VERSION);
        return false;
    }
    token_of(r, token);
    up->user = session_create(e->options.hub, protocol, token);
    return true;
}
