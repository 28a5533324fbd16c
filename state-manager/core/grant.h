/* What a caller may do to a resource, by his claims (claims_write() in shared/token.h). Pure. Thread: any. */
#ifndef STATE_MANAGER_CORE_GRANT_H
#define STATE_MANAGER_CORE_GRANT_H

#include "shared/err.h"
#include "shared/profile.h"

enum reach { REACH_NONE, REACH_OWN, REACH_ALL };

/* The farthest of what his roles give. */
enum reach grant_reach(const struct operation *o, struct view claims);
/* The same; DENIED where that is nothing. */
bool grant_check(const struct operation *o, struct view claims, enum reach *reach, struct err *err) MUSTCHECK;
bool claims_name_role(struct view claims, const char *role);

#endif
