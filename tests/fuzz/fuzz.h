/* What every harness has: libFuzzer calls it, or replay.c with the files of the corpus. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "shared/view.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert() it stays in every build. */
#define MUST(condition)   \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

static inline struct view fuzz_input(const uint8_t *data, size_t size)
{
    return (struct view){(const char *)data, size};
}

#endif
