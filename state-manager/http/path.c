#include "state-manager/http/path.h"

bool path_fits(const char *pattern, struct view path, struct view *param)
{
    struct view shape = view_of(pattern), want, have;
    while (view_split(&shape, '/', &want)) {
        if (!view_split(&path, '/', &have))
            return false;
        if (view_is(want, "{}") && have.n)
            *param = have;
        else if (!view_eq(want, have))
            return false;
    }
    return !path.p;
}
