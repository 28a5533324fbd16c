/*
 * Stands between a program and the C library (LD_PRELOAD): the files below FAULT_DISK_ROOT get the faults of
 * the control file (disk_control.h), and what is done to them is written down (disk_journal.h). Everything
 * else is passed on. SQLite reaches the disk by these functions and by mmap for its -shm; other files are
 * left alone.
 */
#include "tests/faults/layer/disk_control.h"
#include "tests/faults/layer/disk_journal.h"
#include "tests/faults/layer/files.h"
#include "tests/faults/layer/real.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? 0 : (uint64_t)st.st_ino;
}

static off_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? 0 : st.st_size;
}

static int failed(int error)
{
    errno = error;
    return -1;
}

static void note(enum journal_op op, uint64_t inode, uint64_t offset, const char *name)
{
    struct journal_record record = {
        .op = op, .inode = inode, .offset = offset, .name = name, .name_n = name ? strlen(name) : 0};
    journal_add(&record);
}

static void begin(const char *name)
{
    disk_step(name);
    journal_begin();
}

/* Keeps errno. */
static void end(const char *name)
{
    int kept = errno;
    journal_end();
    disk_step(name);
    errno = kept;
}

/* --- opening and closing ---------------------------------------------------------------------------------
 */

static int open_below(const char *path, const char *name, int flags, mode_t mode)
{
    struct stat st;
    begin(name);
    bool was_there = stat(path, &st) == 0;
    int fd = REAL(open)(path, flags, mode);
    if (fd >= 0) {
        files_opened(fd, name);
        if (!was_there)
            note(JOURNAL_CREATE, inode_of(fd), 0, name);
        else if (flags & O_TRUNC)
            note(JOURNAL_SIZE, inode_of(fd), 0, name);
    }
    end(name);
    return fd;
}

static int open_any(const char *path, int flags, va_list more)
{
    char name[PATH_MAX];
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    return files_below(path, name, sizeof name) ? open_below(path, name, flags, mode)
                                                : REAL(open)(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int fd = open_any(path, flags, more);
    va_end(more);
    return fd;
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int fd = open_any(path, flags | O_LARGEFILE, more);
    va_end(more);
    return fd;
}

int close(int fd)
{
    files_closed(fd);
    return REAL(close)(fd);
}

/* --- reading and writing ---------------------------------------------------------------------------------
 */

ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    const char *name = files_name(fd);
    return name && disk_fault_on(FAULT_EIO_READ, name) ? failed(EIO) : REAL(pread)(fd, bytes, n, at);
}

ssize_t pread64(int fd, void *bytes, size_t n, off64_t at)
{
    return pread(fd, bytes, n, at);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    const char *name = files_name(fd);
    return name && disk_fault_on(FAULT_EIO_READ, name) ? failed(EIO) : REAL(read)(fd, bytes, n);
}

/* How many bytes the disk takes: all, those that there is room for, or none (an error). */
static ssize_t taken(const char *name, off_t size, size_t n, off_t at)
{
    if (disk_fault_on(FAULT_EIO_WRITE, name))
        return failed(EIO);
    off_t end = at + (off_t)n;
    size_t growth = end > size ? (size_t)(end - size) : 0;
    size_t room = growth ? disk_room(name, growth) : 0;
    if (growth && room < growth && n - growth + room == 0)
        return failed(ENOSPC);
    return (ssize_t)(n - growth + room);
}

static ssize_t write_below(int fd, const char *name, const void *bytes, size_t n, off_t at)
{
    disk_fault_wait(FAULT_SLOW_WRITE, name);
    begin(name);
    ssize_t put = taken(name, size_of(fd), n, at);
    if (put > 0)
        put = REAL(pwrite)(fd, bytes, (size_t)put, at);
    if (put > 0) {
        struct journal_record record = {.op = JOURNAL_WRITE,
                                        .inode = inode_of(fd),
                                        .offset = (uint64_t)at,
                                        .data = bytes,
                                        .data_n = (size_t)put};
        journal_add(&record);
    }
    end(name);
    return put;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    const char *name = files_name(fd);
    return name ? write_below(fd, name, bytes, n, at) : REAL(pwrite)(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    return pwrite(fd, bytes, n, at);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    const char *name = files_name(fd);
    if (!name)
        return REAL(write)(fd, bytes, n);
    bool appends = fcntl(fd, F_GETFL) & O_APPEND;
    off_t at = appends ? size_of(fd) : lseek(fd, 0, SEEK_CUR);
    ssize_t put = write_below(fd, name, bytes, n, at);
    if (put > 0 && !appends)
        lseek(fd, at + put, SEEK_SET);
    return put;
}

int ftruncate(int fd, off_t size)
{
    const char *name = files_name(fd);
    if (!name)
        return REAL(ftruncate)(fd, size);
    if (disk_fault_on(FAULT_EIO_WRITE, name))
        return failed(EIO);
    begin(name);
    int result = REAL(ftruncate)(fd, size);
    if (!result)
        note(JOURNAL_SIZE, inode_of(fd), (uint64_t)size, NULL);
    end(name);
    return result;
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

/* --- syncs ------------------------------------------------------------------------------------------------
 */

static int sync_below(int fd, const char *name, int (*sync)(int fd))
{
    struct stat st;
    disk_fault_wait(FAULT_SLOW_SYNC, name);
    begin(name);
    int result = disk_fault_on(FAULT_EIO_SYNC, name) ? failed(EIO) : sync(fd);
    enum journal_op done = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? JOURNAL_SYNC_FOLDER : JOURNAL_SYNC;
    note(result ? JOURNAL_SYNC_FAILED : done, inode_of(fd), 0, name);
    end(name);
    return result;
}

int fsync(int fd)
{
    const char *name = files_name(fd);
    return name ? sync_below(fd, name, REAL(fsync)) : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    const char *name = files_name(fd);
    return name ? sync_below(fd, name, REAL(fdatasync)) : REAL(fdatasync)(fd);
}

/* --- names ------------------------------------------------------------------------------------------------
 */

static int change_name(enum journal_op op, const char *path, int (*change)(const char *path))
{
    char name[PATH_MAX];
    if (!files_below(path, name, sizeof name))
        return change(path);
    begin(name);
    int result = change(path);
    if (!result)
        note(op, 0, 0, name);
    end(name);
    return result;
}

int unlink(const char *path)
{
    return change_name(JOURNAL_UNLINK, path, REAL(unlink));
}

int rmdir(const char *path)
{
    return change_name(JOURNAL_RMDIR, path, REAL(rmdir));
}

int mkdir(const char *path, mode_t mode)
{
    char name[PATH_MAX];
    if (!files_below(path, name, sizeof name))
        return REAL(mkdir)(path, mode);
    begin(name);
    int result = REAL(mkdir)(path, mode);
    if (!result)
        note(JOURNAL_MKDIR, 0, 0, name);
    end(name);
    return result;
}

int rename(const char *from, const char *to)
{
    char names[2 * PATH_MAX];
    if (!files_below(from, names, PATH_MAX))
        return REAL(rename)(from, to);
    size_t n = strlen(names) + 1;
    if (!files_below(to, names + n, PATH_MAX))
        names[n] = 0; /* out of sight */
    begin(names);
    int result = REAL(rename)(from, to);
    if (!result) {
        struct journal_record record = {.op = JOURNAL_RENAME, .name = names, .name_n = n + strlen(names + n)};
        journal_add(&record);
    }
    end(names);
    return result;
}
