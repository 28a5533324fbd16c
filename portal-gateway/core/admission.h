/*
 * Who may be in a room that he asks for: `conversation:<id>` whoever's tenant has that conversation; rooms of
 * profiles by their rules (shared/profile.h); all others those whose token gives them.
 *
 * Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_ADMISSION_H
#define PORTAL_GATEWAY_CORE_ADMISSION_H

#include "portal-gateway/core/asks.h"
#include "shared/view.h"
#include <stdbool.h>

struct policy;
struct session;

/* What is known without asking anybody. */
enum admission {
    ADMISSION_DENIED,  /* no rule of it lets him in */
    ADMISSION_GRANTED, /* his token does */
    ADMISSION_DEPENDS  /* on a document: the state-manager knows */
};

/* *by_token: nobody has to ask whose the document is, only whether there is one. */
enum admission admission_of(const struct session *s, struct view room, bool *by_token);
/* Whether there are rules for rooms of that name, so that joining one may be recorded. */
bool admission_is_ruled(const struct policy *policy, struct view room);
/* What the state-manager says of a room that depends (true, false, or whose it is) -> whether he may. */
bool admission_opens(const struct session *s, struct view room, struct view right);
/* Whether his token has that role. */
bool admission_has_role(const struct session *s, const char *role);

#endif
