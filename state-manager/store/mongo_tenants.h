/*
 * The documents of the tenants: {_id, epoch, head, seq, applied, published, figures_rev, figures_published,
 * dirty}. They follow the log: entries up to `applied` are in the documents; dirty = 1: the relay may have
 * work. And what retention and copies ask of a tenant.
 *
 * For store/mongo*.c only. Contract of the calls: core/store.h. Thread: the one of the handle.
 */
#ifndef STATE_MANAGER_STORE_MONGO_TENANTS_H
#define STATE_MANAGER_STORE_MONGO_TENANTS_H

#include "state-manager/store/mongo_link.h"

/* The tenant's document; a head of zeros when there is none. */
bool mongo_tenant_find(struct mongo_link *l, const char *tenant_id, struct head *out, uint64_t *applied,
                       struct err *err) MUSTCHECK;
/* Makes the tenant's document when there is none, with this epoch; *epoch_holds: it has this epoch. */
bool mongo_tenant_begin(struct mongo_link *l, const char *tenant_id, const char *epoch, bool *epoch_holds,
                        struct err *err) MUSTCHECK;
/* After mongo_put_docs(): heads and how far they are applied, for those entries that are DONE. Durable. */
bool mongo_tenants_advance(struct mongo_link *l, struct entry *const *entries, size_t count,
                           struct err *err) MUSTCHECK;

bool mongo_tenants(struct store *s, struct view after, size_t limit, store_tenant_fn fn, void *ctx,
                   struct err *err) MUSTCHECK;
bool mongo_unpublished(struct store *s, store_tenant_fn fn, void *ctx, struct err *err) MUSTCHECK;
bool mongo_mark(struct store *s, const struct mark *marks, size_t count, struct err *err) MUSTCHECK;
bool mongo_trim_log(struct store *s, const struct trim *trim, size_t *removed, struct err *err) MUSTCHECK;
bool mongo_adopt(struct store *s, const char *tenant_id, const struct head *at, bool *taken,
                 struct err *err) MUSTCHECK;

#endif
