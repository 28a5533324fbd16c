/* Turns of tenants at a worker, with a clock of the test's own. */
#include "shared/mem.h"
#include "state-manager/turns.h"
#include "tests/unit/suites.h"
#include <stdlib.h>

enum { MS = 1000, SECOND = 1000000, SHARE = 10, SLICE_US = 150, SHORT = 125 };

static struct crowd crowd;
static struct turns turns;
static int64_t now;
static int finished;

static void on_finish(struct party *p)
{
    (void)p;
    finished++;
}

static void setup(void)
{
    now = 5 * SECOND;
    finished = 0;
    crowd_init(&crowd);
    struct turns_options options = {.crowd = &crowd,
                                    .share = SHARE,
                                    .slice_us = SLICE_US,
                                    .party_bytes = sizeof(struct party),
                                    .finish = on_finish};
    turns_init(&turns, &options);
}

static void discard(struct letter *letter)
{
    free(letter);
}

static void teardown(void)
{
    turns_finish(&turns, discard);
    crowd_finish(&crowd);
}

static struct party *party(const char *name)
{
    return turns_party(&turns, view_of(name));
}

static void add(const char *name, int jobs)
{
    for (int i = 0; i < jobs; i++)
        turns_add(&turns, party(name), xcalloc(1, sizeof(struct letter)), now);
}

/* It does one job, which takes so long. */
static void work(struct party *p, int64_t us)
{
    free(turns_take(p));
    turns_charge(&turns, p, us, 0, now);
}

START_TEST(somebody_else_is_there_for_a_second)
{
    ck_assert(!crowd_has_others(&crowd, 1, now));
    crowd_note(&crowd, 1, now);
    ck_assert(!crowd_has_others(&crowd, 1, now));
    ck_assert(crowd_has_others(&crowd, 2, now));
    crowd_note(&crowd, 2, now);
    for (int i = 0; i < 100; i++)
        crowd_note(&crowd, 1, now + i * MS); /* who is loud hides nobody */
    ck_assert(crowd_has_others(&crowd, 1, now + SECOND - 1));
    ck_assert(!crowd_has_others(&crowd, 1, now + SECOND));
    ck_assert(crowd_has_others(&crowd, 2, now + SECOND));
}
END_TEST

START_TEST(who_is_alone_never_waits)
{
    add("one", 100);
    for (int i = 0; i < 100; i++) {
        ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("one"));
        ck_assert(!turns_is_shared(&turns, party("one"), now));
        work(party("one"), SHORT);
    }
    ck_assert_ptr_null(turns_next(&turns, NULL, now));
}
END_TEST

START_TEST(who_has_used_up_its_share_waits_for_it_and_nobody_else_does)
{
    add("flood", 4000);
    add("calm", 1);
    int64_t used = 0;
    while (turns_next(&turns, NULL, now) == party("flood") || party("calm")->first) {
        struct party *p = turns_next(&turns, NULL, now);
        used += p == party("flood") ? SHORT : 0;
        work(p, SHORT);
    }
    ck_assert(turns_is_shared(&turns, party("flood"), now));
    ck_assert_int_gt(used, 90 * MS); /* so much at once */
    ck_assert_int_lt(used, 120 * MS);
    ck_assert_ptr_null(turns_next(&turns, NULL, now));
    int wait = turns_wait_ms(&turns, now, 1000);
    ck_assert_int_gt(wait, 0);
    ck_assert_int_le(wait, 8);
    add("calm", 1);
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("calm"));
    work(party("calm"), SHORT);
    /* A tenth of the time from then on, as long as somebody is there. */
    used = 0;
    for (int64_t end = now + 500 * MS; now < end; now += MS / 2) {
        crowd_note(&crowd, party("calm")->hash, now);
        for (; turns_next(&turns, NULL, now); used += SHORT)
            work(party("flood"), SHORT);
    }
    ck_assert_int_gt(used, 45 * MS);
    ck_assert_int_lt(used, 55 * MS);
    now += SECOND; /* the other one has gone */
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("flood"));
    for (int i = 0; i < 1000; i++)
        work(party("flood"), SHORT);
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("flood"));
    /* What it took alone is not held against it for long. */
    add("calm", 1);
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("calm"));
    ck_assert_int_le(turns_wait_ms(&turns, now, 1000), 10);
}
END_TEST

START_TEST(nobody_is_held_up_for_those_who_are_as_busy)
{
    enum { PARTIES = 3 };
    static const char *const names[PARTIES] = {"one", "two", "three"};
    int64_t used[PARTIES] = {0};
    for (int i = 0; i < PARTIES; i++)
        add(names[i], 1000);
    for (int64_t end = now + 4 * SECOND; now < end; now += SHORT) {
        struct party *p = turns_next(&turns, NULL, now);
        for (int i = 0; i < PARTIES && p; i++)
            if (p == party(names[i]) && now > end - SECOND)
                used[i] += SHORT;
        if (p) {
            add(p->name, 1);
            work(p, SHORT);
        }
    }
    for (int i = 0; i < PARTIES; i++)
        ck_assert_int_gt(used[i], SECOND / PARTIES - 10 * MS); /* all of the time, by turns */
    add("calm", 1);
    ck_assert(turns_is_shared(&turns, party("one"), now));
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("calm"));
}
END_TEST

