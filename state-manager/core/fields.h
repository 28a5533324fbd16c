/* What may stand in the body of a call, by the fields of its operation. Pure. Thread: any. */
#ifndef STATE_MANAGER_CORE_FIELDS_H
#define STATE_MANAGER_CORE_FIELDS_H

#include "shared/err.h"
#include "shared/profile.h"

/* The body is checked JSON; an empty view counts as an object without members. INVALID: names the member that
 * is unknown, missing, or breaks its rule. */
bool fields_check(const struct operation *o, struct view body, struct err *err) MUSTCHECK;

#endif
