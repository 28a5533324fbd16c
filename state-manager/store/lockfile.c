#include "state-manager/store/lockfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096 };

/* The directory that holds a file, or another directory. */
static void parent_of(const char *path, char out[static PATH_MAX_BYTES])
{
    const char *slash = strrchr(path, '/');
    snprintf(out, PATH_MAX_BYTES, "%.*s", slash ? (int)(slash - path + (slash == path)) : 1,
             slash ? path : ".");
}

static bool sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The last directory of the path, if it is missing. SQLite syncs the names in it, its own name nobody else
 * does: what a store answers for must not lie in a directory that goes with the power. It may have been made
 * by one who was killed before he synced it, hence each time; who could not have made it need not be able to.
 */
static bool make_directory(const char *path, struct err *err)
{
    char directory[PATH_MAX_BYTES], above[PATH_MAX_BYTES];
    parent_of(path, directory);
    parent_of(directory, above);
    bool made = mkdir(directory, 0750) == 0; /* when this fails, the open that follows says why */
    if (!sync_directory(above) && made)
        return err_set(err, ERR_UNAVAILABLE, "%s: %s", above, strerror(errno));
    return true;
}

bool lockfile_take(const char *path, int *fd, struct err *err)
{
    char name[PATH_MAX_BYTES], holder[24] = "";
    if (snprintf(name, sizeof name, "%s.lock", path) >= (int)sizeof name)
        return err_set(err, ERR_INVALID, "the path of the store is too long");
    if (!make_directory(path, err))
        return false;
    *fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (*fd < 0)
        return err_set(err, ERR_UNAVAILABLE, "%s: %s", name, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB)) {
        ssize_t n = read(*fd, holder, sizeof holder - 1);
        holder[n > 0 ? n : 0] = 0;
        lockfile_release(*fd);
        *fd = -1;
        return err_set(err, ERR_CONFLICT, "the store %s is in use by process %s", path,
                       *holder ? holder : "unknown");
    }
    int n = snprintf(holder, sizeof holder, "%ld", (long)getpid());
    if (ftruncate(*fd, 0) || pwrite(*fd, holder, (size_t)n, 0) != n)
        return err_set(err, ERR_UNAVAILABLE, "%s: %s", name, strerror(errno));
    return true;
}

void lockfile_release(int fd)
{
    if (fd >= 0)
        close(fd);
}
