#include "shared/mem.h"
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mem_exhausted(void)
{
    fputs("level=error event=out_of_memory\n", stderr);
    signal(SIGABRT, SIG_DFL); /* all is said */
    abort();
}

static void *checked(void *memory)
{
    if (!memory)
        mem_exhausted();
    return memory;
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *old, size_t size)
{
    return checked(realloc(old, size ? size : 1));
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *bytes, size_t n)
{
    char *copy = xcalloc(n + 1, 1);
    if (n)
        memcpy(copy, bytes, n);
    return copy;
}

void mem_give_back(void)
{
    malloc_trim(0);
}
