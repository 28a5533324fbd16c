/*
 * Tokens of one tenant that do not count any more: of a user, one by its id, or all, each up to a moment.
 *
 * What is kept comes with the tenant's head (latest values), what is new by the stream (inside.h). Thread:
 * the loop's. Lifetime: of its tenant.
 */
#ifndef PORTAL_GATEWAY_CORE_REVOKED_H
#define PORTAL_GATEWAY_CORE_REVOKED_H

#include "shared/map.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

struct revoked {
    int64_t everyone_before_ms; /* wall clock; 0: not */
    struct map users, tokens;   /* sub, jti -> struct revocation */
};

void revoked_init(struct revoked *r);
void revoked_finish(struct revoked *r);
/* {"sub"?,"jti"?,"before","mayReturn"?}: as the state-manager keeps it and as the event says it. */
void revoked_add(struct revoked *r, struct view data);
/* Whether the user's tokens were revoked because they say something else by now: he is to come back with
 * another. */
bool revoked_may_return(const struct revoked *r, const char *sub);
/* Whether what was issued to that user at that moment (0: nobody knows when) is revoked; jti "" where there
 * is none. */
bool revoked_has(const struct revoked *r, const char *sub, const char *jti, int64_t issued_ms);

#endif
