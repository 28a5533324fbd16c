/*
 * The other gateways, by the tag that the secret ids of their sessions begin with.
 *
 * Own heartbeats come round too, and ages are counted by them: a gateway is forgotten when it has been silent
 * for PEER_SILENT_MS while we heard ourselves. So nobody is forgotten while the broker is away. Thread: the
 * loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_PEERS_H
#define PORTAL_GATEWAY_CORE_PEERS_H

#include "portal-gateway/core/beat.h"
#include "shared/address.h"
#include "shared/map.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    PEER_SILENT_MS = 10000,
    PEER_SETTLE_MS = 1000 /* after hearing ourselves for the first time, all others have answered */
};

struct peer {
    char tag[GATEWAY_TAG_SIZE];
    char address[PEER_ADDRESS_SIZE];
    struct address ip; /* the same */
    int port;
    int64_t heard_ms;
};

struct peers {
    char tag[GATEWAY_TAG_SIZE]; /* our own */
    struct map all;             /* tag -> struct peer; we are not among them */
    int64_t first_ms, own_ms;   /* when we heard ourselves first and last; 0: not yet */
};

void peers_init(struct peers *p, const char *own_tag);
void peers_finish(struct peers *p);
void peers_hear(struct peers *p, const struct beat *beat, int64_t now_ms);
/* The feed is up again: what was silent meanwhile may not have been. */
void peers_excuse(struct peers *p, int64_t now_ms);
/* The gateway that the session with this secret id is on, valid until the next beat; NULL: ourselves, or not
 * known. */
const struct peer *peers_find(const struct peers *p, struct view sid);
/* False: somebody whom we do not know yet may still say that he is there. */
bool peers_are_settled(const struct peers *p, int64_t now_ms);
/* Whether we have not heard ourselves for as long as would make us forget another. */
bool peers_are_unheard(const struct peers *p, int64_t now_ms);
/* Whether one of them is there. */
bool peers_have(const struct peers *p, const struct address *address);
/* Whether a secret id has the form of one that another gateway has made. */
bool peers_is_foreign(const struct peers *p, struct view sid);

#endif
