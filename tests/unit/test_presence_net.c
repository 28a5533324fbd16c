/* Presence across gateways: who is seen where, whatever dies, leaves or gets lost. */
#include "portal-gateway/core/attendance.h"
#include "tests/unit/dice.h"
#include "tests/unit/presence_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

static void all_see(const char *expected)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        if (net.gateways[i].hub)
            ck_assert_msg(strcmp(seen(i), expected) == 0, "gateway %zu sees \"%s\", not \"%s\"", i, seen(i),
                          expected);
}

START_TEST(everybody_sees_who_is_on_any_gateway)
{
    user_arrives(0, 1);
    user_arrives(1, 2);
    user_sets(1, 2, "busy");
    pass(1000);
    all_see("u1=online u2=busy");
    user_arrives(2, 1);
    user_sets(2, 1, "away");
    pass(1000);
    all_see("u1=away u2=busy");
    uint64_t before = told(1);
    user_departs(2, 1);
    user_departs(1, 2);
    pass(ATTENDANCE_GRACE_MS - 1000);
    all_see("u1=away u2=busy");
    ck_assert_uint_eq(told(1), before);
    pass(2000);
    all_see("u1=away"); /* said where he is not any more */
    user_departs(0, 1);
    pass(2 * ATTENDANCE_GRACE_MS);
    all_see("");
}
END_TEST

START_TEST(what_he_says_last_counts_though_he_says_it_going)
{
    user_arrives(0, 1);
    user_arrives(1, 1);
    pass(2000);
    user_sets(0, 1, "away");
    user_departs(0, 1);
    pass(2000);
    all_see("u1=away");
    gateway_start(3);
    pass(2000);
    all_see("u1=away");
}
END_TEST

START_TEST(who_moves_to_another_gateway_does_not_flicker)
{
    user_arrives(0, 1);
    user_sets(0, 1, "busy");
    pass(1000);
    uint64_t before[] = {told(0), told(1), told(2)};
    for (int i = 0; i < 6; i++) {
        user_departs((size_t)i % 3, 1);
        pass(2000);
        user_arrives((size_t)(i + 1) % 3, 1);
        pass(1000);
    }
    all_see("u1=busy");
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(told(i), before[i]);
}
END_TEST

START_TEST(a_gateway_that_dies_takes_its_users_with_it)
{
    user_arrives(0, 1);
    user_arrives(0, 2);
    user_arrives(1, 2);
    pass(15000);
    uint64_t before = told(1);
    gateway_kill(0);
    pass(LEASE_MS - LEASE_MS / 3 - 1000);
    all_see("u1=online u2=online");
    ck_assert_uint_eq(told(1), before);
    pass(LEASE_MS / 3 + 2000);
    all_see("u2=online");
    ck_assert_uint_eq(told(1), before + 1);
}
END_TEST

START_TEST(a_gateway_that_leaves_says_so)
{
    user_arrives(0, 1);
    user_arrives(0, 2);
    pass(1000);
    uint64_t before = told(1);
    gateway_leave(0);
    pass(1000);
    user_arrives(1, 2);
    pass(ATTENDANCE_GRACE_MS - 2000);
    all_see("u1=online u2=online");
    pass(2000);
    all_see("u2=online");
    ck_assert_uint_eq(told(1), before + 1);
}
END_TEST

START_TEST(who_has_left_says_nothing_more)
{
    user_arrives(0, 1);
    presence_leave(net.gateways[0].presence);
    pass(1000);
    size_t said = net.ever;
    user_arrives(0, 2);
    presence_bound(net.gateways[0].presence);
    gateway_kill(1);
    gateway_kill(2);
    pass(LEASE_MS);
    ck_assert_uint_eq(net.ever, said);
}
END_TEST

START_TEST(the_deaf_do_not_conclude_anything)
{
    user_arrives(0, 1);
    user_arrives(1, 2);
    pass(1000);
    uint64_t before = told(1);
    net.gateways[1].deaf = true;
    pass(3 * LEASE_MS);
    gateway_kill(0);
    pass(3 * LEASE_MS);
    ck_assert_str_eq(seen(1), "u1=online u2=online");
    net.gateways[1].deaf = false;
    pass(LEASE_MS / 2);
    ck_assert_uint_eq(told(1), before);
    pass(LEASE_MS);
    all_see("u2=online");
}
END_TEST

