/*
 * What a gateway says about itself to the others every few seconds, as bytes:
 *
 *   {"v":1,"gateway":"gwk3...","tag":"Zf0a-b","address":"10.0.0.3","port":3015,"at":1795269600000,
 *    "state":"new","signature":"..."}
 *
 * state: "new" asks the others to say at once who they are, "here", "leaving". Signed (peer_keys.h), so that
 * nobody else can say where the sessions of a gateway are. Pure. Thread: any.
 */
#ifndef PORTAL_GATEWAY_CORE_BEAT_H
#define PORTAL_GATEWAY_CORE_BEAT_H

#include "portal-gateway/core/peer_keys.h"
#include "shared/buf.h"
#include "shared/err.h"
#include <stdbool.h>

/* The tag of a gateway: what the secret ids of its sessions begin with. Random for each process. */
enum { GATEWAY_TAG_CHARS = 6, GATEWAY_TAG_SIZE = GATEWAY_TAG_CHARS + 1, PEER_ADDRESS_SIZE = 46 };

/* state, name */
#define BEAT_STATES(X) \
    X(NEW, "new")      \
    X(HERE, "here")    \
    X(LEAVING, "leaving")

enum beat_state {
#define X(id, name) BEAT_##id,
    BEAT_STATES(X)
#undef X
};

struct beat {
    char gateway[32];
    char tag[GATEWAY_TAG_SIZE];
    char address[PEER_ADDRESS_SIZE]; /* an IP in text form */
    int port;
    enum beat_state state;
};

void beat_write(struct buf *out, const struct beat *beat, const struct peer_keys *keys, int64_t wall_ms);
/* UNAUTHENTICATED: not signed by one of us, or too long ago. */
bool beat_read(struct view body, const struct peer_keys *keys, int64_t wall_ms, struct beat *beat,
               struct err *err) MUSTCHECK;

#endif
