/*
 * The documents of the MongoDB store, all kinds in one collection:
 *
 *     {_id: "<tenant>/<kind>/<key>", lists?: ..., parent, rank, ord, state?, owner?, doc: "<JSON>", n}
 *
 * n is the entry that wrote it last. `lists` names every list that it stands in (one name, or an array): the
 * one of its parent; for DOC_FILED the narrower ones of its state, of its owner and of both; for DOC_AGES the
 * one of its kind, over all tenants. So a single index (lists, rank, ord) serves them all.
 *
 * For store/mongo*.c only. Contract of the calls: core/store.h. Thread: the one of the handle.
 */
#ifndef STATE_MANAGER_STORE_MONGO_DOCS_H
#define STATE_MANAGER_STORE_MONGO_DOCS_H

#include "state-manager/store/mongo_link.h"

bool mongo_get(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key, struct buf *doc,
               bool *found, struct err *err) MUSTCHECK;
bool mongo_get_many(struct store *s, const char *tenant_id, const struct wanted *wanted, size_t count,
                    store_found_fn fn, void *ctx, struct err *err) MUSTCHECK;
bool mongo_list(struct store *s, const char *tenant_id, enum doc_kind kind, const struct page *page,
                store_doc_fn fn, void *ctx, struct err *err) MUSTCHECK;
bool mongo_scan(struct store *s, const char *tenant_id, enum doc_kind kind, struct view after, size_t limit,
                store_change_fn fn, void *ctx, struct err *err) MUSTCHECK;
bool mongo_expire(struct store *s, enum doc_kind kind, int64_t before_wall_ms, size_t limit, size_t *removed,
                  struct err *err) MUSTCHECK;
bool mongo_keep_newest(struct store *s, const char *tenant_id, enum doc_kind kind, size_t keep, size_t limit,
                       size_t *removed, struct err *err) MUSTCHECK;

/* The documents of those entries that are DONE; what is newer stays. Durable afterwards. */
bool mongo_put_docs(struct mongo_link *l, struct entry *const *entries, size_t count,
                    struct err *err) MUSTCHECK;

#endif
