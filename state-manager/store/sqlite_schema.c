#include "state-manager/store/sqlite_schema.h"
#include "shared/log.h"
#include "state-manager/core/store.h"
#include "state-manager/store/sqlite_disk.h"
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* Services of two neighbouring versions run side by side: a schema only ever gains tables, columns and
 * indexes. Version 3 has sessions and revocations, version 4 what profiles keep. */
enum { SCHEMA_VERSION = 4, SCHEMA_VERSION_MAX = SCHEMA_VERSION + 1 };

/* synchronous=FULL also syncs commits in WAL mode: that is what makes an answered 200 true after a power cut.
 */
static const char *const pragmas[] = {
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA cache_size=-32000", /* KiB */
    "PRAGMA temp_store=MEMORY",
};

/* Documents of a kind: begins with how it is made. */
#define DOC_TABLE(make, plural)                                                                         \
    make " " plural "(tenant TEXT NOT NULL, key TEXT NOT NULL, parent TEXT NOT NULL, "                  \
         "rank INTEGER NOT NULL, ord INTEGER NOT NULL, doc TEXT NOT NULL, state TEXT NOT NULL DEFAULT " \
         "'', owner TEXT NOT NULL DEFAULT '', PRIMARY KEY(tenant, key))"

static const char *const tables[] = {
    "CREATE TABLE IF NOT EXISTS tenants(tenant TEXT PRIMARY KEY, epoch TEXT NOT NULL, n INTEGER NOT NULL, "
    "seq INTEGER NOT NULL, published INTEGER NOT NULL, figures_rev INTEGER NOT NULL, "
    "figures_published INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS log(tenant TEXT NOT NULL, n INTEGER NOT NULL, first_seq INTEGER NOT NULL, "
    "last_seq INTEGER NOT NULL, at INTEGER NOT NULL, changes TEXT NOT NULL, events TEXT NOT NULL, "
    "PRIMARY KEY(tenant, n))",
    "CREATE TABLE IF NOT EXISTS channels(phone_number_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, "
    "display TEXT NOT NULL, token TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS quarantine(digest TEXT PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT "
    "NULL, channel TEXT NOT NULL, bytes BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS quarantine_waiting ON quarantine(reason, channel, at, digest)",
    "CREATE INDEX IF NOT EXISTS quarantine_by_age ON quarantine(at)",
#define X(kind, name, plural, use) DOC_TABLE("CREATE TABLE IF NOT EXISTS", plural),
    DOC_KINDS(X)
#undef X
#define INDEX_IF(flag, plural, name, columns) \
    (flag) ? "CREATE INDEX IF NOT EXISTS " plural "_" name " ON " plural "(" columns ")" : ""
#define X(kind, name, plural, use)                                                         \
    INDEX_IF(((use) & (DOC_LISTED | DOC_FILED)) == DOC_LISTED, plural, "by_rank",          \
             "tenant, parent, rank, ord"),                                                 \
        INDEX_IF((use)&DOC_FILED, plural, "by_state", "tenant, parent, state, rank, ord"), \
        INDEX_IF((use)&DOC_FILED, plural, "by_owner", "tenant, parent, owner, rank, ord"), \
        INDEX_IF((use)&DOC_AGES, plural, "by_age", "rank"),
        DOC_KINDS(X)
#undef X
};

/* From version 1, which had no states and owners and, at first, fewer tables: what the rules of core/ file a
 * conversation under. */
static const char *const upgrade[] = {
    "DROP INDEX IF EXISTS conversations_by_rank",
    "DROP INDEX IF EXISTS log_by_seq",
    "ALTER TABLE quarantine RENAME COLUMN phone_number_id TO channel",
#define X(kind, name, plural, use)                                                                          \
    "CREATE TABLE IF NOT EXISTS " plural "(tenant TEXT NOT NULL, key TEXT NOT NULL, parent TEXT NOT NULL, " \
    "rank INTEGER NOT NULL, ord INTEGER NOT NULL, doc TEXT NOT NULL, PRIMARY KEY(tenant, key))",            \
        "ALTER TABLE " plural " ADD COLUMN state TEXT NOT NULL DEFAULT ''",                                 \
        "ALTER TABLE " plural " ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
    DOC_KINDS(X)
#undef X
        "UPDATE conversations SET state = CASE WHEN doc ->> '$.status' = 'closed' THEN 'closed' "
        "WHEN doc ->> '$.direction' = 'inbound' THEN 'waiting' ELSE 'answered' END, "
        "owner = coalesce('@' || (doc ->> '$.assignee'), '-')",
};

