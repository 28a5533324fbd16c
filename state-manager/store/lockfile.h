/* A lock beside a file, so that one process at a time owns it; the lock names its holder. Thread: the owner.
 */
#ifndef STATE_MANAGER_STORE_LOCKFILE_H
#define STATE_MANAGER_STORE_LOCKFILE_H

#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>

/* Takes PATH.lock (flock) and writes the process id into it; makes the directory of PATH when it is missing.
 * CONFLICT: another process holds it. *fd is the lock until lockfile_release(). */
bool lockfile_take(const char *path, int *fd, struct err *err) MUSTCHECK;
void lockfile_release(int fd); /* -1 is fine */

#endif
