/* Who holds a session: what its later connections have asked for elsewhere, and a gateway that stood still.
 */
#include "portal-gateway/core/news.h"
#include "shared/json.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static void set_up(void)
{
    stage_set_up();
    stage.policy.recovery = true;
}

#define IN(generation) ",\"room\":\"conversation:c_1\",\"in\":true,\"generation\":" #generation

START_TEST(a_move_says_its_generation)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    say(k, "421[\"join_conversation\",\"c_1\"]");
    ck_assert_ptr_nonnull(strstr(asked(), "\",\"generation\":0,\"room\":\"conversation:c_1\",\"in\":true"));
    k->session->generation = 12;
    say(k, "422[\"leave_conversation\",\"c_2\"]");
    ck_assert_ptr_nonnull(strstr(asked(), "\",\"generation\":12,\"room\":\"conversation:c_2\",\"in\":false"));
    say(k, "41");
    ck_assert_ptr_nonnull(strstr(asked(), "\"generation\":12,\"ended\":true}"));
    gone(k);
}
END_TEST

START_TEST(what_a_later_connection_has_asked_for_ends_the_one_before)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    k->session->generation = 12;
    hear_of_session(k->session->id, 11, IN(11)); /* asked for, and recorded, before it was taken over */
    hear_of_session("somebody-else", 12, IN(99));
    hear_of_session(k->session->id, 13, IN(12));
    ck_assert(session_is_in(k->session, VIEW("conversation:c_1")));
    ck_assert(!k->closed);
    ck_assert_int_eq(stage.hub->generation, 99);
    hear_of_session(k->session->id, 14, ",\"room\":\"conversation:c_1\",\"in\":false,\"generation\":13");
    ck_assert(k->closed);
    ck_assert_int_eq(k->session->reason, CLOSE_TAKEN_OVER);
    gone(k);
}
END_TEST

START_TEST(the_next_generation_is_behind_all_that_are_recorded)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    roster_want(&t1()->roster);
    settle(stage.asked_token, "{\"ok\":true,\"sessions\":[{\"pid\":\"A\",\"offset\":\"e-5\",\"rooms\":{},"
                              "\"generation\":9000000000000}],\"next\":\"\"}");
    ck_assert_int_eq(stage.hub->generation, 9000000000000);
    gone(k);
}
END_TEST

/* What we have noted of its end was wrong. */
START_TEST(an_end_that_is_refused_is_not_believed)
{
    struct sink *k = live(&protocol_sio, "u1", ""), *other = live(&protocol_ws, "u2", "");
    char id[SESSION_ID_SIZE];
    memcpy(id, k->session->id, sizeof id);
    say(k, "41");
    ck_assert(roster_find(&t1()->roster, view_of(id))->ended);
    settle(stage.asked_token, "{\"ok\":false,\"error\":{\"code\":\"CONFLICT\",\"message\":\"elsewhere\"}}");
    ck_assert_ptr_null(roster_find(&t1()->roster, view_of(id)));
    gone(k);
    gone(other);
}
END_TEST

/* --- standing still --- */

static void stand_still_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Its client has heard no ping for as long as it waits for one; the loop does not know it yet. */
START_TEST(who_has_been_given_up_is_not_listened_to)
{
    stage.policy.ping_interval_ms = 40;
    stage.policy.ping_timeout_ms = 60;
    struct sink *k = live(&protocol_sio, "u1", ""), *plain = live(&protocol_ws, "u2", "");
    stand_still_ms(110);
    say(k, "421[\"join_conversation\",\"c_1\"]");
    ck_assert(k->closed);
    ck_assert_int_eq(k->session->reason, CLOSE_PING_TIMEOUT);
    ck_assert_uint_eq(stage.asks, 0);
    say(plain, "{\"type\":\"ping\"}"); /* clients of /ws wait for no pings */
    ck_assert_str_eq(heard(plain), "{\"type\":\"pong\"}\n");
    gone(k);
    gone(plain);
}
END_TEST

START_TEST(who_has_been_given_up_is_not_pinged_either)
{
    stage.policy.ping_interval_ms = 40;
    stage.policy.ping_timeout_ms = 60;
    struct sink *k = live(&protocol_sio, "u1", ""), *plain = live(&protocol_ws, "u2", "");
    stand_still_ms(110);
    run_for(1);
    ck_assert(k->closed);
    ck_assert_str_eq(heard(k), "");
    ck_assert(!plain->closed);
    ck_assert_str_eq(heard(plain), "p\n");
    gone(k);
    gone(plain);
}
END_TEST

/* --- when the stream has jumped over what is recorded --- */

/* From where it stands to there, the log has nothing any more. */
static void jump_to(uint64_t seq)
{
    struct stream *s = &t1()->stream;
    answer_heads(&s->at, "e", seq);
    s->asking = true;
    s->asked_after = s->at;
    struct news *n = news_create(NEWS_REPLAY, "t1");
    n->replay = (struct replay){.after = s->at, .head = {"e", seq}};
    news_take(stage.hub, n);
}

