/*
 * The log of the MongoDB store. For store/mongo*.c only. Thread: the handle's.
 *
 * A log entry is inserted with fresh = 1. Its documents come next, then the tenant's document learns how far
 * they got (head, applied) and that the relay has work (dirty); both are on a majority before `fresh` becomes
 * 0. All can be done again by anybody: so a fresh entry, found by its index, is all that a killed writer
 * leaves behind, and an entry that is not fresh is known to its tenant.
 */
#ifndef STATE_MANAGER_STORE_MONGO_LOG_H
#define STATE_MANAGER_STORE_MONGO_LOG_H

#include "state-manager/store/mongo_link.h"

/* The newest entry that no election can take back: epoch, n and seq of *out. What follows from it may be
 * written and believed. */
bool mongo_log_last(struct mongo_link *l, const char *tenant_id, struct head *out, struct err *err) MUSTCHECK;
/* The head as of `last`; documents up to there are there afterwards. For wait_ms their writer may be about to
 * write them; after that it is done for him. */
bool mongo_log_head(struct mongo_link *l, const char *tenant_id, const struct head *last, int wait_ms,
                    struct head *out, struct err *err) MUSTCHECK;
/* Inserts entries and sets the result of each whose fate is known. */
bool mongo_log_insert(struct mongo_link *l, struct entry **entries, size_t count, struct err *err) MUSTCHECK;

/* Of core/store.h. */
bool mongo_read_log(struct store *s, const char *tenant_id, enum log_position by, uint64_t after,
                    bool with_changes, store_log_fn fn, void *ctx, struct err *err) MUSTCHECK;

#endif
