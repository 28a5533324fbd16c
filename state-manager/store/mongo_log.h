/*
 * The log of the MongoDB store and what follows from it. For store/mongo*.c only. Thread: the handle's.
 *
 * A log entry is inserted with fresh = 1. Its documents come next, then the tenant's document learns how far
 * they got (head, applied) and that the relay has work (dirty), then fresh becomes 0. Each step is on a
 * majority before the next one begins, and all can be done again by anybody: so a fresh entry, found by its
 * index, is all that a killed writer leaves behind, and an entry that is not fresh is known to its tenant.
 */
#ifndef STATE_MANAGER_STORE_MONGO_LOG_H
#define STATE_MANAGER_STORE_MONGO_LOG_H

#include "state-manager/store/mongo_link.h"

/* The head as of now; documents up to head.n are there afterwards. */
bool mongo_log_head(struct mongo_link *l, const char *tenant_id, struct head *out, struct err *err) MUSTCHECK;
/* Makes the tenant's document when there is none, with this epoch; *epoch_holds: it has this epoch. */
bool mongo_log_begin_tenant(struct mongo_link *l, const char *tenant_id, const char *epoch, bool *epoch_holds,
                            struct err *err) MUSTCHECK;
/* Inserts entries and sets the result of each whose fate is known; then writes the documents of those that
 * are DONE. */
bool mongo_log_insert(struct mongo_link *l, struct entry **entries, size_t count, struct err *err) MUSTCHECK;
bool mongo_log_read(struct mongo_link *l, const char *tenant_id, enum log_position by, uint64_t after,
                    bool with_changes, store_log_fn fn, void *ctx, struct err *err) MUSTCHECK;

bool mongo_log_unpublished(struct mongo_link *l, store_tenant_fn fn, void *ctx, struct err *err) MUSTCHECK;
bool mongo_log_mark(struct mongo_link *l, const struct mark *marks, size_t count, struct err *err) MUSTCHECK;

#endif
