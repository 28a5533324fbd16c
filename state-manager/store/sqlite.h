/*
 * The embedded store: one SQLite file, WAL, synchronous=FULL. Contract: core/store.h.
 *
 * Exactly one connection writes and checkpoints (SQLite before 3.51.3 can corrupt a WAL that two reset at
 * once), and exactly one process: a lock file beside the database names the holder. Readers are query_only.
 */
#ifndef STATE_MANAGER_STORE_SQLITE_H
#define STATE_MANAGER_STORE_SQLITE_H

#include "state-manager/core/store.h"

struct store *sqlite_store_open(const char *path, enum store_mode mode, struct err *err);

#endif
