#include "state-manager/store/resync.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 64 << 10 };

/* Reads and writes piece by piece; false: errno says why. */
static bool write_over(int fd)
{
    char piece[PIECE];
    off_t at = 0;
    ssize_t n;
    while ((n = pread(fd, piece, sizeof piece, at)) > 0) {
        ssize_t put = pwrite(fd, piece, (size_t)n, at);
        if (put <= 0)
            return false;
        at += put;
    }
    return n == 0 && fdatasync(fd) == 0;
}

bool resync_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool ok = fd < 0 ? errno == ENOENT : write_over(fd);
    if (!ok)
        err_set(err, ERR_UNAVAILABLE, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}
