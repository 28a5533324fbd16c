#include "state-manager/store/sqlite_docs.h"

enum { LIST_MAX = 1000 };

/* The lists of one kind: of all, of a state, of two states (two indexes merged), of an owner, of an owner in
 * one of two states. Empty parameters that a text does not have are bound all the same. */
enum list { LIST_ALL, LIST_STATE, LIST_STATES, LIST_OWNER, LIST_OWNER_STATES, LIST_COUNT };

#define ROWS(plural) "SELECT key, rank, ord, doc FROM " plural " WHERE tenant = ?1 AND parent = ?2 "
#define BEHIND       "AND (rank, ord) < (?3, ?4) "
#define NEWEST_FIRST "ORDER BY rank DESC, ord DESC LIMIT ?5"
/* All of a filed kind, merged from the newest of each state: an index for this list alone would be one more
 * for every write to keep. */
#define STATES(plural)                                                                                   \
    "WITH RECURSIVE states(state) AS (SELECT min(state) FROM " plural " WHERE tenant = ?1 AND parent = " \
    "?2 UNION ALL SELECT (SELECT min(state) FROM " plural " WHERE tenant = ?1 AND parent = ?2 AND "      \
    "state > states.state) FROM states WHERE state IS NOT NULL) "
#define ALL_STATES(plural)                                                                               \
    STATES(plural)                                                                                       \
    "SELECT key, rank, ord, doc FROM " plural                                                            \
    " WHERE rowid IN (SELECT newest.rowid FROM states JOIN " plural                                      \
    " newest ON newest.rowid IN (SELECT rowid FROM " plural                                              \
    " WHERE tenant = ?1 AND parent = ?2 AND state = states.state " BEHIND NEWEST_FIRST ") " NEWEST_FIRST \
    ") " NEWEST_FIRST

/* The oldest of a list that are beyond the newest ?2, ?3 at most; no more than these are counted. */
#define OWN_LIST(plural) " FROM " plural " WHERE tenant = ?1 AND parent = '' "
#define BEYOND(plural)                                                                  \
    "SELECT rowid" OWN_LIST(plural) "ORDER BY rank, ord LIMIT max(0, (SELECT count(*) " \
                                    "FROM (SELECT 1" OWN_LIST(plural) "LIMIT ?2 + ?3)) - ?2)"

static const struct {
    const char *get, *put, *scan, *expire, *keep_newest, *list[LIST_COUNT];
} sql[DOC_KIND_COUNT] = {
#define X(kind, name, plural, use)                                                                          \
    {.get = "SELECT doc FROM " plural " WHERE tenant = ?1 AND key = ?2",                                    \
     .put = "INSERT INTO " plural "(tenant, key, parent, rank, ord, doc, state, owner) VALUES(?1, ?2, ?3, " \
            "?4, ?5, ?6, ?7, ?8) ON CONFLICT(tenant, key) DO UPDATE SET parent = ?3, rank = ?4, ord = ?5, " \
            "doc = ?6, state = ?7, owner = ?8",                                                             \
     .scan = "SELECT key, parent, rank, ord, state, owner, doc FROM " plural                                \
             " WHERE tenant = ?1 AND key > ?2 ORDER BY key LIMIT ?3",                                       \
     .expire = "DELETE FROM " plural " WHERE rowid IN (SELECT rowid FROM " plural                           \
               " WHERE rank < ?1 ORDER BY rank LIMIT ?2)",                                                  \
     .keep_newest = "DELETE FROM " plural " WHERE rowid IN (" BEYOND(plural) ")",                           \
     .list = {[LIST_ALL] = (use)&DOC_FILED ? ALL_STATES(plural) : ROWS(plural) BEHIND NEWEST_FIRST,         \
              [LIST_STATE] = ROWS(plural) "AND state = ?6 " BEHIND NEWEST_FIRST,                            \
              [LIST_STATES] = ROWS(plural) "AND state = ?6 " BEHIND                                         \
                                           "UNION ALL " ROWS(plural) "AND state = ?7 " BEHIND NEWEST_FIRST, \
              [LIST_OWNER] = ROWS(plural) "AND owner = ?8 " BEHIND NEWEST_FIRST,                            \
              [LIST_OWNER_STATES] =                                                                         \
                  ROWS(plural) "AND owner = ?8 AND state IN (?6, ?7) " BEHIND NEWEST_FIRST}},
    DOC_KINDS(X)
#undef X
};

bool sqlite_get(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key, struct buf *doc,
                bool *found, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(l, sql[kind].get, err);
    int step;
    *found = false;
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(tenant_id));
    sqlite_bind_view(st, 2, key);
    *found = sqlite_next(st, &step);
    if (*found)
        buf_add_view(doc, sqlite_view(st, 0));
    return sqlite_end_rows(l, st, step, "read a document", err);
}

/* A round trip costs nothing here: one by one. */
bool sqlite_get_many(struct store *s, const char *tenant_id, const struct wanted *wanted, size_t count,
                     store_found_fn fn, void *ctx, struct err *err)
{
    struct buf doc;
    bool ok = true, found;
    buf_init(&doc, DOC_MAX);
    for (size_t i = 0; ok && i < count; i++) {
        buf_clear(&doc);
        ok = sqlite_get(s, tenant_id, wanted[i].kind, wanted[i].key, &doc, &found, err);
        if (ok && found)
            fn(ctx, i, buf_view(&doc));
    }
    buf_free(&doc);
    return ok;
}

