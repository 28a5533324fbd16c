/* The tables of the embedded store and how a connection is set up. Thread: the one of the handle. */
#ifndef STATE_MANAGER_STORE_SQLITE_SCHEMA_H
#define STATE_MANAGER_STORE_SQLITE_SCHEMA_H

#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>
#include <stdint.h>

struct sqlite3;

/* Makes what is missing. INTERNAL: the file is of a newer schema. */
bool sqlite_schema_make(struct sqlite3 *db, struct err *err) MUSTCHECK;
/* Reads every page, unless there are more bytes than that. INTERNAL: the file is damaged; UNAVAILABLE: it
 * cannot be read. */
bool sqlite_schema_check(struct sqlite3 *db, int64_t bytes_max, struct err *err) MUSTCHECK;
/* Writes what changes nothing, in the transaction that is open. */
bool sqlite_schema_touch(struct sqlite3 *db, struct err *err) MUSTCHECK;
/* For a connection that only reads, from then on, perhaps a file of the version before. */
bool sqlite_schema_read(struct sqlite3 *db, struct err *err) MUSTCHECK;

#endif
