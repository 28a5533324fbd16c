/*
 * What was done to the files below the folder, in the order in which it was done, with the data: a file of
 * records (FAULT_DISK_JOURNAL), for whoever works out what a disk may hold after a power cut. A record is
 *
 *   u32 mark, u32 op, u64 inode, u64 offset (or size), u32 bytes of name, u32 bytes of data, name, data
 *
 * little-endian; the name is below the folder, that of a rename is `from NUL to`. It stands in the file
 * before the call that it tells of returns, and a sync's only after all that was written before the sync
 * began. Memory that is mapped is not in it (SQLite's -shm, which no power cut leaves).
 *
 * Thread: any; between begin and end all others wait, so that the order is the true one.
 */
#ifndef TESTS_FAULTS_LAYER_DISK_JOURNAL_H
#define TESTS_FAULTS_LAYER_DISK_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

enum { JOURNAL_MARK = 0x314b5344 }; /* "DSK1" */

enum journal_op {
    JOURNAL_CREATE = 1, /* a file that was not there, or (size) is cut to nothing by its opening */
    JOURNAL_WRITE,
    JOURNAL_SIZE, /* ftruncate */
    JOURNAL_SYNC, /* of a file */
    JOURNAL_SYNC_FAILED,
    JOURNAL_SYNC_FOLDER,
    JOURNAL_UNLINK,
    JOURNAL_RENAME,
    JOURNAL_MKDIR,
    JOURNAL_RMDIR
};

struct journal_record {
    enum journal_op op;
    uint64_t inode, offset;
    const char *name; /* NULL: of the descriptor's inode alone */
    size_t name_n;
    const void *data;
    size_t data_n;
};

void journal_begin(void);
void journal_add(const struct journal_record *record);
void journal_end(void);

#endif
