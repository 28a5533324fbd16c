#include "state-manager/store/sqlite.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/store/changes.h"
#include "state-manager/store/lockfile.h"
#include "state-manager/store/sqlite_beside.h"
#include "state-manager/store/sqlite_docs.h"
#include "state-manager/store/sqlite_log.h"
#include "state-manager/store/sqlite_schema.h"
#include "state-manager/store/sqlite_tenants.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { OPEN_FLAGS = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX };

/* --- the log ---------------------------------------------------------------------------------------------
 */

static bool op_head(struct store *s, const char *tenant_id, struct head *out, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(l, "SELECT " SQLITE_HEAD " FROM tenants WHERE tenant = ?1", err);
    int step;
    *out = (struct head){0};
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(tenant_id));
    if (sqlite_next(st, &step))
        sqlite_head(st, 0, out);
    return sqlite_end_rows(l, st, step, "read a head", err);
}

static bool put_log(struct sqlite_store *s, const struct entry *e, struct err *err)
{
    sqlite3_stmt *st =
        sqlite_statement(&s->link,
                         "INSERT INTO log(tenant, n, first_seq, last_seq, at, changes, events) "
                         "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                         err);
    if (!st)
        return false;
    buf_clear(&s->changes);
    changes_write(e->changes, e->change_count, &s->changes);
    if (s->changes.overflow)
        return err_set(err, ERR_INTERNAL, "an entry over %zu bytes", s->changes.max);
    sqlite_bind_view(st, 1, view_of(e->tenant_id));
    sqlite_bind_u64(st, 2, e->n);
    sqlite_bind_u64(st, 3, e->first_seq);
    sqlite_bind_u64(st, 4, e->last_seq);
    sqlite3_bind_int64(st, 5, e->at_wall_ms);
    sqlite_bind_view(st, 6, buf_view(&s->changes));
    sqlite_bind_view(st, 7, e->events);
    return sqlite_finish(&s->link, st, "write the log", err);
}

static bool put_head(struct sqlite_link *l, const struct entry *e, struct err *err)
{
    sqlite3_stmt *st = sqlite_statement(
        l,
        "INSERT INTO tenants(tenant, " SQLITE_HEAD ") VALUES(?1, ?2, ?3, ?4, 0, ?5, 0) "
        "ON CONFLICT(tenant) DO UPDATE SET n = ?3, seq = ?4, figures_rev = max(figures_rev, ?5)",
        err);
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(e->tenant_id));
    sqlite_bind_view(st, 2, view_of(e->epoch));
    sqlite_bind_u64(st, 3, e->n);
    sqlite_bind_u64(st, 4, e->last_seq);
    sqlite_bind_u64(st, 5, e->figures_changed ? e->n : 0);
    return sqlite_finish(l, st, "write a head", err);
}

static bool commit_entry(struct sqlite_store *s, struct entry *e, struct err *err)
{
    struct head head;
    if (!op_head(&s->base, e->tenant_id, &head, err))
        return false;
    if (head.n + 1 != e->n || (head.n && strcmp(head.epoch, e->epoch) != 0)) {
        e->result = COMMIT_CONFLICT;
        return true;
    }
    if (!put_log(s, e, err))
        return false;
    for (size_t i = 0; i < e->change_count; i++)
        if (!sqlite_put_doc(&s->link, e->tenant_id, &e->changes[i], err))
            return false;
    return put_head(&s->link, e, err);
}

