/*
 * Time zones by their IANA names, as this machine's tzdata knows them (its package is kept up to date; rules
 * change several times a year). All that we ask of one is which day it is there.
 *
 * Thread: any. Lifetime: a zone that was found stays until the process ends, and there are only some hundred
 * names; so a tzdata installed meanwhile counts from the next start on for zones in use.
 */
#ifndef SHARED_ZONE_H
#define SHARED_ZONE_H

#include "shared/compiler.h"
#include <stdint.h>

enum { ZONE_NAME_MAX = 63 }; /* bytes */

#define ZONE_UTC "UTC"

struct zone;

/* "UTC", or an area and a place ("Europe/Berlin", "Etc/GMT+5"); case counts. NULL: no such zone. Paths,
 * offsets and POSIX rules ("EST5EDT") are no names. */
const struct zone *zone_find(const char *name) MUSTCHECK;
/* Days since 1970-01-01 on the zone's calendar. */
int64_t zone_day(const struct zone *zone, int64_t wall_ms);

#endif
