/* What both protocols say about where a session stands when it becomes live. Thread: the loop's. */
#ifndef PORTAL_GATEWAY_CORE_HELLO_H
#define PORTAL_GATEWAY_CORE_HELLO_H

#include "shared/json.h"

struct session;

/* Writes the member "rooms": the names of the rooms that the session is in, without the tenant's own. */
void hello_write_rooms(struct json_writer *w, const struct session *s);

#endif
