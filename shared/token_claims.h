/*
 * What a verified token says: its claims checked and copied out. A part of token.c, which alone calls it; no
 * signature is looked at here. RFC 7519 section 4. Thread: any.
 */
#ifndef SHARED_TOKEN_CLAIMS_H
#define SHARED_TOKEN_CLAIMS_H

#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/token.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct claim_rules {
    char *issuer, *audience; /* "" is not checked */
    int leeway_s;
};

/* Picks members of an object by name; an empty slice for what is not there. False: one of them stands there
 * twice. */
bool members_read(struct view object, const char *const names[], size_t count,
                  struct view values[]) MUSTCHECK;

/* ERR_UNAUTHENTICATED and why; `claims` is then partly filled. */
bool claims_read(const struct claim_rules *rules, struct view payload, int64_t now_wall_ms,
                 struct claims *claims, struct err *err) MUSTCHECK;

#endif