START_TEST(a_pause_of_the_exchange_is_no_death)
{
    for (size_t i = 0; i < 3; i++)
        user_arrives(i, (int)i);
    pass(1000);
    uint64_t before[] = {told(0), told(1), told(2)};
    for (int pauses = 0; pauses < 5; pauses++) {
        net.loss = 100;
        pass(LEASE_MS + pauses * 7000);
        net.loss = 0;
        pass(LEASE_MS);
    }
    all_see("u0=online u1=online u2=online");
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(told(i), before[i]);
}
END_TEST

START_TEST(a_new_gateway_asks_or_hears_the_renewals)
{
    user_arrives(0, 1);
    user_sets(0, 1, "away");
    pass(1000);
    gateway_start(3);
    pass(2000);
    ck_assert_str_eq(seen(3), "u1=away");
    gateway_kill(3);
    pass(1000);
    gateway_start(3);
    net.gateways[3].hub->rpc_up = false; /* not yet: it hears, but cannot ask */
    pass(2000);
    ck_assert_str_eq(seen(3), "");
    net.gateways[3].hub->rpc_up = true;
    pass(2000);
    ck_assert_str_eq(seen(3), "u1=away");
    gateway_kill(3);
    gateway_start(3);
    net.loss = 100;
    pass(1000);
    net.loss = 0;
    pass(LEASE_MS / 3 + 2000);
    ck_assert_str_eq(seen(3), "u1=away");
}
END_TEST

START_TEST(what_was_lost_is_made_good_by_the_renewals)
{
    user_arrives(0, 1);
    pass(1000);
    net.loss = 100;
    user_arrives(0, 2);
    user_sets(0, 1, "busy");
    user_departs(0, 1);
    pass(1000);
    net.loss = 0;
    pass(LEASE_MS + 2000);
    all_see("u2=online");
}
END_TEST

START_TEST(messages_have_a_size)
{
    for (int i = 0; i < 450; i++) {
        char sub[24];
        snprintf(sub, sizeof sub, "agent-%d", i);
        presence_arrive(net.gateways[0].presence, sub);
    }
    size_t before = net.ever;
    pass(500);
    ck_assert_uint_eq(net.ever - before, 3);
    ck_assert_uint_eq(net.most_users, PRESENCE_SAID_AT_ONCE);
    pass(5000);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(told(i), 450);
}
END_TEST

START_TEST(a_silent_tenant_costs_three_messages_a_lease)
{
    for (size_t i = 1; i < 3; i++)
        gateway_kill(i);
    user_arrives(0, 1);
    pass(1000);
    size_t before = net.ever;
    pass(10 * LEASE_MS);
    ck_assert_uint_ge(net.ever - before, 30);
    ck_assert_uint_le(net.ever - before, 33);
}
END_TEST

/* --- against a model --- */

static struct {
    const char *status;
    int64_t absent_ms; /* since when; 0: he is there */
    bool unsure;       /* of the status: what was said last is a question of milliseconds, or was lost */
    bool held;         /* perhaps, by the lease of a gateway that died */
    int64_t set_ms;
    size_t set_at;
} model[USERS];

static int sessions_of(int user)
{
    int n = 0;
    for (size_t i = 0; i < GATEWAYS; i++)
        n += net.gateways[i].hub ? net.gateways[i].sessions[user] : 0;
    return n;
}

static void model_arrives(size_t which, int user)
{
    int64_t absent = model[user].absent_ms ? net.clock_ms - model[user].absent_ms : 0;
    if (model[user].held) {
        model[user].unsure = true;
    } else if (absent > ATTENDANCE_GRACE_MS + 3000) {
        model[user].status = "online";
        model[user].unsure = false;
    } else if (absent > ATTENDANCE_GRACE_MS - 3000 || net.clock_ms - net.gateways[which].since_ms < 3000) {
        model[user].unsure = true;
    }
    model[user].absent_ms = 0;
}

