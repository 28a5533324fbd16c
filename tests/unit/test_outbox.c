/* The window of unconfirmed publishes: confirms come in any order, "confirmed up to" is only said when it is
 * true; and how much of it a tenant may have. */
#include "state-manager/outbox/lanes.h"
#include "state-manager/outbox/window.h"
#include "tests/unit/suites.h"
#include <stdlib.h>

struct owner {
    uint64_t entry, rev;
    int events;
};

static void on_confirmed(void *ctx, void *owner, uint64_t entry, uint64_t rev)
{
    struct owner *lane = owner;
    (void)ctx;
    if (entry) {
        ck_assert_uint_eq(entry, lane->entry + 1); /* in order, none left out */
        lane->entry = entry;
    } else if (rev) {
        lane->rev = rev;
    } else {
        lane->events++;
    }
}

START_TEST(confirms_are_passed_on_in_order)
{
    struct window w;
    struct owner a = {0}, b = {0};
    window_init(&w);
    window_add(&w, 1, &a, 0, 0);
    window_add(&w, 2, &b, 0, 0);
    ck_assert(window_follow(&w, &b, 1));
    window_add(&w, 3, &a, 0, 0);
    ck_assert(window_follow(&w, &a, 1));
    window_add(&w, 4, &a, 0, 77);
    window_ack(&w, 2, false, on_confirmed, NULL);
    ck_assert_uint_eq(b.entry, 0); /* tag 1 is still out */
    window_ack(&w, 1, false, on_confirmed, NULL);
    ck_assert_uint_eq(b.entry, 1);
    ck_assert_uint_eq(a.entry, 0);
    window_ack(&w, 4, true, on_confirmed, NULL);
    ck_assert_uint_eq(a.entry, 1);
    ck_assert_uint_eq(a.rev, 77);
    ck_assert_int_eq(a.events + b.events, 3);
    window_finish(&w);
}
END_TEST

START_TEST(an_entry_without_events_waits_for_those_before_it)
{
    struct window w;
    struct owner a = {0};
    window_init(&w);
    ck_assert(!window_follow(&w, &a, 1)); /* nothing is out: it is complete now */
    window_add(&w, 1, &a, 0, 0);
    window_add(&w, 2, &a, 0, 0);
    window_ack(&w, 2, false, on_confirmed, NULL);
    ck_assert(window_follow(&w, &a, 1)); /* behind a confirmed one, but tag 1 is out */
    ck_assert_uint_eq(a.entry, 0);
    window_ack(&w, 1, false, on_confirmed, NULL);
    ck_assert_uint_eq(a.entry, 1);
    window_finish(&w);
}
END_TEST

START_TEST(any_order_of_confirms_ends_the_same)
{
    enum { EVENTS = 3000, PER_ENTRY = 3 };
    struct window w;
    struct owner lane = {0};
    uint64_t tags[EVENTS];
    window_init(&w);
    srand((unsigned)_i);
    for (uint64_t i = 0; i < EVENTS; i++) {
        tags[i] = i + 1;
        window_add(&w, i + 1, &lane, 0, 0);
        if ((i + 1) % PER_ENTRY == 0)
            ck_assert(window_follow(&w, &lane, (i + 1) / PER_ENTRY));
    }
    ck_assert(window_full(&w));
    for (size_t i = EVENTS - 1; i > 0; i--) {
        size_t j = (size_t)rand() % (i + 1);
        uint64_t keep = tags[i];
        tags[i] = tags[j];
        tags[j] = keep;
    }
    for (size_t i = 0; i < EVENTS; i++)
        window_ack(&w, tags[i], rand() % 50 == 0, on_confirmed, NULL);
    ck_assert_uint_eq(lane.entry, EVENTS / PER_ENTRY);
    ck_assert_int_eq(lane.events, EVENTS);
    ck_assert_uint_eq(window_drop(&w), 0);
    window_finish(&w);
}
END_TEST

struct refusals {
    int owners;
    size_t messages;
};

