/* The tables of the embedded store and how a connection that writes is set up. Thread: the writer's. */
#ifndef STATE_MANAGER_STORE_SQLITE_SCHEMA_H
#define STATE_MANAGER_STORE_SQLITE_SCHEMA_H

#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>

struct sqlite3;

/* Makes what is missing. INTERNAL: the file is of a newer schema. */
bool sqlite_schema_make(struct sqlite3 *db, struct err *err) MUSTCHECK;

#endif