static void model_sets(size_t which, int user, const char *status)
{
    bool races = which != model[user].set_at && net.clock_ms - model[user].set_ms < 2000;
    model[user].unsure = races;
    model[user].set_at = which;
    model[user].set_ms = net.clock_ms;
    model[user].status = status;
}

static void model_looks(bool died)
{
    for (int user = 0; user < USERS; user++) {
        if (!model[user].absent_ms && !sessions_of(user))
            model[user].absent_ms = net.clock_ms;
        model[user].unsure |= died;
        model[user].held |= died;
    }
}

static void act(void)
{
    static const char *const statuses[] = {"online", "away", "busy"};
    size_t which = (size_t)dice(GATEWAYS);
    struct gateway *g = &net.gateways[which];
    int user = dice(USERS), what = dice(40);
    if (!g->hub) {
        if (what < 20)
            gateway_start(which);
    } else if (what == 0) {
        gateway_kill(which);
        model_looks(true);
    } else if (what == 1) {
        gateway_leave(which);
        model_looks(false);
    } else if (what < 12 && g->sessions[user] < 3) {
        model_arrives(which, user);
        user_arrives(which, user);
    } else if (what < 26 && g->sessions[user]) {
        user_departs(which, user);
        model_looks(false);
    } else if (g->sessions[user]) {
        const char *status = statuses[dice(3)];
        model_sets(which, user, status);
        user_sets(which, user, status);
    }
}

/* Presence is the truth; the status is what he said last, and where nobody can know, the same for all. */
static void compare(void)
{
    const char *first = NULL;
    for (size_t i = 0; i < GATEWAYS; i++) {
        if (!net.gateways[i].hub)
            continue;
        first = first ? first : seen(i);
        ck_assert_str_eq(seen(i), first);
    }
    for (int user = 0; first && user < USERS; user++) {
        model[user].held = false;
        char sub[16], exact[32];
        snprintf(sub, sizeof sub, "u%d=", user);
        snprintf(exact, sizeof exact, "u%d=%s", user, model[user].status);
        ck_assert_msg((strstr(first, sub) != NULL) == (sessions_of(user) > 0), "%s in \"%s\"", sub, first);
        if (sessions_of(user) && !model[user].unsure)
            ck_assert_msg(strstr(first, exact) != NULL, "%s in \"%s\"", exact, first);
    }
}

START_TEST(any_order_of_things_ends_in_the_truth)
{
    dice_seed(_i + 1);
    bool lossy = _i % 2;
    memset(model, 0, sizeof model);
    for (int user = 0; user < USERS; user++) {
        model[user].status = "online";
        model[user].absent_ms = 1;
    }
    for (int round = 0; round < 12; round++) {
        for (int n = 0; n < 40; n++) {
            net.loss = lossy ? 25 : 0;
            act();
            model_looks(lossy);
            pass(100 + dice(900));
        }
        net.loss = 0;
        pass(LEASE_MS + LEASE_MS / 2 + ATTENDANCE_GRACE_MS);
        compare();
    }
}
END_TEST

Suite *suite_presence_net(void)
{
    Suite *s = suite_create("presence_net");
    TCase *t = tcase_create("presence_net");
    tcase_add_checked_fixture(t, net_set_up, net_tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, everybody_sees_who_is_on_any_gateway);
    tcase_add_test(t, what_he_says_last_counts_though_he_says_it_going);
    tcase_add_test(t, who_moves_to_another_gateway_does_not_flicker);
    tcase_add_test(t, a_gateway_that_dies_takes_its_users_with_it);
    tcase_add_test(t, a_gateway_that_leaves_says_so);
    tcase_add_test(t, who_has_left_says_nothing_more);
    tcase_add_test(t, the_deaf_do_not_conclude_anything);
    tcase_add_test(t, a_pause_of_the_exchange_is_no_death);
    tcase_add_test(t, a_new_gateway_asks_or_hears_the_renewals);
    tcase_add_test(t, what_was_lost_is_made_good_by_the_renewals);
    tcase_add_test(t, messages_have_a_size);
    tcase_add_test(t, a_silent_tenant_costs_three_messages_a_lease);
    tcase_add_loop_test(t, any_order_of_things_ends_in_the_truth, 0, 20);
    suite_add_tcase(s, t);
    return s;
}
