/*
 * A connection to SQLite: prepared statements, values in and out, what its errors mean. For store/sqlite*.c
 * only.
 *
 * Thread: the one of the handle. Lifetime of a statement: until the link is closed; one that was given out is
 * reset by the function that ends it, so the same text must not be in use twice.
 */
#ifndef STATE_MANAGER_STORE_SQLITE_LINK_H
#define STATE_MANAGER_STORE_SQLITE_LINK_H

#include "state-manager/core/store.h"
#include <sqlite3.h>

enum { SQLITE_TEXTS_MAX = 128 };
/* A larger database is not read through: that takes a second for 500 MB in memory, ten and more from a disk.
 */
#define SQLITE_CHECKED_BYTES_MAX (INT64_C(512) << 20)

struct sqlite_link {
    sqlite3 *db;
    bool light;          /* commits are not synced */
    bool suspect;        /* writing or syncing failed: what was taken for durable may not be */
    int log_pages;       /* of the write-ahead log, as of the last commit */
    bool damaged;        /* nothing is written before its pages have been looked at and found good */
    int64_t check_at_ms; /* monotonic: when that is done again */
    struct err found;    /* until then */
    struct {
        const char *sql; /* known by its address: a literal of the program */
        sqlite3_stmt *st;
    } texts[SQLITE_TEXTS_MAX];
};

/* What every handle of this store begins with. */
struct sqlite_store {
    struct store base;
    struct sqlite_link link;
    struct buf changes; /* of the entry being written */
    int lock_fd;        /* writer only, else -1 */
};

static inline struct sqlite_link *sqlite_link_of(struct store *s)
{
    return &container_of(s, struct sqlite_store, base)->link;
}

bool sqlite_link_open(struct sqlite_link *l, const char *path, int flags, struct err *err) MUSTCHECK;
void sqlite_link_close(struct sqlite_link *l);

/* For the writer, once the schema is there: the log is checkpointed by this handle as it grows. */
void sqlite_link_keep_log_short(struct sqlite_link *l);
/* Nobody waits: what the log has is written into the database, which all would wait for later. */
void sqlite_link_idle(struct sqlite_link *l);

/* Sets err by what SQLite said; returns false. */
bool sqlite_fail(struct sqlite_link *l, const char *doing, struct err *err);
bool sqlite_run(struct sqlite_link *l, const char *sql, struct err *err) MUSTCHECK;
/* A statement ready for binding; prepared at its first use. NULL: err is set. */
sqlite3_stmt *sqlite_statement(struct sqlite_link *l, const char *sql, struct err *err);

/* A transaction of writes: begins, and commits when `ok`, else takes all of it back. What an earlier failure
 * has left is put right first: nothing is committed behind what may not be on the disk. */
bool sqlite_begin(struct sqlite_link *l, struct err *err) MUSTCHECK;
bool sqlite_end(struct sqlite_link *l, bool ok, struct err *err) MUSTCHECK;
/* The same without an fsync, for what may be lost with the power (then it is done again). What has to be
 * durable is always written between a begin and an end: outside of them the last begin's choice holds. */
bool sqlite_begin_light(struct sqlite_link *l, struct err *err) MUSTCHECK;

/* Runs a statement that gives no rows. */
bool sqlite_finish(struct sqlite_link *l, sqlite3_stmt *st, const char *doing, struct err *err) MUSTCHECK;
/* The same, and how many rows it changed. */
bool sqlite_finish_counted(struct sqlite_link *l, sqlite3_stmt *st, const char *doing, size_t *changed,
                           struct err *err) MUSTCHECK;
/* Steps to the next row; false: there is none, or it failed (*step tells sqlite_end_rows()). */
bool sqlite_next(sqlite3_stmt *st, int *step);
bool sqlite_end_rows(struct sqlite_link *l, sqlite3_stmt *st, int step, const char *doing,
                     struct err *err) MUSTCHECK;

void sqlite_bind_view(sqlite3_stmt *st, int at, struct view v);
void sqlite_bind_u64(sqlite3_stmt *st, int at, uint64_t value);
struct view sqlite_view(sqlite3_stmt *st, int at);
uint64_t sqlite_u64(sqlite3_stmt *st, int at);
void sqlite_copy(sqlite3_stmt *st, int at, char *out, size_t size);
/* The six columns of a head. */
#define SQLITE_HEAD "epoch, n, seq, published, figures_rev, figures_published"
void sqlite_head(sqlite3_stmt *st, int at, struct head *out);

#endif
