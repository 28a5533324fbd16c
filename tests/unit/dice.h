/* Random numbers for property tests: the same row of numbers for the same seed, on every machine
 * (xorshift64*). */
#ifndef TESTS_UNIT_DICE_H
#define TESTS_UNIT_DICE_H

#include <stdint.h>

static uint64_t dice_state = 1;

static inline void dice_seed(int seed)
{
    dice_state = (uint64_t)seed * 2654435761u + 88172645463325252u;
}

/* 0 to sides - 1 */
static inline int dice(int sides)
{
    dice_state ^= dice_state >> 12;
    dice_state ^= dice_state << 25;
    dice_state ^= dice_state >> 27;
    return (int)((dice_state * 2685821657736338717u >> 33) % (uint64_t)sides);
}

#endif
