/*
 * What clients may say in the systems of profiles (shared/profile.h): join and leave rooms, tell a room, or
 * write by a command. What the profile says of the arguments is checked against the token first.
 *
 * Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_PROFILE_EVENT_H
#define PORTAL_GATEWAY_CORE_PROFILE_EVENT_H

#include "portal-gateway/core/client_event.h"
#include "portal-gateway/core/policy.h"
#include <stdbool.h>

/* As client_event(). */
bool profile_event(struct session *s, struct view name, const struct arguments *args,
                   const struct receipt *receipt);
/* The name of the event that a JSON string says; NULL: no profile has one. */
const char *profile_event_name(const struct policy *policy, struct view name);

#endif
