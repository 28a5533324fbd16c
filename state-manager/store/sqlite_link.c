#include "state-manager/store/sqlite_link.h"
#include "shared/clock.h"
#include "state-manager/store/resync.h"
#include "state-manager/store/sqlite_disk.h"
#include "state-manager/store/sqlite_schema.h"
#include <assert.h>

enum {
    BUSY_MS = 2000,
    LOG_PAGES = 8000, /* all wait while they are written into the database: the more there are, the rarer */
    IDLE_LOG_PAGES = 500, /* when nobody waits */
    CHECK_EVERY_MS = 3000
};

bool sqlite_link_open(struct sqlite_link *l, const char *path, int flags, struct err *err)
{
    if (sqlite3_open_v2(path, &l->db, flags, NULL) != SQLITE_OK)
        return sqlite_fail(l, path, err);
    sqlite3_busy_timeout(l->db, BUSY_MS);
    return true;
}

static bool write_log_again(struct sqlite_link *l, struct err *err)
{
    const char *name = sqlite3_db_filename(l->db, "main");
    const char *log = name && *name ? sqlite3_filename_wal(name) : NULL;
    return !log || resync_file(log, err); /* none: the file was never opened */
}

void sqlite_link_close(struct sqlite_link *l)
{
    struct err err = {0};
    for (size_t i = 0; i < SQLITE_TEXTS_MAX; i++)
        sqlite3_finalize(l->texts[i].st);
    /* The last to close writes the log into the database. */
    if (l->damaged || (l->suspect && !write_log_again(l, &err)))
        sqlite3_db_config(l->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(l->db);
}

/* Ours, because SQLite's own is silent about what fails. */
static void checkpoint(struct sqlite_link *l, int pages)
{
    if (l->suspect || l->log_pages < pages)
        return;
    int code = sqlite3_wal_checkpoint_v2(l->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    l->suspect = (code & 0xff) == SQLITE_IOERR;
    l->log_pages = 0; /* unless somebody still reads it: the next commit says so */
}

static int on_log_grown(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_link *l = ctx;
    (void)db;
    (void)name;
    l->log_pages = pages;
    checkpoint(l, LOG_PAGES);
    return SQLITE_OK;
}

void sqlite_link_keep_log_short(struct sqlite_link *l)
{
    sqlite3_wal_hook(l->db, on_log_grown, l);
}

void sqlite_link_idle(struct sqlite_link *l)
{
    checkpoint(l, IDLE_LOG_PAGES);
}

/* Whether waiting can help decides the code: full disks and I/O errors pass, a damaged file does not. */
bool sqlite_fail(struct sqlite_link *l, const char *doing, struct err *err)
{
    const char *words = "out of memory";
    int code = l->db ? sqlite3_errcode(l->db) & 0xff : SQLITE_NOMEM;
    bool ours = code == SQLITE_MISUSE || code == SQLITE_ERROR || code == SQLITE_CONSTRAINT;
    bool damaged = l->db && sqlite_disk_damaged(l->db, &words);
    l->suspect |= code == SQLITE_IOERR;
    l->damaged |= damaged;
    return err_set(err, damaged || ours ? ERR_INTERNAL : ERR_UNAVAILABLE, "sqlite: %s: %s", doing, words);
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

static bool set_light(struct sqlite_link *l, bool light, struct err *err)
{
    if (l->light == light)
        return true;
    if (!sqlite_run(l, light ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", err))
        return false;
    l->light = light;
    return true;
}

/* What looked damaged is looked at a second time, page by page: that decides. */
static bool check_again(struct sqlite_link *l, struct err *err)
{
    int64_t now = clock_mono_ms();
    struct err *found = &l->found;
    if (now < l->check_at_ms)
        return err_set(err, found->code, "%s", found->text);
    l->check_at_ms = now + CHECK_EVERY_MS;
    if (!sqlite_schema_check(l->db, SQLITE_CHECKED_BYTES_MAX, found))
        return err_set(err, found->code, "%s", found->text);
    err_set(found, ERR_INTERNAL, "sqlite: the database looks damaged, and is not");
    l->damaged = false;
    return true;
}

/* A transaction that could not even be taken back, and a log that lies on the disk in part. What the disk
 * would take, and nobody could read, is not kept. */
static bool mend(struct sqlite_link *l, struct err *err)
{
    if (!sqlite_disk_read(l->db, err))
        return false;
    if (l->damaged && !check_again(l, err))
        return false;
    if (!sqlite3_get_autocommit(l->db) && !sqlite_run(l, "ROLLBACK", err))
        return false;
    if (l->suspect && !write_log_again(l, err))
        return false;
    l->suspect = false;
    return true;
}

static bool begin(struct sqlite_link *l, bool light, struct err *err)
{
    return mend(l, err) && set_light(l, light, err) && sqlite_run(l, "BEGIN IMMEDIATE", err);
}

bool sqlite_begin(struct sqlite_link *l, struct err *err)
{
    return begin(l, false, err);
}

bool sqlite_begin_light(struct sqlite_link *l, struct err *err)
{
    return begin(l, true, err);
}

bool sqlite_end(struct sqlite_link *l, bool ok, struct err *err)
{
    ok = ok && sqlite_run(l, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(l->db))
        sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL); /* else mend() does */
    return ok;
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
