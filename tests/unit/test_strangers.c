/* Who has not signed in is heard one message in a turn of the loop: in which order, and who goes meanwhile.
 */
#include "portal-gateway/core/strangers.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMPANY = 4 };

static struct sink *first, *company[COMPANY];

/* A stream is in place, and so many are about to sign in. */
static void set_up(void)
{
    stage_set_up();
    first = live(&protocol_ws, "u1", "");
    for (int i = 0; i < COMPANY; i++)
        company[i] = opened(i % 2 ? &protocol_ws : &protocol_sio);
    run_for(0);
}

static void tear_down(void)
{
    for (int i = 0; i < COMPANY; i++)
        if (company[i])
            gone(company[i]);
    gone(first);
    stage_tear_down();
}

/* Says its token, without a turn of the loop in between. */
static void knock(int i)
{
    char message[1024], sub[8];
    snprintf(sub, sizeof sub, "u%d", i + 2);
    char *token = token_of(sub, "");
    snprintf(message, sizeof message, i % 2 ? "{\"type\":\"auth\",\"token\":\"%s\"}" : "40{\"token\":\"%s\"}",
             token);
    session_on_message(company[i]->session, view_of(message), true);
    free(token);
}

static bool is_in(int i)
{
    return company[i]->session->state == SESSION_LIVE;
}

static int count_in(void)
{
    int n = 0;
    for (int i = 0; i < COMPANY; i++)
        n += company[i] && is_in(i);
    return n;
}

START_TEST(one_is_heard_at_once_the_others_one_a_turn_in_order)
{
    for (int i = 0; i < COMPANY; i++)
        knock(i);
    run_for(0); /* this turn has had its piece */
    for (int i = 0; i < COMPANY; i++) {
        ck_assert_int_eq(count_in(), i + 1);
        ck_assert(is_in(i));
        run_for(0);
    }
    run_for(0);
    knock(0); /* who is in does not wait, but breaks the protocol by this */
    ck_assert_int_eq(company[0]->session->state, SESSION_CLOSING);
}
END_TEST

START_TEST(who_waits_is_not_read)
{
    knock(0);
    knock(1);
    ck_assert(!company[0]->slowed);
    ck_assert(company[1]->slowed);
    run_for(0);
    run_for(0);
    ck_assert(!company[1]->slowed);
}
END_TEST

START_TEST(who_comes_a_turn_later_does_not_wait)
{
    knock(0);
    run_for(0);
    knock(1);
    ck_assert(is_in(1));
    ck_assert(!company[1]->slowed);
}
END_TEST

START_TEST(who_is_in_waits_for_nobody)
{
    knock(0);
    knock(1);
    say(first, "{\"type\":\"ping\",\"id\":\"p\"}");
    ck_assert_int_eq(times_heard(first, "\"pong\""), 1);
    ck_assert_int_eq(count_in(), 1);
}
END_TEST

START_TEST(who_says_more_is_heard_in_its_order)
{
    knock(0);
    knock(1);
    session_on_message(company[1]->session, VIEW("{\"type\":\"ping\",\"id\":\"p\"}"), true);
    ck_assert(is_in(1));
    ck_assert_int_eq(times_heard(company[1], "\"ready\""), 1);
    ck_assert_int_eq(times_heard(company[1], "\"pong\""), 1);
    run_for(0);
    ck_assert_int_eq(times_heard(company[1], "\"ready\""), 1); /* once */
}
END_TEST

START_TEST(who_goes_meanwhile_is_forgotten)
{
    for (int i = 0; i < COMPANY; i++)
        knock(i);
    gone(company[1]);
    company[1] = NULL;
    run_for(0);
    run_for(0);
    ck_assert(is_in(2));
    run_for(0);
    ck_assert(is_in(3));
}
END_TEST

START_TEST(who_is_closed_meanwhile_is_not_heard)
{
    knock(0);
    knock(2);
    session_close(company[2]->session, CLOSE_DRAIN);
    run_for(0);
    run_for(0);
    ck_assert_ptr_null(company[2]->session->words);
    ck_assert_ptr_null(company[2]->session->sub); /* nobody looked at its token */
}
END_TEST

START_TEST(a_token_that_is_refused_takes_its_turn_too)
{
    knock(0);
    session_on_message(company[1]->session, VIEW("{\"type\":\"auth\",\"token\":\"a.b.c\"}"), true);
    ck_assert_str_eq(heard(company[1]), "");
    run_for(0);
    run_for(0);
    ck_assert_int_eq(times_heard(company[1], "TOKEN_INVALID"), 1);
}
END_TEST

START_TEST(what_waits_is_bounded)
{
    static char message[STRANGERS_BYTES_MAX / 2 + 2];
    memset(message, ' ', sizeof message - 1);
    for (int turn = 0; turn < 2; turn++) { /* what was heard makes room */
        knock(0);
        for (int i = 1; i < COMPANY; i += 2) {
            session_on_message(company[i]->session, view_of(message), true);
            ck_assert_int_eq(company[i]->session->words != NULL, i == 1);
            ck_assert_int_eq(*heard(company[i]) != 0, i != 1);
        }
        run_for(0);
        run_for(0);
        ck_assert_str_ne(heard(company[1]), "");
        run_for(0);
        for (int i = 0; i < COMPANY; i++) {
            gone(company[i]);
            company[i] = opened(i % 2 ? &protocol_ws : &protocol_sio);
        }
    }
}
END_TEST

START_TEST(a_session_that_never_signs_in_does_not_wait)
{
    struct sink *raw = opened(&protocol_eio);
    knock(0);
    session_on_message(raw->session, VIEW("4a"), true);
    ck_assert_int_eq(times_heard(raw, "4a"), 1);
    gone(raw);
}
END_TEST

Suite *suite_strangers(void)
{
    Suite *s = suite_create("strangers");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, one_is_heard_at_once_the_others_one_a_turn_in_order);
    tcase_add_test(tc, who_waits_is_not_read);
    tcase_add_test(tc, who_comes_a_turn_later_does_not_wait);
    tcase_add_test(tc, who_is_in_waits_for_nobody);
    tcase_add_test(tc, who_says_more_is_heard_in_its_order);
    tcase_add_test(tc, who_goes_meanwhile_is_forgotten);
    tcase_add_test(tc, who_is_closed_meanwhile_is_not_heard);
    tcase_add_test(tc, a_token_that_is_refused_takes_its_turn_too);
    tcase_add_test(tc, what_waits_is_bounded);
    tcase_add_test(tc, a_session_that_never_signs_in_does_not_wait);
    suite_add_tcase(s, tc);
    return s;
}