static void on_refused(void *ctx, void *owner, size_t messages)
{
    struct refusals *refusals = ctx;
    (void)owner;
    refusals->owners++;
    refusals->messages += messages;
}

START_TEST(a_refusal_is_its_owners_alone)
{
    struct window w;
    struct owner a = {0}, b = {0};
    struct refusals refusals = {0};
    window_init(&w);
    window_add(&w, 1, &a, 0, 0);
    ck_assert(window_follow(&w, &a, 1));
    window_add(&w, 2, &b, 0, 0);
    ck_assert(window_follow(&w, &b, 1));
    window_add(&w, 3, &a, 0, 0);
    ck_assert(window_follow(&w, &a, 2));
    window_ack(&w, 2, false, on_confirmed, NULL);
    ck_assert_uint_eq(b.entry, 0); /* tag 1 is still out */
    window_nack(&w, 1, false, on_refused, &refusals);
    ck_assert_int_eq(refusals.owners, 1);
    ck_assert_uint_eq(refusals.messages, 2); /* what came after it starts over, too */
    window_ack(&w, 0, false, on_confirmed, NULL);
    ck_assert_uint_eq(b.entry, 1);
    window_add(&w, 4, &a, 0, 0);
    ck_assert(window_follow(&w, &a, 1));
    window_ack(&w, 3, false, on_confirmed, NULL); /* of the first try: it says nothing now */
    ck_assert_uint_eq(a.entry, 0);
    window_ack(&w, 4, false, on_confirmed, NULL);
    ck_assert_uint_eq(a.entry, 1);
    ck_assert_uint_eq(window_drop(&w), 0);
    window_finish(&w);
}
END_TEST

START_TEST(many_are_refused_at_once)
{
    struct window w;
    struct owner a = {0}, b = {0};
    struct refusals refusals = {0};
    window_init(&w);
    window_add(&w, 1, &a, 0, 0);
    window_add(&w, 2, &b, 0, 0);
    window_add(&w, 3, &a, 0, 0);
    window_add(&w, 4, &b, 0, 9);
    window_ack(&w, 1, false, on_confirmed, NULL);
    window_nack(&w, 3, true, on_refused, &refusals);
    ck_assert_int_eq(refusals.owners, 2);
    ck_assert_uint_eq(refusals.messages, 3);
    window_ack(&w, 4, true, on_confirmed, NULL);
    ck_assert_int_eq(a.events, 1); /* confirmed before */
    ck_assert_int_eq(b.events, 0);
    ck_assert_uint_eq(b.rev, 0);
    window_finish(&w);
}
END_TEST

START_TEST(who_came_to_its_window_waits_until_half_is_confirmed)
{
    struct lane lane = {.window = 8};
    for (; lane.in_flight < 8; lane.in_flight++)
        ck_assert(!lane_is_full(&lane));
    for (; lane.in_flight > 4; lane.in_flight--)
        ck_assert(lane_is_full(&lane));
    for (; lane.in_flight < 8; lane.in_flight++)
        ck_assert(!lane_is_full(&lane));
    ck_assert(lane_is_full(&lane));
    lane = (struct lane){.window = 1, .in_flight = 1};
    ck_assert(lane_is_full(&lane));
    lane.in_flight = 0;
    ck_assert(!lane_is_full(&lane));
}
END_TEST

START_TEST(in_company_a_long_entry_goes_out_a_few_at_a_time)
{
    struct lane lane = {.in_flight = LANE_WINDOW_OF_PARTS};
    lane_set_window(&lane, true);
    ck_assert(!lane_is_full(&lane));
    lane.part = 1;
    lane_set_window(&lane, true);
    ck_assert(lane_is_full(&lane));
    lane_set_window(&lane, false);
    ck_assert(!lane_is_full(&lane));
}
END_TEST

static void open_lane(struct lane *lane)
{
    *lane = (struct lane){.window = LANE_WINDOW};
    list_init(&lane->node);
    list_init(&lane->announced);
}

