/* What the gateway's limits are counted by: addresses behind proxies, rates, sessions of an address. */
#include "portal-gateway/core/guests.h"
#include "portal-gateway/core/rate.h"
#include "shared/address.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

static struct address address(const char *text)
{
    struct address a;
    ck_assert_msg(address_parse(view_of(text), &a), "%s", text);
    return a;
}

static bool is_same(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

START_TEST(addresses_are_read_with_and_without_ports)
{
    static const struct {
        const char *text, *same_as;
    } good[] = {
        {"192.0.2.1", "192.0.2.1"},           {"192.0.2.1:65535", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},    {"[::ffff:192.0.2.1]:80", "192.0.2.1"},
        {"2001:db8::1", "2001:DB8:0:0::1"},   {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1"}, {"::", "0:0:0:0:0:0:0:0"},
    };
    static const char *const bad[] = {
        "",
        " ",
        "unknown",
        "_hidden",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.4 ",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:-1",
        "1.2.3.4:8o",
        "[1.2.3.4]",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[::1]:x",
        "::1]",
        "[]",
        "fe80::1%1",
        "2001:db8::g",
        "1:2:3:4:5:6:7:8:9",
        "localhost:80",
        "[[::1]]",
    };
    for (size_t i = 0; i < countof(good); i++) {
        struct address a = address(good[i].text), b = address(good[i].same_as);
        ck_assert_msg(is_same(&a, &b), "%s", good[i].text);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        struct address a;
        ck_assert_msg(!address_parse(view_of(bad[i]), &a), "%s", bad[i]);
    }
    struct address a;
    ck_assert(!address_parse((struct view){"1.2.3.4\0", 8}, &a));
}
END_TEST

START_TEST(networks_hold_what_is_in_them)
{
    static const struct {
        const char *list, *address;
        bool held;
    } table[] = {
        {"", "10.0.0.1", false},
        {" , ,", "10.0.0.1", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.77/8", "10.1.1.1", true},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "203.0.113.9", true},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::1/128", "2001:db8::1", true},
        {"2001:db8::1/128", "2001:db8::2", false},
        {"127.0.0.1, ::1 ,10.0.0.0/31", "10.0.0.1", true},
        {"127.0.0.1, ::1 ,10.0.0.0/31", "10.0.0.2", false},
        {"127.0.0.1/32", "127.0.0.1", true},
    };
    static const char *const bad[] = {
        "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "/8", "proxy.local", "10.0.0.0/8 10.1.0.0/16",
        "10.0.0.1:80"};
    for (size_t i = 0; i < countof(table); i++) {
        struct networks n;
        struct address a = address(table[i].address);
        ck_assert_msg(networks_parse(table[i].list, &n, NULL), "%s", table[i].list);
        ck_assert_msg(networks_have(&n, &a) == table[i].held, "%s in %s", table[i].address, table[i].list);
        networks_free(&n);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        struct networks n;
        struct err err = {0};
        char list[64];
        snprintf(list, sizeof list, "::1, %s", bad[i]);
        ck_assert_msg(!networks_parse(list, &n, &err), "%s", bad[i]);
        ck_assert_msg(strstr(err.text, bad[i]) != NULL, "%s names %s", err.text, bad[i]);
        networks_free(&n);
    }
}
END_TEST

START_TEST(the_client_is_the_rightmost_one_that_is_not_trusted)
{
    static const struct {
        const char *peer, *forwarded, *client;
    } table[] = {
        {"203.0.113.1", "", "203.0.113.1"},
        {"203.0.113.1", "198.51.100.7", "203.0.113.1"}, /* says who is no proxy of ours */
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7", "198.51.100.7"},
        {"10.0.0.1", " 198.51.100.7 ", "198.51.100.7"},
        {"10.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"}, /* the first is what the client made up */
        {"10.0.0.1", "1.1.1.1, 198.51.100.7,10.0.0.2", "198.51.100.7"},
        {"10.0.0.1", "1.1.1.1, 198.51.100.7 , , 10.0.0.2,", "198.51.100.7"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"}, /* all trusted: whoever began */
        {"10.0.0.1", "198.51.100.7:4711", "198.51.100.7"},
        {"10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"},
        {"10.0.0.1", "2001:db8::7", "2001:db8::7"},
        {"10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "\"198.51.100.7\"", "10.0.0.1"},
        {"::1", "2001:db8:1::9, ::ffff:10.9.9.9", "2001:db8:1::9"},
        {"::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"},
    };
    struct networks trusted;
    ck_assert(networks_parse("10.0.0.0/8, ::1", &trusted, NULL));
    for (size_t i = 0; i < countof(table); i++) {
        struct address wanted = address(table[i].client);
        struct address got = address_of_client(&trusted, view_of(table[i].peer), view_of(table[i].forwarded));
        ck_assert_msg(is_same(&got, &wanted), "%s for %s", table[i].peer, table[i].forwarded);
    }
    struct address nobody = address_of_client(&trusted, VIEW(""), VIEW("198.51.100.7")), zero = {{0}};
    ck_assert(is_same(&nobody, &zero));
    networks_free(&trusted);
}
END_TEST

START_TEST(a_rate_allows_a_burst_and_then_so_many_a_second)
{
    static const struct rate rate = {.per_second = 10, .at_once = 20};
    struct bucket b = {0};
    int64_t now = 1000000;
    for (int i = 0; i < 20; i++)
        ck_assert_msg(rate_take(&rate, &b, 1, now), "%d of 20 at once", i);
    ck_assert(!rate_take(&rate, &b, 1, now));
    now += 100 + 100; /* what was too much has been taken, too */
    ck_assert(rate_take(&rate, &b, 1, now));
    ck_assert(!rate_take(&rate, &b, 1, now));
    b = (struct bucket){0};
    for (int i = 0; i < 1000; i++, now += 100)
        ck_assert_msg(rate_take(&rate, &b, 1, now), "%d, ten a second", i);
    for (int i = 0; i < 19; i++)
        ck_assert_msg(rate_take(&rate, &b, 1, now), "a second burst: %d", i);
    now += 3600 * 1000; /* an hour of silence allows no more than any other pause */
    for (int i = 0; i < 20; i++)
        ck_assert_msg(rate_take(&rate, &b, 1, now), "a third burst: %d", i);
    ck_assert(!rate_take(&rate, &b, 1, now));
}
END_TEST

START_TEST(a_rate_of_bytes_neither_rounds_away_nor_overflows)
{
    static const struct rate fast = {.per_second = 50000000, .at_once = 500000000};
    static const struct rate slow = {.per_second = 1, .at_once = 10}, off = {0};
    struct bucket b = {0};
    int64_t now = INT64_C(4000000000), bytes = 0; /* 46 days */
    while (rate_take(&fast, &b, 7, now) && bytes < 600000000)
        bytes += 7;
    ck_assert_int_ge(bytes, 499999986);
    ck_assert_int_le(bytes, 500000007);
    b = (struct bucket){0};
    ck_assert(!rate_take(&slow, &b, 1000000000, now));
    ck_assert(!rate_take(&slow, &b, 1, now + 1000));
    b = (struct bucket){0};
    for (int i = 0; i < 100; i++)
        ck_assert(rate_take(&off, &b, 1000000000, now));
}
END_TEST

START_TEST(sessions_are_counted_by_address)
{
    struct guests g;
    struct guest *held[4];
    struct address one = address("192.0.2.1"), two = address("192.0.2.2");
    struct address site = address("2001:db8::1"), same = address("2001:db8::ffff:1"),
                   other = address("2001:db8:0:1::1");
    guests_init(&g);
    held[0] = guests_enter(&g, &one);
    held[1] = guests_enter(&g, &one);
    held[2] = guests_enter(&g, &site);
    held[3] = guests_enter(&g, &same);
    ck_assert_uint_eq(guests_count(&g, &one), 2);
    ck_assert_uint_eq(guests_count(&g, &two), 0);
    ck_assert_uint_eq(guests_count(&g, &site), 2);
    ck_assert_uint_eq(guests_count(&g, &other), 0);
    for (size_t i = 0; i < countof(held); i++)
        guests_leave(&g, held[i]);
    guests_leave(&g, NULL);
    ck_assert_uint_eq(guests_count(&g, &one), 0);
    ck_assert_uint_eq(g.by_address.count, 0);
    guests_finish(&g);
}
END_TEST

Suite *suite_limits(void)
{
    Suite *s = suite_create("limits");
    TCase *t = tcase_create("limits");
    tcase_add_test(t, addresses_are_read_with_and_without_ports);
    tcase_add_test(t, networks_hold_what_is_in_them);
    tcase_add_test(t, the_client_is_the_rightmost_one_that_is_not_trusted);
    tcase_add_test(t, a_rate_allows_a_burst_and_then_so_many_a_second);
    tcase_add_test(t, a_rate_of_bytes_neither_rounds_away_nor_overflows);
    tcase_add_test(t, sessions_are_counted_by_address);
    suite_add_tcase(s, t);
    return s;
}
