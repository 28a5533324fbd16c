/* What a profile comes to, as tables for people. Thread: the only one. */
#ifndef PORTALCTL_PROFILE_EXPLAIN_H
#define PORTALCTL_PROFILE_EXPLAIN_H

#include "shared/profile.h"
#include <stdio.h>

void profile_explain(const struct profile *p, FILE *out);

#endif
