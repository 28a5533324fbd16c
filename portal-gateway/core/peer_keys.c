#include "portal-gateway/core/peer_keys.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PASS_TEXT_SIZE = 256, WALL_MS_MAX_DIGITS = 20 };

static bool derive(const char *secret, unsigned char out[static SHA256_BYTES])
{
    if (!*secret)
        return false;
    /* Not the secret itself: what signs tokens must not be asked to sign something else. */
    crypto_hmac_sha256(view_of(secret), VIEW("portalcast gateways 1"), out);
    return true;
}

void peer_keys_derive(struct peer_keys *keys, const char *secret, const char *previous)
{
    *keys = (struct peer_keys){0};
    keys->has_current = derive(secret, keys->current);
    keys->has_previous = keys->has_current && derive(previous, keys->previous);
}

static void sign(const unsigned char *key, struct view text, char out[static PEER_SIGNATURE_SIZE])
{
    unsigned char mac[SHA256_BYTES];
    crypto_hmac_sha256((struct view){(const char *)key, SHA256_BYTES}, text, mac);
    crypto_base64url(mac, sizeof mac, out);
}

void peer_sign(const struct peer_keys *keys, struct view text, char out[static PEER_SIGNATURE_SIZE])
{
    out[0] = 0;
    if (keys->has_current)
        sign(keys->current, text, out);
}

static bool is_by(const unsigned char *key, struct view text, struct view signature)
{
    char expected[PEER_SIGNATURE_SIZE];
    sign(key, text, expected);
    return signature.n == sizeof expected - 1 && crypto_equal(expected, signature.p, signature.n);
}

bool peer_verify(const struct peer_keys *keys, struct view text, struct view signature)
{
    return (keys->has_current && is_by(keys->current, text, signature)) ||
           (keys->has_previous && is_by(keys->previous, text, signature));
}

static struct view pass_text(int64_t wall_ms, const char *method, struct view sid,
                             char out[static PASS_TEXT_SIZE])
{
    int n = snprintf(out, PASS_TEXT_SIZE, "relay 1\n%" PRId64 "\n%s\n%.*s", wall_ms, method, VIEW_ARG(sid));
    return (struct view){out, n < PASS_TEXT_SIZE ? (size_t)n : 0};
}

void peer_pass_write(const struct peer_keys *keys, int64_t wall_ms, const char *method, struct view sid,
                     char out[static PEER_PASS_SIZE])
{
    char text[PASS_TEXT_SIZE], signature[PEER_SIGNATURE_SIZE];
    peer_sign(keys, pass_text(wall_ms, method, sid, text), signature);
    snprintf(out, PEER_PASS_SIZE, "%" PRId64 ".%s", wall_ms, signature);
}

bool peer_pass_check(const struct peer_keys *keys, int64_t wall_ms, const char *method, struct view sid,
                     struct view pass)
{
    char text[PASS_TEXT_SIZE];
    struct view signature = pass, time;
    uint64_t at;
    if (!view_split(&signature, '.', &time) || time.n > WALL_MS_MAX_DIGITS ||
        !view_u64(time, INT64_MAX / 2, &at))
        return false;
    int64_t apart = wall_ms - (int64_t)at;
    return apart <= PEER_WINDOW_MS && apart >= -PEER_WINDOW_MS &&
           peer_verify(keys, pass_text((int64_t)at, method, sid, text), signature);
}
