/*
 * Two clocks, kept apart by name: `mono` for waits and ages (never jumps), `wall` for dates that people and
 * tokens see. Thread: any.
 */
#ifndef SHARED_CLOCK_H
#define SHARED_CLOCK_H

#include "shared/compiler.h"
#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_ISO_SIZE = 25 };

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* Of the processor, that this thread has used. */
int64_t clock_thread_us(void);
int64_t clock_wall_ms(void);
/* RFC 3339 in UTC with milliseconds: 2026-11-21T10:00:00.000Z. Years 1970 to 9999; beyond, the nearest end.
 */
void clock_iso(int64_t wall_ms, char out[static CLOCK_ISO_SIZE]);
/* The form above back to milliseconds. */
bool clock_parse_iso(const char *text, int64_t *wall_ms) MUSTCHECK;

#endif