/* What a file of version 2 or 3 lacks, for those who may not add it: empty, and their own. */
static const struct {
    int since;
    const char *table;
} lent[] = {
    {3, DOC_TABLE("CREATE TEMP TABLE", "sessions")},
    {3, DOC_TABLE("CREATE TEMP TABLE", "revocations")},
    {4, DOC_TABLE("CREATE TEMP TABLE", "records")},
    {4, DOC_TABLE("CREATE TEMP TABLE", "audit")},
};

static bool fail(sqlite3 *db, struct err *err)
{
    const char *words;
    bool damaged = sqlite_disk_damaged(db, &words);
    return err_set(err, damaged ? ERR_INTERNAL : ERR_UNAVAILABLE, "sqlite: %s", words);
}

static bool run(sqlite3 *db, const char *sql, struct err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(db, err);
}

static bool read_number(sqlite3 *db, const char *sql, int64_t *out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int64(st, 0);
    else
        fail(db, err);
    sqlite3_finalize(st);
    return ok;
}

static bool run_all(sqlite3 *db, const char *const *texts, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (!run(db, texts[i], err))
            return false;
    return true;
}

static bool set_version(sqlite3 *db, int64_t version, struct err *err)
{
    char sql[48];
    snprintf(sql, sizeof sql, "PRAGMA user_version=%" PRId64, version);
    return run(db, sql, err);
}

static bool check_pages(sqlite3 *db, struct err *err)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW;
    const char *found = ok ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (!found)
        ok = fail(db, err);
    else if (strcmp(found, "ok") != 0 && sqlite_disk_failed(db))
        ok = err_set(err, ERR_UNAVAILABLE, "sqlite: the disk cannot be read");
    else if (strcmp(found, "ok") != 0)
        ok = err_set(err, ERR_INTERNAL, "sqlite: the database is damaged, a backup has to be restored");
    sqlite3_finalize(st);
    return ok;
}

bool sqlite_schema_check(sqlite3 *db, int64_t bytes_max, struct err *err)
{
    int64_t pages, page_size;
    return read_number(db, "PRAGMA page_count", &pages, err) &&
           read_number(db, "PRAGMA page_size", &page_size, err) &&
           (pages * page_size > bytes_max || check_pages(db, err));
}

bool sqlite_schema_touch(sqlite3 *db, struct err *err)
{
    int64_t version;
    return read_number(db, "PRAGMA user_version", &version, err) && set_version(db, version, err);
}

bool sqlite_schema_make(sqlite3 *db, struct err *err)
{
    int64_t version = 0;
    if (!run_all(db, pragmas, countof(pragmas), err) ||
        !read_number(db, "PRAGMA user_version", &version, err))
        return false;
    if (version > SCHEMA_VERSION_MAX)
        return err_set(err, ERR_INTERNAL, "the database has schema %" PRId64 ", this program knows %d",
                       version, SCHEMA_VERSION);
    if (version >= SCHEMA_VERSION)
        return true;
    bool ok = run(db, "BEGIN IMMEDIATE", err) &&
              (version != 1 || run_all(db, upgrade, countof(upgrade), err)) &&
              run_all(db, tables, countof(tables), err) && set_version(db, SCHEMA_VERSION, err) &&
              run(db, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    if (ok && !version)
        log_info("store_made", "schema=%d", SCHEMA_VERSION);
    return ok;
}

bool sqlite_schema_read(sqlite3 *db, struct err *err)
{
    int64_t version = 0;
    if (!read_number(db, "PRAGMA user_version", &version, err))
        return false;
    for (size_t i = 0; version >= 2 && i < countof(lent); i++)
        if (version < lent[i].since && !run(db, lent[i].table, err))
            return false;
    return run(db, "PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0", err) &&
           (sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK || fail(db, err));
}
