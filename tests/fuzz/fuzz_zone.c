/* Names of time zones: none of them is a path out of tzdata, and the day in a zone is today, the day before
 * or the one after it. */
#include "shared/zone.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

enum { MS_PER_DAY = 86400000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t moments[] = {0, INT64_C(-1), INT64_C(1795269600000), INT64_C(253402300799000)};
    char *name = strndup((const char *)data, size);
    MUST(name);
    const struct zone *zone = zone_find(name);
    if (zone) {
        MUST(strlen(name) <= ZONE_NAME_MAX && *name != '/' && !strstr(name, ".."));
        for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
            int64_t today = moments[i] < 0 ? -1 : moments[i] / MS_PER_DAY, there = zone_day(zone, moments[i]);
            MUST(there >= today - 1 && there <= today + 1);
        }
        MUST(zone_find(name) == zone);
    }
    free(name);
    return 0;
}
