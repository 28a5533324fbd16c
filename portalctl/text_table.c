#include "portalctl/text_table.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum { GAP = 2, NARROWEST = 12, READABLE = 28 /* characters */ };

void text_table_init(struct text_table *t, size_t columns)
{
    *t = (struct text_table){.columns = columns, .indent = GAP};
    buf_init(&t->cell, TABLE_CELL_MAX);
}

void text_table_finish(struct text_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    buf_free(&t->cell);
}

void text_table_next(struct text_table *t)
{
    t->cells = xrealloc(t->cells, (t->count + 1) * sizeof *t->cells);
    t->cells[t->count++] = buf_detach(&t->cell, NULL);
}

void text_table_add(struct text_table *t, const char *text)
{
    buf_add_text(&t->cell, text);
    text_table_next(t);
}

/* Characters, not bytes. */
static size_t length_of(const char *text)
{
    size_t length = 0;
    for (; *text; text++)
        length += (*text & 0xc0) != 0x80;
    return length;
}

/* The last column gives way first, then the widest, until all fit. */
static void choose_widths(const struct text_table *t, size_t width, size_t widths[static TABLE_COLUMNS_MAX])
{
    for (size_t i = 0; i < t->count; i++) {
        size_t length = length_of(t->cells[i]), column = i % t->columns;
        widths[column] = length > widths[column] ? length : widths[column];
    }
    for (;;) {
        size_t all = 0, giving = 0, last = t->columns - 1;
        for (size_t i = 0; i < t->columns; i++) {
            all += GAP + widths[i];
            giving = widths[i] >= widths[giving] ? i : giving;
        }
        if (widths[last] > READABLE)
            giving = last;
        if (all <= width || widths[giving] <= NARROWEST)
            return;
        widths[giving]--;
    }
}

/* Prints what fits of *text and moves behind it; returns how many characters. */
static size_t print_piece(const char **text, size_t width, FILE *out)
{
    const char *end = *text, *blank = NULL;
    size_t length = 0, to_blank = 0;
    while (*end && (length < width || (*end & 0xc0) == 0x80)) {
        if (*end == ' ') {
            blank = end;
            to_blank = length;
        }
        length += (*end++ & 0xc0) != 0x80;
    }
    if (*end && *end != ' ' && blank) {
        end = blank;
        length = to_blank;
    }
    fwrite(*text, 1, (size_t)(end - *text), out);
    *text = end + (*end == ' ');
    return length;
}

static void print_row(const struct text_table *t, char **cells, const size_t *widths, FILE *out)
{
    const char *rest[TABLE_COLUMNS_MAX] = {NULL};
    size_t left = 1;
    for (size_t i = 0; i < t->columns; i++)
        rest[i] = cells[i];
    while (left) {
        size_t owed = t->indent; /* blanks, printed only before something */
        left = 0;
        for (size_t i = 0; i < t->columns; i++) {
            if (*rest[i]) {
                fprintf(out, "%*s", (int)owed, "");
                owed = GAP + widths[i] - print_piece(&rest[i], widths[i], out);
            } else {
                owed += GAP + widths[i];
            }
            left += strlen(rest[i]);
        }
        fputc('\n', out);
    }
}

void text_table_print(const struct text_table *t, size_t width, FILE *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    choose_widths(t, width, widths);
    for (size_t i = 0; i + t->columns <= t->count; i += t->columns)
        print_row(t, t->cells + i, widths, out);
}
