#include "shared/zone.h"
#include "shared/map.h"
#include "shared/mem.h"
#include <glib.h>
#include <pthread.h>
#include <string.h>

enum { MS_PER_S = 1000, S_PER_DAY = 86400 };

struct zone {
    GTimeZone *rules; /* immutable; NULL is UTC, without a lock or a file */
};

static const struct zone utc;

/* What has been found; read from disk once. */
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map known;

/* The library would also take absolute paths, offsets, POSIX rules, and what else lies beside the zones. */
static bool is_name(struct view name)
{
    return view_is_name(name, ZONE_NAME_MAX, "_+-/") && name.p[0] >= 'A' && name.p[0] <= 'Z' &&
           memchr(name.p, '/', name.n) && !strstr(name.p, "//");
}

static const struct zone *read_zone(const char *name)
{
    GTimeZone *rules = g_time_zone_new_identifier(name);
    if (!rules)
        return NULL;
    struct zone *zone = xcalloc(1, sizeof *zone);
    zone->rules = rules;
    map_put(&known, view_of(name), zone);
    return zone;
}

const struct zone *zone_find(const char *name)
{
    if (!strcmp(name, ZONE_UTC))
        return &utc;
    if (!is_name(view_of(name)))
        return NULL;
    pthread_mutex_lock(&known_lock);
    const struct zone *zone = map_get(&known, view_of(name));
    if (!zone)
        zone = read_zone(name);
    pthread_mutex_unlock(&known_lock);
    return zone;
}

/* Towards the past, before 1970 too. */
static int64_t divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t zone_day(const struct zone *zone, int64_t wall_ms)
{
    int64_t seconds = divide(wall_ms, MS_PER_S);
    if (zone->rules) {
        gint interval = g_time_zone_find_interval(zone->rules, G_TIME_TYPE_UNIVERSAL, seconds);
        seconds += g_time_zone_get_offset(zone->rules, interval);
    }
    return divide(seconds, S_PER_DAY);
}
