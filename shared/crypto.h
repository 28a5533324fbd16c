/*
 * Digests, random bytes and text forms of bytes, over OpenSSL's libcrypto (crypto.c only). Thread: any.
 */
#ifndef SHARED_CRYPTO_H
#define SHARED_CRYPTO_H

#include "shared/compiler.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

enum { SHA256_BYTES = 32 };

void crypto_sha256(struct view data, unsigned char out[static SHA256_BYTES]);
void crypto_hmac_sha256(struct view key, struct view data, unsigned char out[static SHA256_BYTES]);
/* Constant time in the content; lengths may differ openly. */
bool crypto_equal(const void *a, const void *b, size_t n);
/* From the system's CSPRNG; aborts when there is none. */
void crypto_random(void *out, size_t n);

/* out holds 2n + 1. */
void crypto_hex(const unsigned char *bytes, size_t n, char *out);
/* Exactly 2n hex digits of either case. */
bool crypto_unhex(struct view hex, unsigned char *out, size_t n) MUSTCHECK;
/* RFC 4648 base64url without padding; out holds (n * 4 + 2) / 3 + 1. Returns the length. */
size_t crypto_base64url(const unsigned char *bytes, size_t n, char *out);
/* out holds text.n * 3 / 4. Refuses padding, blanks and other alphabets. */
bool crypto_unbase64url(struct view text, unsigned char *out, size_t *n) MUSTCHECK;

/* The one algorithm of JSON Web Tokens that a PEM public key is good for: "RS256" (RSA, 2048 bits or more) or
 * "ES256" (curve P-256); NULL: neither, or not a public key. */
const char *crypto_key_algorithm(struct view pem);

/* RFC 4648 base64 with padding, of up to 1 GB; out holds (n + 2) / 3 * 4 + 1. Returns the length. */
size_t crypto_base64(const unsigned char *bytes, size_t n, char *out);
/* False: not base64 with padding. out holds text.n / 4 * 3. */
bool crypto_unbase64(struct view text, unsigned char *out, size_t *n) MUSTCHECK;

/* An unguessable id: `prefix` and 20 characters of base64url (120 bits); out holds strlen(prefix) + 21. */
void crypto_random_id(const char *prefix, char *out);
/* A stable id: `prefix` and 20 characters out of the digest of `name`. */
void crypto_name_id(const char *prefix, struct view name, char *out);

#endif
