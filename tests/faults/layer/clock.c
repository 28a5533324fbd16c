/*
 * Stands between a program and the C library (LD_PRELOAD): the wall clock is as many milliseconds ahead as
 * the first eight bytes of the file FAULT_CLOCK say (int64, little-endian; written in place, at any time).
 * Monotonic clocks are the real ones. It takes a pointer into a mapped file and no system call, so it may
 * stay in a program under load.
 */
#include "tests/faults/layer/real.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static pthread_once_t looked = PTHREAD_ONCE_INIT;
static const _Atomic int64_t *ahead_ms; /* NULL: no such file */
static int (*real_clock)(clockid_t id, struct timespec *now);

static void look(void)
{
    const char *path = getenv("FAULT_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    real_clock = REAL(clock_gettime);
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        ahead_ms = at;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    pthread_once(&looked, look);
    int result = real_clock(id, now);
    bool wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_TAI;
    if (result || !wall || !ahead_ms)
        return result;
    int64_t ms = atomic_load(ahead_ms), ns = now->tv_nsec + ms % 1000 * 1000000;
    now->tv_sec += ms / 1000 + (ns < 0 ? -1 : ns / 1000000000);
    now->tv_nsec = (long)((ns + 1000000000) % 1000000000);
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    *now = (struct timeval){.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
