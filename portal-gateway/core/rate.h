/*
 * How much somebody may do per second, and how much at once: a leaky bucket that is one number (the generic
 * cell rate algorithm). Plain functions. Thread: the owner's.
 */
#ifndef PORTAL_GATEWAY_CORE_RATE_H
#define PORTAL_GATEWAY_CORE_RATE_H

#include "shared/compiler.h"
#include <stdbool.h>
#include <stdint.h>

struct rate {
    int64_t per_second; /* 0: as much as anybody likes */
    int64_t at_once;    /* when nothing was taken for a while */
};

/* Zeroed: nothing has been taken. */
struct bucket {
    int64_t empty_at_ns; /* when all that was taken will have run out */
};

/* Takes n at that time (monotonic ms); numbers up to 1e9. False: that was too much, and it is taken all the
 * same. */
bool rate_take(const struct rate *rate, struct bucket *b, int64_t n, int64_t now_ms) MUSTCHECK;

#endif
