/*
 * How revoked tokens are kept: documents {"sub"?, "jti"?, "before": wall ms, "mayReturn"?} under the keys
 * below. A token is refused that was issued before `before` of any that fits it; one that does not say when
 * it was issued, too. Thread: any.
 */
#ifndef STATE_MANAGER_CORE_REVOCATION_H
#define STATE_MANAGER_CORE_REVOCATION_H

#include "shared/token.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdio.h>

struct batch;

#define REVOCATION_TENANT "tenant" /* all of the tenant's */
#define REVOCATION_SUB    "sub:"   /* and the user */
#define REVOCATION_JTI    "jti:"   /* and the token's id */

enum { REVOCATION_KEY_SIZE = 4 + TOKEN_NAME_MAX + 1 };

static inline struct view revocation_key(const char *prefix, const char *name,
                                         char room[static REVOCATION_KEY_SIZE])
{
    int n = snprintf(room, REVOCATION_KEY_SIZE, "%s%s", prefix, name);
    return (struct view){room, (size_t)n};
}

/* A user's tokens count no more, from the batch's now on: the document, and the event that tells gateways.
 * may_return: his transports are closed, so that he comes back with a new token. revoke.c */
void revocation_put(struct batch *b, const char *sub, bool may_return);

#endif