static enum list list_for(const struct page *page)
{
    if (page->owner.n)
        return page->states[0].n ? LIST_OWNER_STATES : LIST_OWNER;
    if (page->states[1].n)
        return LIST_STATES;
    return page->states[0].n ? LIST_STATE : LIST_ALL;
}

/* Only the parameters that the text has can be bound. */
static void bind_page(sqlite3_stmt *st, const char *tenant_id, const struct page *page, enum list list)
{
    sqlite_bind_view(st, 1, view_of(tenant_id));
    sqlite_bind_view(st, 2, page->parent);
    sqlite3_bind_int64(st, 3, page->has_cursor ? page->rank : INT64_MAX);
    sqlite3_bind_int64(st, 4, page->has_cursor ? page->ord : INT64_MAX);
    sqlite_bind_u64(st, 5, page->limit < LIST_MAX ? page->limit : LIST_MAX);
    if (list == LIST_ALL)
        return;
    sqlite_bind_view(st, 6, page->states[0]);
    sqlite_bind_view(st, 7, page->states[1].n ? page->states[1] : page->states[0]);
    sqlite_bind_view(st, 8, page->owner);
}

bool sqlite_list(struct store *s, const char *tenant_id, enum doc_kind kind, const struct page *page,
                 store_doc_fn fn, void *ctx, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    enum list list = list_for(page);
    sqlite3_stmt *st = sqlite_statement(l, sql[kind].list[list], err);
    int step;
    bool more = true;
    if (!st)
        return false;
    bind_page(st, tenant_id, page, list);
    while (more && sqlite_next(st, &step)) {
        struct listed row = {.key = sqlite_view(st, 0),
                             .rank = sqlite3_column_int64(st, 1),
                             .ord = sqlite3_column_int64(st, 2),
                             .doc = sqlite_view(st, 3)};
        more = fn(ctx, &row);
    }
    return sqlite_end_rows(l, st, step, "list documents", err);
}

bool sqlite_scan(struct store *s, const char *tenant_id, enum doc_kind kind, struct view after, size_t limit,
                 store_change_fn fn, void *ctx, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(l, sql[kind].scan, err);
    int step;
    bool more = true;
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(tenant_id));
    sqlite_bind_view(st, 2, after);
    sqlite_bind_u64(st, 3, limit);
    while (more && sqlite_next(st, &step)) {
        struct change c = {.kind = kind,
                           .key = sqlite_view(st, 0),
                           .place = {.parent = sqlite_view(st, 1),
                                     .rank = sqlite3_column_int64(st, 2),
                                     .ord = sqlite3_column_int64(st, 3),
                                     .state = sqlite_view(st, 4),
                                     .owner = sqlite_view(st, 5)},
                           .doc = sqlite_view(st, 6)};
        more = fn(ctx, &c);
    }
    return sqlite_end_rows(l, st, step, "walk documents", err);
}

bool sqlite_put_doc(struct sqlite_link *l, const char *tenant_id, const struct change *c, struct err *err)
{
    sqlite3_stmt *st = sqlite_statement(l, sql[c->kind].put, err);
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(tenant_id));
    sqlite_bind_view(st, 2, c->key);
    sqlite_bind_view(st, 3, c->place.parent);
    sqlite3_bind_int64(st, 4, c->place.rank);
    sqlite3_bind_int64(st, 5, c->place.ord);
    sqlite_bind_view(st, 6, c->doc);
    sqlite_bind_view(st, 7, c->place.state);
    sqlite_bind_view(st, 8, c->place.owner);
    return sqlite_finish(l, st, "write a document", err);
}

bool sqlite_expire(struct store *s, enum doc_kind kind, int64_t before_wall_ms, size_t limit, size_t *removed,
                   struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    *removed = 0;
    if (!sqlite_begin_light(l, err))
        return false;
    sqlite3_stmt *st = sqlite_statement(l, sql[kind].expire, err);
    if (st) {
        sqlite3_bind_int64(st, 1, before_wall_ms);
        sqlite_bind_u64(st, 2, limit);
    }
    return sqlite_end(l, st && sqlite_finish_counted(l, st, "drop old documents", removed, err), err);
}

bool sqlite_keep_newest(struct store *s, const char *tenant_id, enum doc_kind kind, size_t keep, size_t limit,
                        size_t *removed, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    *removed = 0;
    if (!sqlite_begin_light(l, err))
        return false;
    sqlite3_stmt *st = sqlite_statement(l, sql[kind].keep_newest, err);
    if (st) {
        sqlite_bind_view(st, 1, view_of(tenant_id));
        sqlite_bind_u64(st, 2, keep);
        sqlite_bind_u64(st, 3, limit);
    }
    bool ok = st && sqlite_finish_counted(l, st, "drop documents beyond the newest", removed, err);
    return sqlite_end(l, ok, err);
}
