/*
 * Who is calling: JSON Web Tokens (RFC 7519), checked by the rules of RFC 8725. libjwt is spoken to in
 * token.c only and never trusted alone: it accepts unsigned, expired and algorithm-confused tokens, so that
 * every check here is ours.
 *
 * Thread: token_verify() is callable from any thread once the rules are made (they do not change).
 */
#ifndef SHARED_TOKEN_H
#define SHARED_TOKEN_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stands for one that was given and cannot be read as a text of at most TOKEN_MAX_BYTES: it never holds. */
#define TOKEN_UNREADABLE "-"

enum {
    TOKEN_MAX_BYTES = 8192,
    TOKEN_LIST_MAX = 32, /* entries of role, rooms, teams */
    TENANT_ID_MAX = 64,  /* [A-Za-z0-9_-] */
    TOKEN_NAME_MAX = 128 /* bytes of sub, jti, of a role, a room, a team */
};

struct token_rules;

struct token_options {
    const char *algorithm;                /* HS256, RS256, ES256: the only one accepted */
    const char *secret, *secret_previous; /* HS256; previous may be "" */
    const char *public_keys;              /* directory of <kid>.pem; RS256, ES256 */
    const char *issuer, *audience;        /* "" is not checked */
    int leeway_s;                         /* for nbf and iat; exp has none */
};

struct token_rules *token_rules_create(const struct token_options *options, struct err *err);
void token_rules_destroy(struct token_rules *rules); /* NULL-safe */

struct token_list {
    size_t count;
    char *items[TOKEN_LIST_MAX];
};

struct claims {
    char tenant_id[TENANT_ID_MAX + 1];
    char sub[TOKEN_NAME_MAX + 1];
    char jti[TOKEN_NAME_MAX + 1]; /* "" where there is none */
    struct token_list roles, rooms, teams;
    char *name, *email, *phone;        /* NULL where there is none */
    int64_t issued_at_s, expires_at_s; /* unix seconds; issued 0 where there is none */
};

/* Verifies and reads a compact token. ERR_UNAUTHENTICATED and why (never the token) when it does not hold.
 * Fills *claims, which the caller releases also on false. */
bool token_verify(const struct token_rules *rules, struct view token, int64_t now_wall_ms,
                  struct claims *claims, struct err *err) MUSTCHECK;
void claims_release(struct claims *claims);
bool claims_have_role(const struct claims *claims, const char *role);
/* Appends them as a JSON object: {tenantId, sub, role (the first), roles, name?, email?, phone?}. */
void claims_write(const struct claims *claims, struct buf *out);

/* Signs a token from a claims object in JSON (iat and exp must be in it). For portalctl and tests; caller
 * frees. */
char *token_sign_hs256(const char *secret, const char *claims_json, struct err *err);

#endif
