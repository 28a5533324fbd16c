#include "state-manager/core/cursor.h"
#include <inttypes.h>
#include <stdio.h>

void cursor_write(int64_t rank, int64_t ord, char out[static CURSOR_SIZE])
{
    snprintf(out, CURSOR_SIZE, "%" PRIu64 ".%" PRIu64, rank > 0 ? (uint64_t)rank : 0,
             ord > 0 ? (uint64_t)ord : 0);
}

bool cursor_read(struct view text, struct page *page)
{
    struct view rank_text;
    uint64_t rank, ord;
    if (!view_split(&text, '.', &rank_text) || !text.p || !view_u64(rank_text, INT64_MAX, &rank) ||
        !view_u64(text, INT64_MAX, &ord))
        return false;
    page->has_cursor = true;
    page->rank = (int64_t)rank;
    page->ord = (int64_t)ord;
    return true;
}
