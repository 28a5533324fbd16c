/* Origins against a list of them: allowed is what stands there, or fits an entry with a star in the place of
 * one whole label, and nothing that merely looks like it. Lines: the list, the Origin, the Host. */
#include "shared/buf.h"
#include "shared/origin.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

/* One label of an entry against one of the origin; the first star counts. */
static bool label_fits(struct view label, struct view said, size_t *stars)
{
    bool has_star = !*stars && label.n && memchr(label.p, '*', label.n);
    *stars += has_star;
    if (!has_star)
        return view_eq(label, said);
    return view_is(label, "*") && view_is_name(said, 63, "-");
}

/* How much of the entry stands before the labels among which its first star is. */
static size_t scheme_bytes(struct view entry, const char *star)
{
    const char *start = entry.p;
    for (const char *c = entry.p; c < star; c++)
        start = *c == '/' ? c + 1 : start;
    return (size_t)(start - entry.p);
}

/* By another way than origin.c: the labels one by one. */
static bool fits(struct view entry, struct view origin)
{
    struct view label, said;
    size_t stars = 0;
    const char *star = memchr(entry.p, '*', entry.n);
    if (!star)
        return view_eq(entry, origin);
    size_t n = scheme_bytes(entry, star);
    if (star == entry.p || star + 1 == entry.p + entry.n || origin.n < n || memcmp(entry.p, origin.p, n) != 0)
        return false;
    struct view names = {entry.p + n, entry.n - n}, given = {origin.p + n, origin.n - n};
    while (view_split(&names, '.', &label))
        if (!view_split(&given, '.', &said) || !label_fits(label, said, &stars))
            return false;
    return !given.p;
}

static bool fits_any(struct view list, struct view origin)
{
    for (struct view entry; view_split(&list, ',', &entry);)
        if (view_trim(entry).n && fits(view_trim(entry), origin))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = fuzz_input(data, size), list = {"", 0}, origin = {"", 0}, host = {"", 0};
    view_split(&rest, '\n', &list);
    view_split(&rest, '\n', &origin);
    view_split(&rest, '\n', &host);
    char *text = strndup(list.p, list.n);
    MUST(text);
    list = view_of(text);
    MUST(origin_allowed(text, origin) == (origin.n && fits_any(list, origin)));
    if (origin_is_own(origin, host)) {
        size_t scheme = origin.n - host.n;
        MUST(host.n && (scheme == 7 || scheme == 8) && !memcmp(origin.p + scheme, host.p, host.n));
    }
    free(text);
    return 0;
}
