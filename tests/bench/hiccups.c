/* hiccups: when the machine itself stood still, as a host does that gives a processor to somebody else for a while.
 *
 * Wakes every PERIOD_US on the processor it is pinned to, before everybody else (SCHED_FIFO; root), and tells on stdout of each
 * time that it was woken over LATE_US late: "from to", in us of CLOCK_MONOTONIC. Nothing that runs on this machine can do that.
 *
 *   cc -O2 -o hiccups hiccups.c
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdint.h>
#include <time.h>

enum { PERIOD_US = 500, LATE_US = 300 };

static uint64_t now_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000ull + t.tv_nsec / 1000; }

int main(void)
{
    struct sched_param first = {.sched_priority = sched_get_priority_max(SCHED_FIFO)};
    if (sched_setscheduler(0, SCHED_FIFO, &first)) { perror("hiccups"); return 1; }
    printf("READY\n"); fflush(stdout);
    for (uint64_t due = now_us();;) {
        due += PERIOD_US;
        struct timespec t = {.tv_sec = (time_t)(due / 1000000), .tv_nsec = (long)(due % 1000000) * 1000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
        uint64_t now = now_us();
        if (now - due <= LATE_US) continue;
        printf("%" PRIu64 " %" PRIu64 "\n", due, now); fflush(stdout);
        due = now;
    }
}
