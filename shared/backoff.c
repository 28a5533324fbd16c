#include "shared/backoff.h"
#include <stdlib.h>
#include <sys/random.h>

enum { STEADY_MS = 5000 };

void backoff_init(struct backoff *b, int first_ms, int most_ms)
{
    *b = (struct backoff){.first_ms = first_ms, .most_ms = most_ms, .current_ms = first_ms};
}

void backoff_reset(struct backoff *b)
{
    b->current_ms = b->first_ms;
}

void backoff_lasted(struct backoff *b, int64_t ms)
{
    if (ms >= STEADY_MS)
        backoff_reset(b);
}

int backoff_next_ms(struct backoff *b)
{
    unsigned random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        abort();
    unsigned half = (unsigned)b->current_ms / 2;
    int wait_ms = b->current_ms - (int)(random % (half + 1));
    b->current_ms = b->current_ms > b->most_ms / 2 ? b->most_ms : b->current_ms * 2;
    return wait_ms;
}
