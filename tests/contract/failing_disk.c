#include "tests/contract/failing_disk.h"
#include <check.h>
#include <errno.h>
#include <sqlite3.h>
#include <unistd.h>

static int failure;
static off_t failing_from;

static ssize_t fail_to_read(int fd, void *bytes, size_t n, off_t at)
{
    if (at < failing_from)
        return pread(fd, bytes, n, at);
    errno = failure;
    return -1;
}

void failing_disk(int error, long from)
{
    /* By one of these names; NULL puts back what was there. */
    static const char *const calls[] = {"pread", "pread64"};
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    failure = error;
    failing_from = from;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        ck_assert_int_eq(vfs->xSetSystemCall(vfs, calls[i], error ? (sqlite3_syscall_ptr)fail_to_read : NULL),
                         SQLITE_OK);
}