/* A round goes by the places of those who wait. */
START_TEST(whose_last_job_is_taken_keeps_its_place)
{
    add("one", 1);
    add("two", 1);
    free(turns_take(party("one")));
    turns_want(&turns, party("one"), now); /* what was in the job */
    ck_assert_ptr_eq(turns_next(&turns, party("one"), now), party("two"));
    ck_assert_ptr_null(turns_next(&turns, party("two"), now));
    party("one")->has_more = false;
    turns_charge(&turns, party("one"), SHORT, 0, now);
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("two"));
}
END_TEST

START_TEST(long_slices_count_more_than_they_take)
{
    add("long", 100);
    add("short", 100);
    add("calm", 1);
    for (int i = 0; i < 10; i++)
        work(party("short"), SLICE_US);
    work(party("long"), 10 * SLICE_US);
    int64_t took = party("short")->even_at_us - now;
    int64_t price = party("long")->even_at_us - now;
    ck_assert_int_ge(price, 19 * took);
    work(party("long"), 100 * SECOND); /* but not for ever */
    ck_assert_int_le(party("long")->even_at_us - now - price, SECOND);
}
END_TEST

/* Of the time, in which somebody meets one of its slices. */
START_TEST(the_longer_the_slices_the_less_of_them)
{
    static const struct {
        int slices, least, most; /* length; of a hundred thousand parts */
    } rows[] = {{1, 9000, 11000}, {2, 2000, 3000}, {4, 500, 700}, {30, 450, 550}};
    add("calm", 1);
    for (size_t i = 0; i < countof(rows); i++) {
        struct party *p = party("long");
        add("long", 1);
        p->even_at_us = now;
        work(p, (int64_t)rows[i].slices * SLICE_US);
        int64_t part = (int64_t)rows[i].slices * SLICE_US * 100000 / (p->even_at_us - now);
        ck_assert_int_ge(part, rows[i].least);
        ck_assert_int_le(part, rows[i].most);
    }
}
END_TEST

START_TEST(who_takes_all_it_can_stands_back_for_a_while)
{
    add("flood", 4000);
    add("calm", 1);
    work(party("calm"), SHORT);
    while (turns_next(&turns, NULL, now))
        work(party("flood"), SHORT);
    now += turns_wait_ms(&turns, now, 1000) *
           MS; /* its turn has come: it stands in front of those who come now */
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("flood"));
    add("calm", 1);
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("calm"));
    ck_assert_ptr_null(turns_next(&turns, party("calm"), now));
    now += 20 * MS; /* not for ever */
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("flood"));
    ck_assert_ptr_eq(turns_next(&turns, party("flood"), now), party("calm"));
}
END_TEST

START_TEST(one_long_slice_holds_nobody_up)
{
    add("long", 2);
    add("calm", 1);
    work(party("calm"), SHORT);
    work(party("long"), 3 * MS);
    ck_assert(turns_is_shared(&turns, party("long"), now));
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), party("long"));
}
END_TEST

START_TEST(jobs_keep_their_order_and_parties_take_turns)
{
    struct letter *jobs[6];
    for (int i = 0; i < 6; i++) {
        jobs[i] = xcalloc(1, sizeof *jobs[i]);
        turns_add(&turns, party(i % 2 ? "odd" : "even"), jobs[i], now);
    }
    static const int order[] = {0, 1, 2, 3, 4, 5};
    for (size_t i = 0; i < countof(order); i++) {
        struct party *p = turns_next(&turns, NULL, now);
        struct letter *job = turns_take(p);
        ck_assert_ptr_eq(job, jobs[order[i]]);
        free(job);
        turns_charge(&turns, p, 100, 0, now);
    }
}
END_TEST

START_TEST(who_has_no_work_is_forgotten_once_even)
{
    add("gone", 1);
    add("there", 2);
    work(party("gone"), SHORT);
    ck_assert_uint_eq(turns.by_name.count, 2);
    now += 2 * SECOND;
    work(party("there"), SHORT);
    ck_assert_uint_eq(turns.by_name.count, 1);
    ck_assert_int_eq(finished, 1);
    struct party *p = party("there");
    p->has_more = true; /* work that is no job */
    work(p, SHORT);
    ck_assert_ptr_eq(turns_next(&turns, NULL, now), p);
}
END_TEST

Suite *suite_turns(void)
{
    Suite *s = suite_create("turns");
    TCase *t = tcase_create("turns");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, somebody_else_is_there_for_a_second);
    tcase_add_test(t, who_is_alone_never_waits);
    tcase_add_test(t, who_has_used_up_its_share_waits_for_it_and_nobody_else_does);
    tcase_add_test(t, nobody_is_held_up_for_those_who_are_as_busy);
    tcase_add_test(t, whose_last_job_is_taken_keeps_its_place);
    tcase_add_test(t, long_slices_count_more_than_they_take);
    tcase_add_test(t, the_longer_the_slices_the_less_of_them);
    tcase_add_test(t, who_takes_all_it_can_stands_back_for_a_while);
    tcase_add_test(t, one_long_slice_holds_nobody_up);
    tcase_add_test(t, jobs_keep_their_order_and_parties_take_turns);
    tcase_add_test(t, who_has_no_work_is_forgotten_once_even);
    suite_add_tcase(s, t);
    return s;
}
