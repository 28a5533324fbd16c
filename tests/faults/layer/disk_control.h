/*
 * The faults that are on, read from the control file (FAULT_DISK_CONTROL) at each call that may fail: a line
 * each, `KIND NUMBER [SUFFIX]`, SUFFIX being how the names of the files end that it is for (all without one).
 * A file that is missing or empty is a healthy disk. Replace it by a rename: a half-written one would be
 * obeyed.
 *
 *   full BYTES        files may grow by so much more, then ENOSPC; what they have may be written over
 *   eio-write 0       write and ftruncate: EIO
 *   eio-sync 0        fsync, fdatasync: EIO
 *   eio-read 0        read, pread: EIO
 *   slow-sync MS      fsync and fdatasync take so much longer
 *   slow-write MS     each write does
 *   kill N            SIGKILL at the Nth step: each call that changes anything is two, before it and after it
 *
 * Thread: any.
 */
#ifndef TESTS_FAULTS_LAYER_DISK_CONTROL_H
#define TESTS_FAULTS_LAYER_DISK_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DISK_FAULTS(X)          \
    X(FULL, "full")             \
    X(EIO_WRITE, "eio-write")   \
    X(EIO_SYNC, "eio-sync")     \
    X(EIO_READ, "eio-read")     \
    X(SLOW_SYNC, "slow-sync")   \
    X(SLOW_WRITE, "slow-write") \
    X(KILL, "kill")

enum disk_fault {
#define X(name, text) FAULT_##name,
    DISK_FAULTS(X)
#undef X
        DISK_FAULT_COUNT
};

/* Whether the fault is on for that file. */
bool disk_fault_on(enum disk_fault fault, const char *name);
/* Sleeps as long as the fault, if it is on, asks for. */
void disk_fault_wait(enum disk_fault fault, const char *name);
/* Counts a step, and ends the process at the one that is asked for. */
void disk_step(const char *name);
/* How many of `wanted` bytes more the file may have. */
size_t disk_room(const char *name, size_t wanted);

#endif
