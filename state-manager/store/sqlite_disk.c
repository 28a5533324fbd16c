#include "state-manager/store/sqlite_disk.h"
#include <errno.h>
#include <sqlite3.h>
#include <string.h>

/* The database, and its log. */
static const int files[] = {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER};

/* NULL: not open yet. */
static sqlite3_file *file_of(sqlite3 *db, int which)
{
    sqlite3_file *file = NULL;
    bool is_open = sqlite3_file_control(db, "main", which, &file) == SQLITE_OK && file && file->pMethods;
    return is_open ? file : NULL;
}

/* Of the last call that failed; a read that the file ends in puts it to 0. */
static int errno_of(sqlite3_file *file)
{
    int cause = 0;
    return file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &cause) == SQLITE_OK ? cause : 0;
}

static bool read_byte(sqlite3_file *file, sqlite3_int64 at)
{
    char byte;
    int code = file->pMethods->xRead(file, &byte, sizeof byte, at);
    return code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ;
}

static void forget(sqlite3_file *file)
{
    sqlite3_int64 size = 0;
    if (file->pMethods->xFileSize(file, &size) == SQLITE_OK)
        read_byte(file, size);
}

bool sqlite_disk_read(sqlite3 *db, struct err *err)
{
    for (size_t i = 0; i < countof(files); i++) {
        sqlite3_file *file = file_of(db, files[i]);
        if (file && !read_byte(file, 0))
            return err_set(err, ERR_UNAVAILABLE, "sqlite: the disk cannot be read: %s",
                           strerror(errno_of(file)));
    }
    return true;
}

bool sqlite_disk_failed(sqlite3 *db)
{
    bool failed = false;
    for (size_t i = 0; i < countof(files); i++) {
        sqlite3_file *file = file_of(db, files[i]);
        int cause = file ? errno_of(file) : 0;
        failed |= cause == EIO || cause == ENXIO || cause == ERANGE;
        if (cause)
            forget(file);
    }
    return failed;
}

bool sqlite_disk_damaged(sqlite3 *db, const char **words)
{
    int code = sqlite3_errcode(db) & 0xff;
    bool malformed = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    bool failed = sqlite_disk_failed(db);
    *words = malformed && failed ? "the disk cannot be read" : sqlite3_errmsg(db);
    return malformed && !failed;
}
