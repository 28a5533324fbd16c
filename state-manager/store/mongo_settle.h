/*
 * What follows the insert of log entries in the MongoDB store: documents, tenants, the end of `fresh` (see
 * mongo_log.h); and doing it for a writer that was killed. For store/mongo*.c only. Thread: the handle's.
 */
#ifndef STATE_MANAGER_STORE_MONGO_SETTLE_H
#define STATE_MANAGER_STORE_MONGO_SETTLE_H

#include "state-manager/store/mongo_link.h"

/* Documents and tenants of the entries that are DONE, one per tenant at most; all entries before them are
 * settled. */
bool mongo_settle(struct mongo_link *l, struct entry *const *entries, size_t count,
                  struct err *err) MUSTCHECK;
/* The same for the entries of a tenant that are in the log only: after `applied`, up to `last`. */
bool mongo_settle_missing(struct mongo_link *l, const char *tenant_id, uint64_t applied, uint64_t last,
                          struct err *err) MUSTCHECK;
/* Whoever wrote what is fresh is about to settle it, which takes a moment, or has died: looks, waits, does
 * it.
 */
bool mongo_settle_fresh(struct mongo_link *l, struct err *err) MUSTCHECK;

/* Remembers what this handle has settled; the log is told later, many at once: an entry that is fresh for
 * longer is only looked at once more. */
void mongo_settled_add(struct mongo_store *s, const struct entry *e);
void mongo_settled_flush(struct mongo_store *s);

#endif
