/*
 * A growable byte buffer with a maximum that is given when it is made.
 *
 * Adding over the maximum changes nothing and sets `overflow`, so that a long composition is checked once, at
 * its end. Invariant: data is NULL or holds len bytes and a NUL behind them. Owner: who called buf_init; any
 * one thread.
 */
#ifndef SHARED_BUF_H
#define SHARED_BUF_H

#include "shared/compiler.h"
#include "shared/view.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max; /* bytes */
    bool overflow;
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  /* usable again as if just made, same maximum */
void buf_clear(struct buf *b); /* empty, memory kept */
bool buf_add(struct buf *b, const void *bytes, size_t n);
bool buf_add_view(struct buf *b, struct view v);
bool buf_add_text(struct buf *b, const char *text);
bool buf_add_char(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Drops n bytes at the front; n <= len. */
void buf_consume(struct buf *b, size_t n);
struct view buf_view(const struct buf *b);
/* Gives the bytes away (never NULL, NUL behind them); the buffer is empty again. The caller frees. */
char *buf_detach(struct buf *b, size_t *n);

#endif
