/* Walks over tenants, the age of their logs, and where a log begins. Contract: core/store.h. Thread: the one
 * of the handle. */
#ifndef STATE_MANAGER_STORE_SQLITE_TENANTS_H
#define STATE_MANAGER_STORE_SQLITE_TENANTS_H

#include "state-manager/store/sqlite_link.h"

/* Runs a statement whose rows are a tenant and its head. */
bool sqlite_each_tenant(struct sqlite_link *l, sqlite3_stmt *st, store_tenant_fn fn, void *ctx,
                        struct err *err) MUSTCHECK;
bool sqlite_tenants(struct store *s, struct view after, size_t limit, store_tenant_fn fn, void *ctx,
                    struct err *err) MUSTCHECK;
bool sqlite_trim_log(struct store *s, const struct trim *trim, size_t *removed, struct err *err) MUSTCHECK;
bool sqlite_adopt(struct store *s, const char *tenant_id, const struct head *at, bool *taken,
                  struct err *err) MUSTCHECK;

#endif
