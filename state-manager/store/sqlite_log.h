/*
 * What a writer that did not end well has left in the write-ahead log, looked at before SQLite recovers it,
 * which it does without a word: up to the last commit whose checksums hold. Format:
 * sqlite.org/fileformat2.html, section 4. Thread: the writer's, with the lock of the store taken and no
 * handle open.
 */
#ifndef STATE_MANAGER_STORE_SQLITE_LOG_H
#define STATE_MANAGER_STORE_SQLITE_LOG_H

#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>
#include <stdint.h>

struct sqlite_log {
    uint64_t bytes;           /* of the file; 0: the last writer ended well */
    bool unreadable;          /* its head is none: all of it is passed over */
    uint64_t pages;           /* that will be recovered */
    uint64_t dropped_pages;   /* written behind them to the same log, and not whole */
    uint64_t dropped_commits; /* ends of transactions among those: more than the one that was being written */
};

/* path: of the database. */
bool sqlite_log_look(const char *path, struct sqlite_log *out, struct err *err) MUSTCHECK;

#endif
