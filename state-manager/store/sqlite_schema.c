#include "state-manager/store/sqlite_schema.h"
#include "state-manager/core/store.h"
#include <sqlite3.h>
#include <stdio.h>

enum { SCHEMA_VERSION = 1 };

/* synchronous=FULL also syncs commits in WAL mode: that is what makes an answered 200 true after a power cut.
 */
static const char *const pragmas[] = {
    "PRAGMA journal_mode=WAL",        "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=2000", "PRAGMA cache_size=-16000", /* KiB */
    "PRAGMA temp_store=MEMORY",
};

static const char *const tables[] = {
    "CREATE TABLE IF NOT EXISTS tenants(tenant TEXT PRIMARY KEY, epoch TEXT NOT NULL, n INTEGER NOT NULL, "
    "seq INTEGER NOT NULL, published INTEGER NOT NULL, figures_rev INTEGER NOT NULL, "
    "figures_published INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS log(tenant TEXT NOT NULL, n INTEGER NOT NULL, first_seq INTEGER NOT NULL, "
    "last_seq INTEGER NOT NULL, at INTEGER NOT NULL, changes TEXT NOT NULL, events TEXT NOT NULL, "
    "PRIMARY KEY(tenant, n))",
    "CREATE INDEX IF NOT EXISTS log_by_seq ON log(tenant, last_seq, n)",
    "CREATE TABLE IF NOT EXISTS channels(phone_number_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, "
    "display TEXT NOT NULL, token TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS quarantine(digest TEXT PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT "
    "NULL, "
    "phone_number_id TEXT NOT NULL, bytes BLOB NOT NULL)",
#define X(kind, name, plural, listed)                                                                       \
    "CREATE TABLE IF NOT EXISTS " plural "(tenant TEXT NOT NULL, key TEXT NOT NULL, parent TEXT NOT NULL, " \
    "rank INTEGER NOT NULL, ord INTEGER NOT NULL, doc TEXT NOT NULL, PRIMARY KEY(tenant, key))",
    DOC_KINDS(X)
#undef X
#define X(kind, name, plural, listed) \
    (listed) ? "CREATE INDEX IF NOT EXISTS " plural "_by_rank ON " plural "(tenant, parent, rank, ord)" : "",
        DOC_KINDS(X)
#undef X
};

static bool run(sqlite3 *db, const char *sql, struct err *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    int code = sqlite3_errcode(db) & 0xff;
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    return err_set(err, damaged ? ERR_INTERNAL : ERR_UNAVAILABLE, "sqlite: %s", sqlite3_errmsg(db));
}

static bool read_version(sqlite3 *db, int *version, struct err *err)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW;
    if (ok)
        *version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return ok || err_set(err, ERR_INTERNAL, "sqlite: %s", sqlite3_errmsg(db));
}

bool sqlite_schema_make(sqlite3 *db, struct err *err)
{
    int version = 0;
    char set_version[48];
    for (size_t i = 0; i < countof(pragmas); i++)
        if (!run(db, pragmas[i], err))
            return false;
    if (!read_version(db, &version, err))
        return false;
    if (version > SCHEMA_VERSION)
        return err_set(err, ERR_INTERNAL, "the database has schema %d, this program knows %d", version,
                       SCHEMA_VERSION);
    if (version == SCHEMA_VERSION)
        return true;
    snprintf(set_version, sizeof set_version, "PRAGMA user_version=%d", SCHEMA_VERSION);
    bool ok = run(db, "BEGIN IMMEDIATE", err);
    for (size_t i = 0; ok && i < countof(tables); i++)
        ok = run(db, tables[i], err);
    ok = ok && run(db, set_version, err) && run(db, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}
