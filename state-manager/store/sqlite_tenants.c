#include "state-manager/store/sqlite_tenants.h"

bool sqlite_each_tenant(struct sqlite_link *l, sqlite3_stmt *st, store_tenant_fn fn, void *ctx,
                        struct err *err)
{
    int step;
    bool more = true;
    while (more && sqlite_next(st, &step)) {
        char tenant_id[TENANT_ID_MAX + 1];
        struct head head;
        sqlite_copy(st, 0, tenant_id, sizeof tenant_id);
        sqlite_head(st, 1, &head);
        more = fn(ctx, tenant_id, &head);
    }
    return sqlite_end_rows(l, st, step, "walk tenants", err);
}

bool sqlite_tenants(struct store *s, struct view after, size_t limit, store_tenant_fn fn, void *ctx,
                    struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(
        l, "SELECT tenant, " SQLITE_HEAD " FROM tenants WHERE tenant > ?1 ORDER BY tenant LIMIT ?2", err);
    if (!st)
        return false;
    sqlite_bind_view(st, 1, after);
    sqlite_bind_u64(st, 2, limit);
    return sqlite_each_tenant(l, st, fn, ctx, err);
}

/* The last of the oldest entries that may go, 0: none. They are looked at in order, as they were written. */
static bool find_cut(struct sqlite_link *l, const struct trim *trim, uint64_t *cut, struct err *err)
{
    sqlite3_stmt *st = sqlite_statement(
        l,
        "SELECT log.n, log.at, log.last_seq FROM log JOIN tenants USING(tenant) WHERE tenant "
        "= ?1 AND log.n < tenants.n AND log.n <= tenants.published ORDER BY log.n LIMIT ?2",
        err);
    int step;
    bool old = true;
    *cut = 0;
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(trim->tenant_id));
    sqlite_bind_u64(st, 2, trim->limit);
    while (old && sqlite_next(st, &step)) {
        old = sqlite3_column_int64(st, 1) < trim->before_wall_ms || sqlite_u64(st, 2) < trim->before_seq;
        if (old)
            *cut = sqlite_u64(st, 0);
    }
    return sqlite_end_rows(l, st, step, "look for old entries", err);
}

bool sqlite_trim_log(struct store *s, const struct trim *trim, size_t *removed, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    uint64_t cut;
    *removed = 0;
    if (!find_cut(l, trim, &cut, err))
        return false;
    if (!cut)
        return true;
    if (!sqlite_begin_light(l, err))
        return false;
    sqlite3_stmt *st = sqlite_statement(l, "DELETE FROM log WHERE tenant = ?1 AND n <= ?2", err);
    if (st) {
        sqlite_bind_view(st, 1, view_of(trim->tenant_id));
        sqlite_bind_u64(st, 2, cut);
    }
    return sqlite_end(l, st && sqlite_finish_counted(l, st, "drop old entries", removed, err), err);
}

bool sqlite_adopt(struct store *s, const char *tenant_id, const struct head *at, bool *taken, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    size_t added = 0;
    *taken = false;
    if (!sqlite_begin(l, err))
        return false;
    sqlite3_stmt *st = sqlite_statement(
        l, "INSERT OR IGNORE INTO tenants(tenant, " SQLITE_HEAD ") VALUES(?1, ?2, ?3, ?4, ?3, ?5, ?5)", err);
    if (st) {
        sqlite_bind_view(st, 1, view_of(tenant_id));
        sqlite_bind_view(st, 2, view_of(at->epoch));
        sqlite_bind_u64(st, 3, at->n);
        sqlite_bind_u64(st, 4, at->seq);
        sqlite_bind_u64(st, 5, at->figures_rev);
    }
    bool ok = sqlite_end(l, st && sqlite_finish_counted(l, st, "begin a tenant", &added, err), err);
    *taken = ok && added > 0;
    return ok;
}
