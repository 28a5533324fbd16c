#include "state-manager/store/lockfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096 };

/* The last directory of the path, if it is missing. */
static void make_directory(const char *path)
{
    char directory[PATH_MAX_BYTES];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return;
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    mkdir(directory, 0750); /* when this fails, the open that follows says why */
}

bool lockfile_take(const char *path, int *fd, struct err *err)
{
    char name[PATH_MAX_BYTES], holder[24] = "";
    if (snprintf(name, sizeof name, "%s.lock", path) >= (int)sizeof name)
        return err_set(err, ERR_INVALID, "the path of the store is too long");
    make_directory(path);
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
