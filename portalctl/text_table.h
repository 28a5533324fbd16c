/*
 * A table for people at a terminal: columns as wide as they need to be, long cells in several lines, broken
 * at blanks, so that no line is over the width. Thread: the only one.
 */
#ifndef PORTALCTL_TEXT_TABLE_H
#define PORTALCTL_TEXT_TABLE_H

#include "shared/buf.h"
#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 4, TABLE_CELL_MAX = 64 << 10 /* bytes */ };

struct text_table {
    size_t columns;
    size_t indent; /* 2 unless the caller says otherwise */
    char **cells;  /* owned, row by row */
    size_t count;
    struct buf cell; /* the one that is being written */
};

void text_table_init(struct text_table *t, size_t columns);
void text_table_finish(struct text_table *t);
/* Ends the cell that has been written to t->cell; after the last column the next row begins. */
void text_table_next(struct text_table *t);
/* A whole cell. */
void text_table_add(struct text_table *t, const char *text);
void text_table_print(const struct text_table *t, size_t width, FILE *out);

#endif
