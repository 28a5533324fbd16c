/*
 * How gateways know each other: by a secret that all of one system share. What they say to each other is
 * signed with a key derived from it (HMAC-SHA-256). Thread: any; filled once at boot, read-only afterwards.
 */
#ifndef PORTAL_GATEWAY_CORE_PEER_KEYS_H
#define PORTAL_GATEWAY_CORE_PEER_KEYS_H

#include "shared/compiler.h"
#include "shared/crypto.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

/* A signature in base64url, with NUL; and how far the clocks of two machines, and a message on its way, may
 * be apart. */
enum { PEER_SIGNATURE_SIZE = 44, PEER_WINDOW_MS = 30000 };

struct peer_keys {
    bool has_current, has_previous;
    unsigned char current[SHA256_BYTES], previous[SHA256_BYTES];
};

/* From the secret, and the one before while it is being replaced; "": none. Without a current one nothing is
 * signed, and nothing signed is good. */
void peer_keys_derive(struct peer_keys *keys, const char *secret, const char *previous);
void peer_sign(const struct peer_keys *keys, struct view text, char out[static PEER_SIGNATURE_SIZE]);
/* With either key. */
bool peer_verify(const struct peer_keys *keys, struct view text, struct view signature) MUSTCHECK;

/*
 * The header of a request that one gateway relays to another (PEER_PASS_HEADER): "<wall ms>.<signature>". It
 * is good for this method and sid and for a short time. The body is not under it: who knows a sid may post.
 */
#define PEER_PASS_HEADER "x-portalcast-relay"
enum { PEER_PASS_SIZE = 24 + PEER_SIGNATURE_SIZE };

void peer_pass_write(const struct peer_keys *keys, int64_t wall_ms, const char *method, struct view sid,
                     char out[static PEER_PASS_SIZE]);
bool peer_pass_check(const struct peer_keys *keys, int64_t wall_ms, const char *method, struct view sid,
                     struct view pass) MUSTCHECK;

#endif
