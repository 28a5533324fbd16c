#include "shared/etag.h"
#include <string.h>

/* Takes the next tag off the list. Tags may hold commas, so this is no splitting at them. */
static bool next_tag(struct view *list, struct view *tag)
{
    while (list->n && strchr(", \t", list->p[0]))
        list->p++, list->n--;
    if (view_starts(*list, "W/"))
        list->p += 2, list->n -= 2;
    if (!list->n || list->p[0] != '"')
        return false;
    const char *start = list->p + 1, *end = memchr(start, '"', list->n - 1);
    if (!end)
        return false;
    *tag = (struct view){start, (size_t)(end - start)};
    list->n -= (size_t)(end + 1 - list->p);
    list->p = end + 1;
    return true;
}

bool etag_is_listed(struct view field, struct view tag)
{
    struct view listed;
    if (view_is(view_trim(field), "*"))
        return true;
    while (next_tag(&field, &listed))
        if (view_eq(listed, tag))
            return true;
    return false;
}
