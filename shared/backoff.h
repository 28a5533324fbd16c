/*
 * Waits between tries: doubling from `first` to `most`, each with full jitter over its upper half. Thread:
 * the owner.
 */
#ifndef SHARED_BACKOFF_H
#define SHARED_BACKOFF_H

#include <stdint.h>

struct backoff {
    int first_ms, most_ms, current_ms;
};

void backoff_init(struct backoff *b, int first_ms, int most_ms);
void backoff_reset(struct backoff *b); /* after a success */
/* After something that worked for so long. What breaks within 5 s was no success: it would be tried
 * again at once, and break again, without end. */
void backoff_lasted(struct backoff *b, int64_t ms);
int backoff_next_ms(struct backoff *b);

#endif
