#include "shared/buf.h"
#include "shared/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_CAP = 128 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->data)
        b->data[0] = 0;
}

/* Makes room for n more bytes and the NUL. */
static bool reserve(struct buf *b, size_t n)
{
    if (b->overflow || n > b->max - b->len) {
        b->overflow = true;
        return false;
    }
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
    while (cap < need)
        cap *= 2;
    b->data = xrealloc(b->data, cap);
    b->cap = cap;
    return true;
}

bool buf_add(struct buf *b, const void *bytes, size_t n)
{
    if (!reserve(b, n))
        return false;
    if (n)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
    return true;
}

bool buf_add_view(struct buf *b, struct view v)
{
    return buf_add(b, v.p, v.n);
}

bool buf_add_text(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

bool buf_add_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

bool buf_addf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    bool fits = n >= 0 && reserve(b, (size_t)n);
    if (fits) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return fits;
}

void buf_consume(struct buf *b, size_t n)
{
    b->len -= n;
    if (n && b->data)
        memmove(b->data, b->data + n, b->len + 1);
}

struct view buf_view(const struct buf *b)
{
    return (struct view){b->data ? b->data : "", b->len};
}

char *buf_detach(struct buf *b, size_t *n)
{
    char *data = b->data ? b->data : xcalloc(1, 1);
    if (n)
        *n = b->len;
    b->data = NULL;
    buf_init(b, b->max);
    return data;
}
