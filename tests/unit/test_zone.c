/* Which day it is where: far east and west, odd offsets, summer time, and names that are none. */
#include "shared/clock.h"
#include "shared/zone.h"
#include "tests/unit/suites.h"
#include <pthread.h>

enum { DAY_MS = 86400000, THREADS = 4, ROUNDS = 2000 };

static int64_t moment(const char *iso)
{
    int64_t ms = 0;
    ck_assert_msg(clock_parse_iso(iso, &ms), "%s", iso);
    return ms;
}

static const struct {
    const char *zone, *at, *day;
} days[] = {
    {"UTC", "2024-02-28T23:59:59.999Z", "2024-02-28T00:00:00.000Z"},
    {"UTC", "2024-02-29T00:00:00.000Z", "2024-02-29T00:00:00.000Z"},
    {"Europe/Berlin", "2024-10-26T21:59:59.999Z", "2024-10-26T00:00:00.000Z"}, /* a day of 25 hours begins */
    {"Europe/Berlin", "2024-10-26T22:00:00.000Z", "2024-10-27T00:00:00.000Z"},
    {"Europe/Berlin", "2024-10-27T22:59:59.999Z", "2024-10-27T00:00:00.000Z"},
    {"Europe/Berlin", "2024-10-27T23:00:00.000Z", "2024-10-28T00:00:00.000Z"},
    {"America/New_York", "2024-03-10T05:00:00.000Z", "2024-03-10T00:00:00.000Z"}, /* one of 23 */
    {"America/New_York", "2024-03-11T03:59:59.999Z", "2024-03-10T00:00:00.000Z"},
    {"America/New_York", "2024-03-11T04:00:00.000Z", "2024-03-11T00:00:00.000Z"},
    {"America/Havana", "2024-11-03T04:00:00.000Z", "2024-11-03T00:00:00.000Z"}, /* midnight comes twice */
    {"America/Havana", "2024-11-03T05:00:00.000Z", "2024-11-03T00:00:00.000Z"},
    {"America/Havana", "2024-11-04T04:59:59.999Z", "2024-11-03T00:00:00.000Z"},
    {"Asia/Beirut", "2024-03-30T21:59:59.999Z", "2024-03-30T00:00:00.000Z"}, /* midnight does not come */
    {"Asia/Beirut", "2024-03-30T22:00:00.000Z", "2024-03-31T00:00:00.000Z"},
    {"Asia/Kathmandu", "2024-05-01T18:14:59.999Z", "2024-05-01T00:00:00.000Z"}, /* +05:45 */
    {"Asia/Kathmandu", "2024-05-01T18:15:00.000Z", "2024-05-02T00:00:00.000Z"},
    {"Asia/Kolkata", "2024-05-01T18:30:00.000Z", "2024-05-02T00:00:00.000Z"},
    {"America/St_Johns", "2024-01-01T03:29:59.999Z", "2023-12-31T00:00:00.000Z"}, /* -03:30 */
    {"America/St_Johns", "2024-01-01T03:30:00.000Z", "2024-01-01T00:00:00.000Z"},
    {"Pacific/Kiritimati", "2024-01-01T10:00:00.000Z", "2024-01-02T00:00:00.000Z"}, /* +14 */
    {"Pacific/Pago_Pago", "2024-01-01T10:59:59.999Z", "2023-12-31T00:00:00.000Z"},  /* -11 */
    {"Etc/GMT+5", "2024-01-01T05:00:00.000Z", "2024-01-01T00:00:00.000Z"},
    {"America/Argentina/Buenos_Aires", "2024-01-01T02:59:59.999Z", "2023-12-31T00:00:00.000Z"},
    {"Europe/Berlin", "2060-07-01T22:00:00.000Z", "2060-07-02T00:00:00.000Z"}, /* behind the table's end */
};

static void check_day(size_t i)
{
    const struct zone *zone = zone_find(days[i].zone);
    ck_assert_msg(zone != NULL, "%s is unknown: is tzdata there?", days[i].zone);
    ck_assert_msg(zone_day(zone, moment(days[i].at)) == moment(days[i].day) / DAY_MS, "%s %s", days[i].zone,
                  days[i].at);
}

START_TEST(a_day_is_the_zones_own)
{
    for (size_t i = 0; i < countof(days); i++)
        check_day(i);
    ck_assert_int_eq(zone_day(zone_find(ZONE_UTC), -1), -1);
    ck_assert_int_eq(zone_day(zone_find(ZONE_UTC), -(int64_t)DAY_MS), -1);
    ck_assert_int_eq(zone_day(zone_find("Etc/GMT+1"), 0), -1);
}
END_TEST

START_TEST(what_is_no_name_is_no_zone)
{
    static const char *const names[] = {"",
                                        "utc",
                                        "Europe",
                                        "Europe/",
                                        "Europe//Berlin",
                                        "Europe/Atlantis",
                                        "europe/berlin",
                                        "Europe/Berlin ",
                                        "Europe/../Europe/Berlin",
                                        "/usr/share/zoneinfo/Europe/Berlin",
                                        "posix/Europe/Berlin",
                                        "right/Europe/Berlin",
                                        "localtime",
                                        "zone.tab",
                                        "EST5EDT",
                                        "+05:30",
                                        "AAA/5",
                                        "Europe/Berlin\xff",
                                        "Europe/AVeryLongPlaceThatNobodyHasEverHeardOfAndThatIsOverTheLimit"};
    for (size_t i = 0; i < countof(names); i++)
        ck_assert_msg(!zone_find(names[i]), "%s", names[i]);
}
END_TEST

static void *look_up(void *ctx)
{
    (void)ctx;
    intptr_t wrong = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        const struct zone *zone = zone_find(days[i % countof(days)].zone);
        wrong += !zone || zone != zone_find(days[i % countof(days)].zone) || zone_day(zone, 0) > 0;
    }
    return (void *)wrong;
}

START_TEST(threads_find_the_same_zones)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, look_up, NULL), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

Suite *suite_zone(void)
{
    Suite *s = suite_create("zone");
    TCase *t = tcase_create("zone");
    tcase_add_test(t, a_day_is_the_zones_own);
    tcase_add_test(t, what_is_no_name_is_no_zone);
    tcase_add_test(t, threads_find_the_same_zones);
    suite_add_tcase(s, t);
    return s;
}
