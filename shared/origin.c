#include "shared/origin.h"
#include <string.h>

/* `*` stands for one whole label: no dots, nothing that ends a host. */
static bool fits(struct view entry, struct view origin)
{
    const char *star = entry.n ? memchr(entry.p, '*', entry.n) : NULL;
    if (!star)
        return view_eq(entry, origin);
    size_t before = (size_t)(star - entry.p), after = entry.n - before - 1;
    bool whole_label = before && (star[-1] == '/' || star[-1] == '.') && after && star[1] == '.';
    if (!whole_label || origin.n <= before + after || memcmp(origin.p, entry.p, before) != 0 ||
        memcmp(origin.p + origin.n - after, star + 1, after) != 0)
        return false;
    return view_is_name((struct view){origin.p + before, origin.n - before - after}, 63, "-");
}

bool origin_allowed(const char *list, struct view origin)
{
    struct view rest = view_of(list), entry;
    while (origin.n && view_split(&rest, ',', &entry))
        if (view_trim(entry).n && fits(view_trim(entry), origin))
            return true;
    return false;
}

bool origin_is_own(struct view origin, struct view host)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < countof(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (host.n && view_starts(origin, schemes[i]) &&
            view_eq((struct view){origin.p + n, origin.n - n}, host))
            return true;
    }
    return false;
}
