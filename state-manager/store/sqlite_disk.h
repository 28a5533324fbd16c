/*
 * The disk below a connection, past SQLite's cache and its words. A disk that does not read (EIO, and what
 * SQLite takes for the same) it reports as a database that is malformed: only errno tells the one from the
 * other.
 *
 * Thread: the one of the connection. For store/sqlite*.c only.
 */
#ifndef STATE_MANAGER_STORE_SQLITE_DISK_H
#define STATE_MANAGER_STORE_SQLITE_DISK_H

#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>

struct sqlite3;

/* Reads something of the database and of its log. UNAVAILABLE: the disk does not read. */
bool sqlite_disk_read(struct sqlite3 *db, struct err *err) MUSTCHECK;
/* For a call of SQLite's that has just failed: whether the disk did not read. What is answered once is
 * forgotten, as far as the disk reads by now, so that the next failure speaks for itself. */
bool sqlite_disk_failed(struct sqlite3 *db);
/* The same for a call's error code: whether it means that the database is damaged, and in *words what it
 * means. */
bool sqlite_disk_damaged(struct sqlite3 *db, const char **words);

#endif
