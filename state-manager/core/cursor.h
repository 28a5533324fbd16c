/*
 * Where a page of a list ends, as callers carry it to the next call: "<rank>.<ord>". It names a place, not a
 * row, so that it holds while rows come, move and go. Plain functions. Thread: any.
 */
#ifndef STATE_MANAGER_CORE_CURSOR_H
#define STATE_MANAGER_CORE_CURSOR_H

#include "state-manager/core/store.h"

enum { CURSOR_SIZE = 2 * 19 + 1 + 1 };

/* Neither is negative. */
void cursor_write(int64_t rank, int64_t ord, char out[static CURSOR_SIZE]);
/* Into the page's cursor; false: it is none that was given out. */
bool cursor_read(struct view text, struct page *page) MUSTCHECK;

#endif
