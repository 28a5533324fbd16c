#include "state-manager/store/sqlite.h"
#include "shared/crypto.h"
#include "shared/mem.h"
#include "state-manager/store/changes.h"
#include "state-manager/store/lockfile.h"
#include "state-manager/store/sqlite_schema.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 2000, LIST_MAX = 1000 };

/* id, SQL. Statements of a kind of documents have %s for its table. */
#define STATEMENTS(X)                                                                                      \
    X(HEAD,                                                                                                \
      "SELECT epoch, n, seq, published, figures_rev, figures_published FROM tenants WHERE tenant = ?1")    \
    X(HEAD_PUT, "INSERT INTO tenants(tenant, epoch, n, seq, published, figures_rev, figures_published) "   \
                "VALUES(?1, ?2, ?3, ?4, 0, ?5, 0) ON CONFLICT(tenant) DO UPDATE SET n = ?3, seq = ?4, "    \
                "figures_rev = max(figures_rev, ?5)")                                                      \
    X(LOG_PUT, "INSERT INTO log(tenant, n, first_seq, last_seq, at, changes, events) "                     \
               "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                                       \
    X(LOG_BY_ENTRY, "SELECT n, first_seq, last_seq, events, CASE ?3 WHEN 1 THEN changes END FROM log "     \
                    "WHERE tenant = ?1 AND n > ?2 ORDER BY n")                                             \
    X(LOG_BY_SEQ, "SELECT n, first_seq, last_seq, events, CASE ?3 WHEN 1 THEN changes END FROM log "       \
                  "WHERE tenant = ?1 AND last_seq > ?2 ORDER BY last_seq, n")                              \
    X(UNPUBLISHED, "SELECT tenant, epoch, n, seq, published, figures_rev, figures_published FROM tenants " \
                   "WHERE published < n OR figures_published < figures_rev")                               \
    X(MARK, "UPDATE tenants SET published = max(published, ?2), "                                          \
            "figures_published = max(figures_published, ?3) WHERE tenant = ?1")                            \
    X(CHANNEL_GET,                                                                                         \
      "SELECT phone_number_id, tenant, display, token FROM channels WHERE phone_number_id = ?1")           \
    X(CHANNEL_PUT, "INSERT INTO channels(phone_number_id, tenant, display, token) VALUES(?1, ?2, ?3, ?4) " \
                   "ON CONFLICT(phone_number_id) DO UPDATE SET tenant = ?2, display = ?3, token = ?4")     \
    X(CHANNEL_DELETE, "DELETE FROM channels WHERE phone_number_id = ?1")                                   \
    X(QUARANTINE, "INSERT OR IGNORE INTO quarantine(digest, at, reason, phone_number_id, bytes) "          \
                  "VALUES(?1, ?2, ?3, ?4, ?5)")

enum statement {
#define X(id, sql) STATEMENT_##id,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

static const char *const statement_sql[] = {
#define X(id, sql) sql,
    STATEMENTS(X)
#undef X
};

enum doc_statement { DOC_SQL_GET, DOC_SQL_PUT, DOC_SQL_LIST, DOC_SQL_COUNT };

/* The same three for the table of each kind of documents. */
static const char *const doc_sql[DOC_KIND_COUNT][DOC_SQL_COUNT] = {
#define X(kind, name, plural, listed)                                                              \
    {"SELECT doc FROM " plural " WHERE tenant = ?1 AND key = ?2",                                  \
     "INSERT INTO " plural "(tenant, key, parent, rank, ord, doc) VALUES(?1, ?2, ?3, ?4, ?5, ?6) " \
     "ON CONFLICT(tenant, key) DO UPDATE SET parent = ?3, rank = ?4, ord = ?5, doc = ?6",          \
     "SELECT key, rank, ord, doc FROM " plural " WHERE tenant = ?1 AND parent = ?2 AND "           \
     "(rank, ord) < (?3, ?4) ORDER BY rank DESC, ord DESC LIMIT ?5"},
    DOC_KINDS(X)
#undef X
};

struct sqlite_store {
    struct store base;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    sqlite3_stmt *doc_statements[DOC_KIND_COUNT][DOC_SQL_COUNT];
    struct buf changes; /* of the entry being written */
    int lock_fd;        /* writer only, else -1 */
};

static struct sqlite_store *self(struct store *s)
{
    return container_of(s, struct sqlite_store, base);
}

/* Whether waiting can help decides the code: full disks and I/O errors pass, a damaged file does not. */
static bool fail(struct sqlite_store *s, const char *doing, struct err *err)
{
    int code = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM;
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_MISUSE ||
                   code == SQLITE_ERROR || code == SQLITE_CONSTRAINT;
    return err_set(err, damaged ? ERR_INTERNAL : ERR_UNAVAILABLE, "sqlite: %s: %s", doing,
                   s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

static bool run_sql(struct sqlite_store *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(s, sql, err);
}

/* A statement ready for binding; made at its first use. NULL: err is set. */
static sqlite3_stmt *statement(struct sqlite_store *s, sqlite3_stmt **slot, const char *sql, struct err *err)
{
    if (!*slot && sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL) != SQLITE_OK)
        fail(s, "prepare", err);
    return *slot;
}

static sqlite3_stmt *fixed(struct sqlite_store *s, enum statement id, struct err *err)
{
    return statement(s, &s->statements[id], statement_sql[id], err);
}

static sqlite3_stmt *of_kind(struct sqlite_store *s, enum doc_kind kind, enum doc_statement id,
                             struct err *err)
{
    return statement(s, &s->doc_statements[kind][id], doc_sql[kind][id], err);
}

static void bind_view(sqlite3_stmt *st, int at, struct view v)
{
    sqlite3_bind_text(st, at, v.n ? v.p : "", (int)v.n, SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    bind_view(st, at, view_of(text));
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t value)
{
    sqlite3_bind_int64(st, at, (sqlite3_int64)value);
}

static struct view column_view(sqlite3_stmt *st, int at)
{
    const char *p = sqlite3_column_blob(st, at);
    return (struct view){p ? p : "", (size_t)sqlite3_column_bytes(st, at)};
}

static uint64_t column_u64(sqlite3_stmt *st, int at)
{
    return (uint64_t)sqlite3_column_int64(st, at);
}

static void column_copy(sqlite3_stmt *st, int at, char *out, size_t size)
{
    if (!view_copy(column_view(st, at), out, size))
        out[0] = 0;
}

/* Runs a statement that gives no rows. */
static bool finish(struct sqlite_store *s, sqlite3_stmt *st, const char *doing, struct err *err)
{
    bool ok = sqlite3_step(st) == SQLITE_DONE || fail(s, doing, err);
    sqlite3_reset(st);
    return ok;
}

/* After a loop over rows: whether it ended well; `stopped` when the caller ended it. */
static bool end_rows(struct sqlite_store *s, sqlite3_stmt *st, int last_step, bool stopped, const char *doing,
                     struct err *err)
{
    bool ok = stopped || last_step == SQLITE_DONE || fail(s, doing, err);
    sqlite3_reset(st);
    return ok;
}

static void read_head(sqlite3_stmt *st, int at, struct head *out)
{
    column_copy(st, at, out->epoch, sizeof out->epoch);
    out->n = column_u64(st, at + 1);
    out->seq = column_u64(st, at + 2);
    out->published = column_u64(st, at + 3);
    out->figures_rev = column_u64(st, at + 4);
    out->figures_published = column_u64(st, at + 5);
}

static bool op_head(struct store *base, const char *tenant_id, struct head *out, struct err *err)
{
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = fixed(s, STATEMENT_HEAD, err);
    *out = (struct head){0};
    if (!st)
        return false;
    bind_text(st, 1, tenant_id);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        read_head(st, 0, out);
    return end_rows(s, st, step, step == SQLITE_ROW, "read a head", err);
}

static bool op_get(struct store *base, const char *tenant_id, enum doc_kind kind, struct view key,
                   struct buf *doc, bool *found, struct err *err)
{
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = of_kind(s, kind, DOC_SQL_GET, err);
    *found = false;
    if (!st)
        return false;
    bind_text(st, 1, tenant_id);
    bind_view(st, 2, key);
    int step = sqlite3_step(st);
    *found = step == SQLITE_ROW;
    if (*found)
        buf_add_view(doc, column_view(st, 0));
    return end_rows(s, st, step, *found, "read a document", err);
}

static bool op_list(struct store *base, const char *tenant_id, enum doc_kind kind, const struct page *page,
                    store_doc_fn fn, void *ctx, struct err *err)
{
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = of_kind(s, kind, DOC_SQL_LIST, err);
    if (!st)
        return false;
    bind_text(st, 1, tenant_id);
    bind_view(st, 2, page->parent);
    sqlite3_bind_int64(st, 3, page->has_cursor ? page->rank : INT64_MAX);
    sqlite3_bind_int64(st, 4, page->has_cursor ? page->ord : INT64_MAX);
    bind_u64(st, 5, page->limit < LIST_MAX ? page->limit : LIST_MAX);
    int step;
    bool stopped = false;
    while (!stopped && (step = sqlite3_step(st)) == SQLITE_ROW) {
        struct listed row = {.key = column_view(st, 0),
                             .rank = sqlite3_column_int64(st, 1),
                             .ord = sqlite3_column_int64(st, 2),
                             .doc = column_view(st, 3)};
        stopped = !fn(ctx, &row);
    }
    return end_rows(s, st, stopped ? SQLITE_DONE : step, stopped, "list documents", err);
}

static bool put_doc(struct sqlite_store *s, const char *tenant_id, const struct change *c, struct err *err)
{
    sqlite3_stmt *st = of_kind(s, c->kind, DOC_SQL_PUT, err);
    if (!st)
        return false;
    bind_text(st, 1, tenant_id);
    bind_view(st, 2, c->key);
    bind_view(st, 3, c->place.parent);
    sqlite3_bind_int64(st, 4, c->place.rank);
    sqlite3_bind_int64(st, 5, c->place.ord);
    bind_view(st, 6, c->doc);
    return finish(s, st, "write a document", err);
}

static bool put_log(struct sqlite_store *s, const struct entry *e, struct err *err)
{
    sqlite3_stmt *st = fixed(s, STATEMENT_LOG_PUT, err);
    if (!st)
        return false;
    buf_clear(&s->changes);
    changes_write(e->changes, e->change_count, &s->changes);
    if (s->changes.overflow)
        return err_set(err, ERR_INTERNAL, "an entry over %zu bytes", s->changes.max);
    bind_text(st, 1, e->tenant_id);
    bind_u64(st, 2, e->n);
    bind_u64(st, 3, e->first_seq);
    bind_u64(st, 4, e->last_seq);
    sqlite3_bind_int64(st, 5, e->at_wall_ms);
    bind_view(st, 6, buf_view(&s->changes));
    bind_view(st, 7, e->events);
    return finish(s, st, "write the log", err);
}

static bool put_head(struct sqlite_store *s, const struct entry *e, struct err *err)
{
    sqlite3_stmt *st = fixed(s, STATEMENT_HEAD_PUT, err);
    if (!st)
        return false;
    bind_text(st, 1, e->tenant_id);
    bind_text(st, 2, e->epoch);
    bind_u64(st, 3, e->n);
    bind_u64(st, 4, e->last_seq);
    bind_u64(st, 5, e->figures_changed ? e->n : 0);
    return finish(s, st, "write a head", err);
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
        if (!put_doc(s, e->tenant_id, &e->changes[i], err))
            return false;
    return put_head(s, e, err);
}

static bool op_commit(struct store *base, struct entry **entries, size_t count, struct err *err)
{
    struct sqlite_store *s = self(base);
    for (size_t i = 0; i < count; i++)
        entries[i]->result = COMMIT_PENDING;
    if (!run_sql(s, "BEGIN IMMEDIATE", err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = commit_entry(s, entries[i], err);
    ok = ok && run_sql(s, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    for (size_t i = 0; ok && i < count; i++)
        if (entries[i]->result == COMMIT_PENDING)
            entries[i]->result = COMMIT_DONE;
    return ok;
}

static bool op_read_log(struct store *base, const char *tenant_id, enum log_position by, uint64_t after,
                        bool with_changes, store_log_fn fn, void *ctx, struct err *err)
{
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = fixed(s, by == LOG_BY_SEQ ? STATEMENT_LOG_BY_SEQ : STATEMENT_LOG_BY_ENTRY, err);
    if (!st)
        return false;
    bind_text(st, 1, tenant_id);
    bind_u64(st, 2, after);
    sqlite3_bind_int(st, 3, with_changes);
    int step;
    bool stopped = false;
    while (!stopped && (step = sqlite3_step(st)) == SQLITE_ROW) {
        struct log_entry entry = {.n = column_u64(st, 0),
                                  .first_seq = column_u64(st, 1),
                                  .last_seq = column_u64(st, 2),
                                  .events = column_view(st, 3),
                                  .changes = column_view(st, 4)};
        stopped = !fn(ctx, &entry);
    }
    return end_rows(s, st, stopped ? SQLITE_DONE : step, stopped, "read the log", err);
}

static bool op_unpublished(struct store *base, store_tenant_fn fn, void *ctx, struct err *err)
{
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = fixed(s, STATEMENT_UNPUBLISHED, err);
    if (!st)
        return false;
    int step;
    bool stopped = false;
    while (!stopped && (step = sqlite3_step(st)) == SQLITE_ROW) {
        char tenant_id[TENANT_ID_MAX + 1];
        struct head head;
        column_copy(st, 0, tenant_id, sizeof tenant_id);
        read_head(st, 1, &head);
        stopped = !fn(ctx, tenant_id, &head);
    }
    return end_rows(s, st, stopped ? SQLITE_DONE : step, stopped, "look for what is unpublished", err);
}

static bool mark_one(struct sqlite_store *s, const struct mark *mark, struct err *err)
{
    sqlite3_stmt *st = fixed(s, STATEMENT_MARK, err);
    if (!st)
        return false;
    bind_text(st, 1, mark->tenant_id);
    bind_u64(st, 2, mark->published);
    bind_u64(st, 3, mark->figures_published);
    return finish(s, st, "mark as published", err);
}

/* A lost mark only means that an entry is published again: no fsync for it (NORMAL in WAL mode). */
static bool op_mark(struct store *base, const struct mark *marks, size_t count, struct err *err)
{
    struct sqlite_store *s = self(base);
    if (!run_sql(s, "PRAGMA synchronous=NORMAL", err))
        return false;
    bool ok = run_sql(s, "BEGIN IMMEDIATE", err);
    for (size_t i = 0; ok && i < count; i++)
        ok = mark_one(s, &marks[i], err);
    ok = ok && run_sql(s, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return run_sql(s, "PRAGMA synchronous=FULL", ok ? err : NULL) && ok;
}

static bool op_channel_get(struct store *base, struct view id, struct channel *out, bool *found,
                           struct err *err)
{
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = fixed(s, STATEMENT_CHANNEL_GET, err);
    *found = false;
    if (!st)
        return false;
    bind_view(st, 1, id);
    int step = sqlite3_step(st);
    *found = step == SQLITE_ROW;
    if (*found) {
        column_copy(st, 0, out->phone_number_id, sizeof out->phone_number_id);
        column_copy(st, 1, out->tenant_id, sizeof out->tenant_id);
        column_copy(st, 2, out->display_phone_number, sizeof out->display_phone_number);
        column_copy(st, 3, out->access_token, sizeof out->access_token);
    }
    return end_rows(s, st, step, *found, "read a channel", err);
}

static bool op_channel_put(struct store *base, const struct channel *channel, struct err *err)
{
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = fixed(s, STATEMENT_CHANNEL_PUT, err);
    if (!st)
        return false;
    bind_text(st, 1, channel->phone_number_id);
    bind_text(st, 2, channel->tenant_id);
    bind_text(st, 3, channel->display_phone_number);
    bind_text(st, 4, channel->access_token);
    return finish(s, st, "write a channel", err);
}

static bool op_channel_delete(struct store *base, struct view id, bool *found, struct err *err)
{
    struct sqlite_store *s = self(base);
    sqlite3_stmt *st = fixed(s, STATEMENT_CHANNEL_DELETE, err);
    if (!st)
        return false;
    bind_view(st, 1, id);
    bool ok = finish(s, st, "delete a channel", err);
    *found = ok && sqlite3_changes(s->db) > 0;
    return ok;
}

static bool quarantine_one(struct sqlite_store *s, const struct quarantined *row, struct err *err)
{
    char digest[32];
    crypto_name_id("q_", row->bytes, digest);
    sqlite3_stmt *st = fixed(s, STATEMENT_QUARANTINE, err);
    if (!st)
        return false;
    bind_text(st, 1, digest);
    sqlite3_bind_int64(st, 2, row->at_wall_ms);
    bind_text(st, 3, row->reason);
    bind_view(st, 4, row->channel_id);
    sqlite3_bind_blob64(st, 5, row->bytes.n ? row->bytes.p : "", row->bytes.n, SQLITE_STATIC);
    return finish(s, st, "write to the quarantine", err);
}

static bool op_quarantine(struct store *base, const struct quarantined *rows, size_t count, struct err *err)
{
    struct sqlite_store *s = self(base);
    if (!run_sql(s, "BEGIN IMMEDIATE", err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = quarantine_one(s, &rows[i], err);
    ok = ok && run_sql(s, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}

static void op_close(struct store *base)
{
    struct sqlite_store *s = self(base);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    for (size_t kind = 0; kind < DOC_KIND_COUNT; kind++)
        for (size_t i = 0; i < DOC_SQL_COUNT; i++)
            sqlite3_finalize(s->doc_statements[kind][i]);
    sqlite3_close(s->db);
    buf_free(&s->changes);
    lockfile_release(s->lock_fd);
    free(s);
}

static const struct store_ops sqlite_ops = {
    .close = op_close,
    .head = op_head,
    .get = op_get,
    .list = op_list,
    .commit = op_commit,
    .read_log = op_read_log,
    .unpublished = op_unpublished,
    .mark = op_mark,
    .channel_get = op_channel_get,
    .channel_put = op_channel_put,
    .channel_delete = op_channel_delete,
    .quarantine = op_quarantine,
};

struct store *sqlite_store_open(const char *path, enum store_mode mode, struct err *err)
{
    struct sqlite_store *s = xcalloc(1, sizeof *s);
    s->base.ops = &sqlite_ops;
    s->lock_fd = -1;
    buf_init(&s->changes, 2 * (size_t)ENTRY_BYTES_MAX);
    if (mode == STORE_WRITER && !lockfile_take(path, &s->lock_fd, err))
        goto fail;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (mode == STORE_WRITER ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK) {
        fail(s, path, err);
        goto fail;
    }
    sqlite3_busy_timeout(s->db, BUSY_MS);
    bool ready = mode == STORE_WRITER ? sqlite_schema_make(s->db, err)
                                      : run_sql(s, "PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0", err);
    if (!ready)
        goto fail;
    return &s->base;
fail:
    op_close(&s->base);
    return NULL;
}