/* `rooms`: of its document, which was changed at 15. */
static void answer_roster(const struct sink *k, const char *rooms)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"ok\":true,\"sessions\":[{\"pid\":\"%s\",\"offset\":\"e-15\",\"rooms\":{%s}}],\"next\":\"\"}",
             k->session->id, rooms);
    settle(stage.asked_token, text);
}

START_TEST(rooms_are_as_recorded_behind_a_jump)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    hear_of_session(k->session->id, 11, IN(0));
    jump_to(20);
    feed(21, 1, "n", ",\"rooms\":[\"conversation:c_2\"]");
    forget_output(k);
    answer_roster(k, "\"conversation:c_2\":\"e-14\"");
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_1")));
    ck_assert(session_is_in(k->session, VIEW("conversation:c_2")));
    ck_assert_str_eq(heard(k), "42[\"resync\",{\"reason\":\"events_gone\"},\"e-21\"]\n");
    feed(22, 1, "n", ",\"rooms\":[\"conversation:c_2\"]");
    ck_assert_ptr_nonnull(strstr(heard(k), "42[\"n\",22,\"e-22\"]"));
    gone(k);
}
END_TEST

/* Joined behind what is recorded, or being asked for just now. */
START_TEST(what_the_record_cannot_know_yet_stays)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    say(k, "421[\"join_conversation\",\"c_1\"]");
    settle(stage.asked_token, "{\"ok\":true,\"reply\":{\"offset\":\"e-22\"}}");
    hear_of_session(k->session->id, 11, ",\"room\":\"conversation:c_2\",\"in\":true");
    jump_to(20);
    flush();
    uint64_t roster = stage.asked_token;
    say(k, "422[\"leave_conversation\",\"c_2\"]");
    stage.asked_token = roster; /* which is answered, the leave is not */
    forget_output(k);
    answer_roster(k, "\"conversation:c_2\":\"e-11\"");
    ck_assert(session_is_in(k->session, VIEW("conversation:c_1")));
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_2")));
    ck_assert_str_eq(heard(k), "");
    gone(k);
}
END_TEST

/* Left behind what is recorded, and told so; what else is recorded holds once the stream has come to that. */
START_TEST(a_record_from_before_a_leave_is_put_off)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    hear_of_session(k->session->id, 11, IN(0));
    say(k, "421[\"leave_conversation\",\"c_1\"]");
    settle(stage.asked_token, "{\"ok\":true,\"reply\":{\"offset\":\"e-22\"}}");
    jump_to(20);
    feed(21, 1, "n", "");
    forget_output(k);
    answer_roster(k, "\"conversation:c_1\":\"e-11\",\"conversation:c_2\":\"e-14\"");
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_1")));
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_2")));
    ck_assert_str_eq(heard(k), "");
    hear_of_session(k->session->id, 22, ",\"room\":\"conversation:c_1\",\"in\":false");
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_1")));
    ck_assert(session_is_in(k->session, VIEW("conversation:c_2")));
    ck_assert_int_eq(times_heard(k, "42[\"resync\""), 1);
    gone(k);
}
END_TEST

START_TEST(a_record_that_could_not_be_read_is_asked_for_again)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    jump_to(20);
    settle(stage.asked_token, "");
    size_t asks = stage.asks;
    flush();
    forget_output(k);
    tenant_tick(t1());
    ck_assert_uint_eq(stage.asks, asks + 1);
    answer_roster(k, "\"conversation:c_2\":\"e-14\"");
    ck_assert(session_is_in(k->session, VIEW("conversation:c_2")));
    ck_assert_str_eq(heard(k), ""); /* nothing has come since it was told */
    tenant_tick(t1());
    ck_assert_uint_eq(stage.asks, asks + 1);
    gone(k);
}
END_TEST

Suite *suite_generation(void)
{
    Suite *s = suite_create("generation");
    TCase *t = tcase_create("generation");
    tcase_add_checked_fixture(t, set_up, stage_tear_down);
    tcase_add_test(t, a_move_says_its_generation);
    tcase_add_test(t, what_a_later_connection_has_asked_for_ends_the_one_before);
    tcase_add_test(t, the_next_generation_is_behind_all_that_are_recorded);
    tcase_add_test(t, an_end_that_is_refused_is_not_believed);
    tcase_add_test(t, who_has_been_given_up_is_not_listened_to);
    tcase_add_test(t, who_has_been_given_up_is_not_pinged_either);
    tcase_add_test(t, rooms_are_as_recorded_behind_a_jump);
    tcase_add_test(t, what_the_record_cannot_know_yet_stays);
    tcase_add_test(t, a_record_from_before_a_leave_is_put_off);
    tcase_add_test(t, a_record_that_could_not_be_read_is_asked_for_again);
    suite_add_tcase(s, t);
    return s;
}
