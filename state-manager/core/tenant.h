/* What is set for a tenant as a whole: its time zone, which lives with its figures. Thread: any. */
#ifndef STATE_MANAGER_CORE_TENANT_H
#define STATE_MANAGER_CORE_TENANT_H

#include "shared/buf.h"
#include "state-manager/core/figures.h"

/* What callers of the API see of a tenant. */
void tenant_write(const char *tenant_id, const struct figures *f, struct buf *out);

#endif
