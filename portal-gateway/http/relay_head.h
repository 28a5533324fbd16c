/* The head of a relayed request, as the session's gateway gets it. Thread: the loop's. */
#ifndef PORTAL_GATEWAY_HTTP_RELAY_HEAD_H
#define PORTAL_GATEWAY_HTTP_RELAY_HEAD_H

#include "shared/buf.h"
#include "shared/server.h"

/* `pass`: the value of PEER_PASS_HEADER. Only while the handler is called for the request. */
void relay_head_write(struct buf *out, const struct request *r, bool is_upgrade, const char *pass);

#endif