static void has_news(struct lanes *l, struct lane *lane)
{
    lane->figures_dirty = true;
    lanes_make_due(l, lane);
}

/* What the relay does with a lane that is due. */
static void has_its_turn(struct lanes *l, struct lane *lane, int64_t now)
{
    lane->more = false;
    if (lane_may_announce(lane)) {
        lane->figures_at_ms = now;
        lane->figures_dirty = false;
    }
    lanes_settle(l, lane, now);
}

/* Otherwise each turn would look at all who had something to say within the last second, and read the log. */
START_TEST(who_waits_for_its_figures_alone_is_not_due)
{
    struct lanes l;
    struct lane a, b;
    lanes_init(&l);
    open_lane(&a);
    open_lane(&b);
    ck_assert_int_eq(lanes_wait_ms(&l, 5000, 500), 500);
    has_news(&l, &a);
    ck_assert_int_eq(lanes_wait_ms(&l, 5000, 500), 0);
    has_its_turn(&l, &a, 5000);
    has_news(&l, &b);
    has_its_turn(&l, &b, 5400);
    ck_assert(list_empty(&l.due));
    has_news(&l, &a);
    ck_assert(!lane_may_announce(&a));
    has_its_turn(&l, &a, 5500);
    ck_assert(list_empty(&l.due)); /* its entry is out, its figures are not */
    ck_assert(a.figures_dirty);
    ck_assert_int_eq(lanes_wait_ms(&l, 5600, 500), 400);
    lanes_take_waiting(&l, 5999);
    ck_assert(list_empty(&l.due));
    lanes_take_waiting(&l, 6000);
    ck_assert(l.due.next == &a.node && l.due.prev == &a.node);
    ck_assert(lane_may_announce(&a));
    has_its_turn(&l, &a, 6000);
    lanes_take_waiting(&l, 6400);
    ck_assert(list_empty(&l.due)); /* the other has said nothing since */
    ck_assert_int_eq(lanes_wait_ms(&l, 6400, 5000), 600);
    lanes_take_waiting(&l, 7000);
    ck_assert_int_eq(lanes_wait_ms(&l, 7000, 5000), 5000);
    lanes_finish(&l);
}
END_TEST

START_TEST(a_full_window_opens_when_some_are_free)
{
    struct window w;
    struct owner owner = {0};
    window_init(&w);
    for (uint64_t tag = 1; tag <= WINDOW_FULL; tag++) {
        ck_assert(!window_full(&w));
        window_add(&w, tag, &owner, 0, 0);
    }
    for (uint64_t tag = 1; tag <= WINDOW_FULL - WINDOW_OPENS; tag++) {
        ck_assert(window_full(&w));
        window_ack(&w, tag, false, on_confirmed, NULL);
    }
    ck_assert(window_full(&w));
    window_ack(&w, WINDOW_FULL - WINDOW_OPENS + 1, false, on_confirmed, NULL);
    ck_assert(!window_full(&w));
    window_finish(&w);
}
END_TEST

Suite *suite_outbox(void)
{
    Suite *s = suite_create("outbox");
    TCase *t = tcase_create("outbox");
    tcase_add_test(t, confirms_are_passed_on_in_order);
    tcase_add_test(t, an_entry_without_events_waits_for_those_before_it);
    tcase_add_loop_test(t, any_order_of_confirms_ends_the_same, 1, 6);
    tcase_add_test(t, a_refusal_is_its_owners_alone);
    tcase_add_test(t, many_are_refused_at_once);
    tcase_add_test(t, who_came_to_its_window_waits_until_half_is_confirmed);
    tcase_add_test(t, in_company_a_long_entry_goes_out_a_few_at_a_time);
    tcase_add_test(t, who_waits_for_its_figures_alone_is_not_due);
    tcase_add_test(t, a_full_window_opens_when_some_are_free);
    suite_add_tcase(s, t);
    return s;
}