static bool op_commit(struct store *base, struct entry **entries, size_t count, struct err *err)
{
    struct sqlite_store *s = container_of(base, struct sqlite_store, base);
    for (size_t i = 0; i < count; i++)
        entries[i]->result = COMMIT_PENDING;
    if (!sqlite_begin(&s->link, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = commit_entry(s, entries[i], err);
    ok = sqlite_end(&s->link, ok, err);
    for (size_t i = 0; ok && i < count; i++)
        if (entries[i]->result == COMMIT_PENDING)
            entries[i]->result = COMMIT_DONE;
    return ok;
}

#define LOG_COLUMNS "SELECT n, first_seq, last_seq, events, CASE ?3 WHEN 1 THEN changes END FROM log "
static const char log_by_entry[] = LOG_COLUMNS "WHERE tenant = ?1 AND n > ?2 ORDER BY n";
/* Numbers have no gaps and last_seq never falls: the first entry is found by halving, without an index that
 * every write would have to keep. */
static const char log_by_seq[] =
    "WITH RECURSIVE half(low, high) AS (SELECT (SELECT min(n) FROM log WHERE tenant = ?1) - 1, "
    "(SELECT max(n) FROM log WHERE tenant = ?1) UNION ALL "
    "SELECT iif(last_seq > ?2, low, n), iif(last_seq > ?2, n - 1, high) "
    "FROM half JOIN log ON tenant = ?1 AND n = (low + high + 1) / 2 WHERE low < high) " /* the middle */
    LOG_COLUMNS "WHERE tenant = ?1 AND n > (SELECT max(low) FROM half) ORDER BY n";

static bool op_read_log(struct store *s, const char *tenant_id, enum log_position by, uint64_t after,
                        bool with_changes, store_log_fn fn, void *ctx, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(l, by == LOG_BY_SEQ ? log_by_seq : log_by_entry, err);
    int step;
    bool more = true;
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(tenant_id));
    sqlite_bind_u64(st, 2, after);
    sqlite3_bind_int(st, 3, with_changes);
    while (more && sqlite_next(st, &step)) {
        struct log_entry entry = {.n = sqlite_u64(st, 0),
                                  .first_seq = sqlite_u64(st, 1),
                                  .last_seq = sqlite_u64(st, 2),
                                  .events = sqlite_view(st, 3),
                                  .changes = sqlite_view(st, 4)};
        more = fn(ctx, &entry);
    }
    return sqlite_end_rows(l, st, step, "read the log", err);
}

/* --- the relay's marks -----------------------------------------------------------------------------------
 */

static bool op_unpublished(struct store *s, store_tenant_fn fn, void *ctx, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    sqlite3_stmt *st = sqlite_statement(l,
                                        "SELECT tenant, " SQLITE_HEAD " FROM tenants "
                                        "WHERE published < n OR figures_published < figures_rev",
                                        err);
    return st && sqlite_each_tenant(l, st, fn, ctx, err);
}

static bool mark_one(struct sqlite_link *l, const struct mark *mark, struct err *err)
{
    sqlite3_stmt *st =
        sqlite_statement(l,
                         "UPDATE tenants SET published = max(published, ?2), figures_published "
                         "= max(figures_published, ?3) WHERE tenant = ?1",
                         err);
    if (!st)
        return false;
    sqlite_bind_view(st, 1, view_of(mark->tenant_id));
    sqlite_bind_u64(st, 2, mark->published);
    sqlite_bind_u64(st, 3, mark->figures_published);
    return sqlite_finish(l, st, "mark as published", err);
}

/* Whether a commit would reach the disk is only known of one that has: the version is written once more. */
static bool try_commit(struct sqlite_link *l, struct err *err)
{
    if (!sqlite_begin(l, err) || !sqlite_end(l, sqlite_schema_touch(l->db, err), err))
        return false;
    sqlite_link_idle(l);
    return true;
}

/* A lost mark only means that an entry is published again. */
static bool op_mark(struct store *s, const struct mark *marks, size_t count, struct err *err)
{
    struct sqlite_link *l = sqlite_link_of(s);
    if (!count)
        return try_commit(l, err);
    if (!sqlite_begin_light(l, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = mark_one(l, &marks[i], err);
    return sqlite_end(l, ok, err);
}

/* --- the handle ------------------------------------------------------------------------------------------
 */

static void op_close(struct store *base)
{
    struct sqlite_store *s = container_of(base, struct sqlite_store, base);
    sqlite_link_close(&s->link);
    buf_free(&s->changes);
    lockfile_release(s->lock_fd);
    free(s);
}

static const struct store_ops sqlite_ops = {
    .close = op_close,
    .head = op_head,
    .get = sqlite_get,
    .get_many = sqlite_get_many,
    .list = sqlite_list,
    .scan = sqlite_scan,
    .tenants = sqlite_tenants,
    .commit = op_commit,
    .read_log = op_read_log,
    .unpublished = op_unpublished,
    .mark = op_mark,
    .channel_get = sqlite_channel_get,
    .channel_put = sqlite_channel_put,
    .channel_delete = sqlite_channel_delete,
    .channels = sqlite_channels,
    .quarantine = sqlite_quarantine,
    .waiting_channel = sqlite_waiting_channel,
    .waiting = sqlite_waiting,
    .quarantine_scan = sqlite_quarantine_scan,
    .quarantine_drop = sqlite_quarantine_drop,
    .trim_log = sqlite_trim_log,
    .expire = sqlite_expire,
    .keep_newest = sqlite_keep_newest,
    .quarantine_expire = sqlite_quarantine_expire,
    .adopt = sqlite_adopt,
};

/* What SQLite recovers without a word behind a writer that did not end well. */
static void say_what_remained(const struct sqlite_log *log)
{
    if (log->unreadable)
        log_warn("store_log_cut", "pages=0 bytes=%" PRIu64, log->bytes);
    else if (log->dropped_commits)
        log_warn("store_log_cut", "pages=%" PRIu64 " dropped=%" PRIu64 " commits=%" PRIu64, log->pages,
                 log->dropped_pages, log->dropped_commits);
    else if (log->bytes)
        log_info("store_recovered", "pages=%" PRIu64 " dropped=%" PRIu64, log->pages, log->dropped_pages);
}

static bool open_writer(struct sqlite_store *s, const char *path, struct err *err)
{
    struct sqlite_log log;
    if (!lockfile_take(path, &s->lock_fd, err) || !sqlite_log_look(path, &log, err))
        return false;
    say_what_remained(&log);
    if (!sqlite_link_open(&s->link, path, OPEN_FLAGS | SQLITE_OPEN_CREATE, err) ||
        !sqlite_schema_make(s->link.db, err) ||
        !sqlite_schema_check(s->link.db, SQLITE_CHECKED_BYTES_MAX, err))
        return false;
    sqlite_link_keep_log_short(&s->link);
    return true;
}

static bool open_reader(struct sqlite_store *s, const char *path, struct err *err)
{
    return sqlite_link_open(&s->link, path, OPEN_FLAGS, err) && sqlite_schema_read(s->link.db, err);
}

struct store *sqlite_store_open(const char *path, enum store_mode mode, struct err *err)
{
    struct sqlite_store *s = xcalloc(1, sizeof *s);
    s->base.ops = &sqlite_ops;
    s->lock_fd = -1;
    buf_init(&s->changes, 2 * (size_t)ENTRY_BYTES_MAX);
    if ((mode == STORE_WRITER ? open_writer : open_reader)(s, path, err))
        return &s->base;
    op_close(&s->base);
    return NULL;
}
