/* The documents of the SQLite store. Contract: core/store.h. Thread: the one of the handle. */
#ifndef STATE_MANAGER_STORE_SQLITE_DOCS_H
#define STATE_MANAGER_STORE_SQLITE_DOCS_H

#include "state-manager/store/sqlite_link.h"

bool sqlite_get(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key, struct buf *doc,
                bool *found, struct err *err) MUSTCHECK;
bool sqlite_get_many(struct store *s, const char *tenant_id, const struct wanted *wanted, size_t count,
                     store_found_fn fn, void *ctx, struct err *err) MUSTCHECK;
bool sqlite_list(struct store *s, const char *tenant_id, enum doc_kind kind, const struct page *page,
                 store_doc_fn fn, void *ctx, struct err *err) MUSTCHECK;
bool sqlite_scan(struct store *s, const char *tenant_id, enum doc_kind kind, struct view after, size_t limit,
                 store_change_fn fn, void *ctx, struct err *err) MUSTCHECK;
/* Within a transaction of the caller's. */
bool sqlite_put_doc(struct sqlite_link *l, const char *tenant_id, const struct change *c,
                    struct err *err) MUSTCHECK;
bool sqlite_expire(struct store *s, enum doc_kind kind, int64_t before_wall_ms, size_t limit, size_t *removed,
                   struct err *err) MUSTCHECK;
bool sqlite_keep_newest(struct store *s, const char *tenant_id, enum doc_kind kind, size_t keep, size_t limit,
                        size_t *removed, struct err *err) MUSTCHECK;

#endif
