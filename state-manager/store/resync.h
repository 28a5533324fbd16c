/*
 * Makes a file durable behind a failed fsync. The kernel drops what such a sync has given up: those pages
 * count as clean, a later fsync succeeds and says nothing of them. Written once more, they are dirty, and
 * synced or refused.
 *
 * Thread: any, while nobody else writes to the file; readers see nothing of it.
 */
#ifndef STATE_MANAGER_STORE_RESYNC_H
#define STATE_MANAGER_STORE_RESYNC_H

#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>

/* Writes the file over with what it holds, and syncs it. One that is not there is fine. UNAVAILABLE: the disk
 * still fails. */
bool resync_file(const char *path, struct err *err) MUSTCHECK;

#endif
