#include "state-manager/store/sqlite_link.h"
#include <assert.h>

enum { BUSY_MS = 2000 };

bool sqlite_link_open(struct sqlite_link *l, const char *path, int flags, struct err *err)
{
    if (sqlite3_open_v2(path, &l->db, flags, NULL) != SQLITE_OK)
        return sqlite_fail(l, path, err);
    sqlite3_busy_timeout(l->db, BUSY_MS);
    return true;
}

void sqlite_link_close(struct sqlite_link *l)
{
    for (size_t i = 0; i < SQLITE_TEXTS_MAX; i++)
        sqlite3_finalize(l->texts[i].st);
    sqlite3_close(l->db);
}

/* Whether waiting can help decides the code: full disks and I/O errors pass, a damaged file does not. */
bool sqlite_fail(struct sqlite_link *l, const char *doing, struct err *err)
{
    int code = l->db ? sqlite3_errcode(l->db) & 0xff : SQLITE_NOMEM;
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_MISUSE ||
                   code == SQLITE_ERROR || code == SQLITE_CONSTRAINT;
    return err_set(err, damaged ? ERR_INTERNAL : ERR_UNAVAILABLE, "sqlite: %s: %s", doing,
                   l->db ? sqlite3_errmsg(l->db) : "out of memory");
}

bool sqlite_run(struct sqlite_link *l, const char *sql, struct err *err)
{
    return sqlite3_exec(l->db, sql, NULL, NULL, NULL) == SQLITE_OK || sqlite_fail(l, sql, err);
}

sqlite3_stmt *sqlite_statement(struct sqlite_link *l, const char *sql, struct err *err)
{
    size_t at = ((uintptr_t)sql >> 3) % SQLITE_TEXTS_MAX;
    size_t tries = 0;
    while (l->texts[at].sql && l->texts[at].sql != sql && ++tries < SQLITE_TEXTS_MAX)
        at = (at + 1) % SQLITE_TEXTS_MAX;
    assert(tries < SQLITE_TEXTS_MAX);
    if (!l->texts[at].st) {
        if (sqlite3_prepare_v3(l->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &l->texts[at].st, NULL) !=
            SQLITE_OK) {
            sqlite_fail(l, "prepare", err);
            return NULL;
        }
        l->texts[at].sql = sql;
    }
    return l->texts[at].st;
}

bool sqlite_begin(struct sqlite_link *l, struct err *err)
{
    return sqlite_run(l, "BEGIN IMMEDIATE", err);
}

bool sqlite_end(struct sqlite_link *l, bool ok, struct err *err)
{
    ok = ok && sqlite_run(l, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(l->db))
        sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}

bool sqlite_begin_light(struct sqlite_link *l, struct err *err)
{
    return sqlite_run(l, "PRAGMA synchronous=NORMAL", err) &&
           (sqlite_begin(l, err) || sqlite_end_light(l, false, NULL));
}

bool sqlite_end_light(struct sqlite_link *l, bool ok, struct err *err)
{
    ok = sqlite_end(l, ok, err);
    return sqlite_run(l, "PRAGMA synchronous=FULL", ok ? err : NULL) && ok;
}

bool sqlite_finish(struct sqlite_link *l, sqlite3_stmt *st, const char *doing, struct err *err)
{
    bool ok = sqlite3_step(st) == SQLITE_DONE || sqlite_fail(l, doing, err);
    sqlite3_reset(st);
    return ok;
}

bool sqlite_finish_counted(struct sqlite_link *l, sqlite3_stmt *st, const char *doing, size_t *changed,
                           struct err *err)
{
    bool ok = sqlite_finish(l, st, doing, err);
    *changed = ok ? (size_t)sqlite3_changes(l->db) : 0;
    return ok;
}

bool sqlite_next(sqlite3_stmt *st, int *step)
{
    *step = sqlite3_step(st);
    return *step == SQLITE_ROW;
}

bool sqlite_end_rows(struct sqlite_link *l, sqlite3_stmt *st, int step, const char *doing, struct err *err)
{
    bool ok = step == SQLITE_ROW || step == SQLITE_DONE || sqlite_fail(l, doing, err);
    sqlite3_reset(st);
    return ok;
}

void sqlite_bind_view(sqlite3_stmt *st, int at, struct view v)
{
    sqlite3_bind_text(st, at, v.n ? v.p : "", (int)v.n, SQLITE_STATIC);
}

void sqlite_bind_u64(sqlite3_stmt *st, int at, uint64_t value)
{
    sqlite3_bind_int64(st, at, (sqlite3_int64)value);
}

struct view sqlite_view(sqlite3_stmt *st, int at)
{
    const char *p = sqlite3_column_blob(st, at);
    return (struct view){p ? p : "", (size_t)sqlite3_column_bytes(st, at)};
}

uint64_t sqlite_u64(sqlite3_stmt *st, int at)
{
    return (uint64_t)sqlite3_column_int64(st, at);
}

void sqlite_copy(sqlite3_stmt *st, int at, char *out, size_t size)
{
    if (!view_copy(sqlite_view(st, at), out, size))
        out[0] = 0;
}

void sqlite_head(sqlite3_stmt *st, int at, struct head *out)
{
    sqlite_copy(st, at, out->epoch, sizeof out->epoch);
    out->n = sqlite_u64(st, at + 1);
    out->seq = sqlite_u64(st, at + 2);
    out->published = sqlite_u64(st, at + 3);
    out->figures_rev = sqlite_u64(st, at + 4);
    out->figures_published = sqlite_u64(st, at + 5);
}
