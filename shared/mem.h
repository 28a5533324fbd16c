/*
 * Allocation that cannot fail: out of memory aborts. That is sound because every size that comes from the
 * network is capped before it gets here (buf_init, parsers). Thread: any.
 */
#ifndef SHARED_MEM_H
#define SHARED_MEM_H

#include "shared/compiler.h"
#include <stddef.h>

/* Says so with one line, and ends the process: whoever started it starts it again, and what was promised is
 * in the store. For libraries that can do nothing else than fail. */
NORETURN void mem_exhausted(void);
/* Zeroed memory; the caller owns it and frees it with free(). */
void *xcalloc(size_t count, size_t size);
/* As realloc(), but aborts; new bytes are not zeroed. */
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
/* A NUL-terminated copy of n bytes. */
char *xstrndup(const char *bytes, size_t n);
/* Gives what was freed back to the system, which the allocator else does only at the end of its heap. Costs
 * milliseconds where that is much: for when many have gone. */
void mem_give_back(void);

#endif
