/* A session's link over a WebSocket of the server's. Thread: the loop's. */
#ifndef PORTAL_GATEWAY_HTTP_WS_LINK_H
#define PORTAL_GATEWAY_HTTP_WS_LINK_H

#include "portal-gateway/core/session.h"

/* Their link is a struct ws. With base64: for a client that cannot take binary frames. */
extern const struct link_ops ws_link_ops, ws_link_base64_ops;

#endif
