/* Sessions: signing in, what each packet does, and what is due when. */
#include "portal-gateway/core/news.h"
#include "shared/clock.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- signing in --- */

START_TEST(is_held_until_the_stream_is_in_place)
{
    struct sink *k = opened(&protocol_sio);
    ck_assert_ptr_nonnull(strstr(heard(k), "0{\"sid\":\""));
    forget_output(k);
    sign_in(k, "u1", ",\"teams\":[\"red\"],\"rooms\":[\"vip\"]");
    ck_assert_int_eq(k->session->state, SESSION_HELD);
    ck_assert_uint_eq(stage.binds, 1);
    ck_assert_str_eq(heard(k), "");
    feed_letter(11, 1, "early", ""); /* comes before the head is known */
    place("e", 10);
    ck_assert_int_eq(k->session->state, SESSION_LIVE);
    ck_assert_int_eq(strncmp(heard(k), "40{\"sid\":\"", 10), 0);
    ck_assert_ptr_nonnull(strstr(heard(k), "\"pid\":\""));
    ck_assert_ptr_nonnull(strstr(
        heard(k), "42[\"portalcast:hello\",{\"recovered\":false,\"head\":\"e-11\",\"rooms\":[\"user:u1\","
                  "\"role:agent\",\"team:red\",\"vip\"]},\"e-11\"]\n"));
    ck_assert_ptr_null(strstr(heard(k), "early")); /* it is in the head that hello names */
    feed(12, 1, "next", "");
    ck_assert_ptr_nonnull(strstr(heard(k), "42[\"next\",12,\"e-12\"]\n"));
    gone(k);
}
END_TEST

START_TEST(without_recovery_there_is_neither_pid_nor_offset)
{
    stage.policy.recovery = false;
    struct sink *k = opened(&protocol_sio);
    sign_in(k, "u1", "");
    place("e", 10);
    ck_assert_ptr_null(strstr(heard(k), "\"pid\""));
    ck_assert_ptr_nonnull(strstr(heard(k), "\"rooms\":[\"user:u1\",\"role:agent\"]}]\n"));
    feed(11, 1, "next", "");
    ck_assert_ptr_nonnull(strstr(heard(k), "42[\"next\",11]\n"));
    gone(k);
}
END_TEST

START_TEST(a_refused_token_is_told_in_the_protocols_way)
{
    struct sink *k = opened(&protocol_sio);
    forget_output(k);
    say(k, "40");
    ck_assert_str_eq(heard(k),
                     "44{\"message\":\"a token is required\",\"data\":{\"code\":\"TOKEN_MISSING\"}}\n");
    ck_assert(!k->closed); /* the client closes; it may also try again */
    forget_output(k);
    say(k, "40{\"token\":\"a.b.c\"}");
    ck_assert_ptr_nonnull(strstr(heard(k), "\"TOKEN_INVALID\""));
    forget_output(k);
    say(k, "40{\"token\":17}");
    ck_assert_ptr_nonnull(strstr(heard(k), "\"TOKEN_INVALID\""));
    ck_assert_uint_eq(stage.binds, 0);
    gone(k);
    k = opened(&protocol_ws);
    say(k, "{\"type\":\"auth\",\"token\":\"a.b.c\"}");
    ck_assert_ptr_nonnull(strstr(heard(k), "\"TOKEN_INVALID\""));
    ck_assert(k->closed);
    ck_assert_int_eq(k->code, 4401);
    gone(k);
}
END_TEST

START_TEST(a_user_has_a_bounded_number_of_sessions)
{
    struct sink *k[4];
    for (size_t i = 0; i < 3; i++)
        k[i] = live(&protocol_ws, "u1", "");
    k[3] = opened(&protocol_ws);
    sign_in(k[3], "u1", "");
    ck_assert(k[3]->closed);
    ck_assert_int_eq(k[3]->code, 4429);
    struct sink *other = live(&protocol_ws, "u2", "");
    gone(other);
    for (size_t i = 0; i < 4; i++)
        gone(k[i]);
    ck_assert_uint_eq(t1()->sessions, 0);
    ck_assert_uint_eq(t1()->rooms.by_name.count, 1);
}
END_TEST

/* --- what packets do --- */

static const struct {
    const char *before[3]; /* packets; "CONNECT" signs in */
    const char *packet;
    bool closes;
    const char *answer;
} packet_rows[] = {
    {{0}, "2", true, ""},
    {{0}, "", true, ""},
    {{0}, "x", true, ""},
    {{0}, "7", true, ""},
    {{0}, "1", true, ""},
    {{0}, "3", false, ""},
    {{0}, "5", false, ""},
    {{0}, "6", false, ""},
    {{0}, "0{}", true, ""},
    {{0}, "4", true, ""},
    {{0}, "42[\"x\"]", true, ""}, /* not connected */
    {{0}, "41", true, ""},
    {{0}, "40/random", false, "44/random,{\"message\":\"Invalid namespace\"}\n"},
    {{0}, "40/random,{\"token\":\"x\"}", false, "44/random,{\"message\":\"Invalid namespace\"}\n"},
    {{0}, "40[]", true, ""},
    {{"CONNECT"}, "42[\"x\",1]", false, ""},
    {{"CONNECT"}, "427[\"x\",1]", false, ""}, /* nobody knows it: no ack */
    {{"CONNECT"}, "42", false, ""},
    {{"CONNECT"}, "431[]", false, ""},
    {{"CONNECT"}, "42[\"connect\"]", true, ""},
    {{"CONNECT"}, "44{\"message\":\"x\"}", true, ""},
    {{"CONNECT"}, "CONNECT", true, ""},
    {{"CONNECT"}, "42/other,[\"x\"]", true, ""},
    {{"CONNECT"}, "41", false, ""},
    {{"CONNECT", "41"}, "42[\"x\"]", true, ""},
    {{"CONNECT", "41"}, "3", false, ""},
    {{"CONNECT"}, "bAQID", true, ""}, /* no attachment is due */
    {{"CONNECT", "451-[\"x\",{\"_placeholder\":true,\"num\":0}]"}, "bAQID", false, ""},
    {{"CONNECT", "451-[\"x\",{\"_placeholder\":true,\"num\":0}]"}, "42[\"x\"]", true, ""},
    {{"CONNECT", "451-[\"x\",{\"_placeholder\":true,\"num\":0}]"}, "3", false, ""},
    {{"CONNECT", "451-[\"x\",{\"_placeholder\":true,\"num\":0}]", "bAQID"}, "42[\"x\"]", false, ""},
    {{"CONNECT"}, "4511-[\"x\"]", true, ""},
};

static void send_packet(struct sink *k, const char *packet)
{
    if (strcmp(packet, "CONNECT") == 0)
        sign_in(k, "u1", "");
    else
        say(k, packet);
}

START_TEST(every_packet_has_its_effect)
{
    struct sink *first = live(&protocol_ws, "u9", ""); /* so that the stream is in place */
    struct sink *k = opened(&protocol_sio);
    for (size_t i = 0; i < 3 && packet_rows[_i].before[i]; i++)
        send_packet(k, packet_rows[_i].before[i]);
    ck_assert(!k->closed);
    forget_output(k);
    send_packet(k, packet_rows[_i].packet);
    ck_assert_msg(k->closed == packet_rows[_i].closes, "after %s", packet_rows[_i].packet);
    ck_assert_int_eq(k->code, 0); /* never a code on Socket.IO */
    ck_assert_str_eq(heard(k), packet_rows[_i].answer);
    gone(k);
    gone(first);
}
END_TEST

static const struct {
    bool signed_in;
    const char *message, *answer;
    int code; /* 0: stays open */
} ws_rows[] = {
    {false, "{\"type\":\"ping\"}", "{\"type\":\"pong\"}\n", 0},
    {true, "{\"type\":\"ping\"}", "{\"type\":\"pong\"}\n", 0},
    {false, "{\"type\":\"auth\"}",
     "{\"type\":\"error\",\"code\":\"TOKEN_MISSING\",\"message\":\"a token is required\"}\n", 4401},
    {true, "{\"type\":\"auth\",\"id\":1,\"token\":\"x\"}",
     "{\"type\":\"error\",\"id\":1,\"code\":\"CONFLICT\",\"message\":\"signed in already\"}\n", 0},
    {true, "{\"type\":\"dance\",\"id\":\"d\"}",
     "{\"type\":\"error\",\"id\":\"d\",\"code\":\"UNKNOWN_TYPE\",\"message\":\"nothing here knows this type "
     "of message\"}\n",
     0},
};

START_TEST(every_plain_message_has_its_answer)
{
    struct sink *k = ws_rows[_i].signed_in ? live(&protocol_ws, "u1", "") : opened(&protocol_ws);
    say(k, ws_rows[_i].message);
    ck_assert_str_eq(heard(k), ws_rows[_i].answer);
    ck_assert_int_eq(k->closed, ws_rows[_i].code != 0);
    ck_assert_int_eq(k->code, ws_rows[_i].code);
    gone(k);
}
END_TEST

START_TEST(leaving_the_namespace_ends_the_stream_but_not_the_session)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    say(k, "41");
    ck_assert_int_eq(k->session->state, SESSION_STRANGER);
    ck_assert_uint_eq(t1()->sessions, 0);
    forget_output(k);
    feed(11, 1, "x", "");
    ck_assert_str_eq(heard(k), "");
    sign_in(k, "u1", "");
    ck_assert_int_eq(k->session->state, SESSION_LIVE);
    feed(12, 1, "x", "");
    ck_assert_ptr_nonnull(strstr(heard(k), "42[\"x\",12,\"e-12\"]\n"));
    gone(k);
}
END_TEST

/* --- deadlines --- */

START_TEST(pings_are_sent_and_missed_ones_end_the_session)
{
    stage.policy.ping_interval_ms = 40;
    stage.policy.ping_timeout_ms = 400;
    stage.policy.connect_timeout_ms = 10000;
    struct sink *answers = opened(&protocol_sio), *silent = opened(&protocol_sio);
    int pongs = 0;
    forget_output(answers);
    forget_output(silent);
    for (int64_t end = clock_mono_ms() + 5000; !silent->closed || pongs < 2;) {
        turn_within(end);
        for (; pongs < times_heard(answers, "2\n"); pongs++)
            say(answers, "3");
    }
    ck_assert(!answers->closed);
    gone(answers);
    gone(silent);
}
END_TEST

START_TEST(who_does_not_sign_in_in_time_is_closed)
{
    stage.policy.connect_timeout_ms = 30;
    struct sink *sio = opened(&protocol_sio), *plain = opened(&protocol_ws), *held = opened(&protocol_ws);
    sign_in(held, "u1", "");
    run_for(50);
    ck_assert(sio->closed);
    ck_assert(plain->closed);
    ck_assert_int_eq(plain->code, 4408);
    ck_assert(held->closed); /* the stream never came in place: try again */
    ck_assert_int_eq(held->code, 1001);
    gone(sio);
    gone(plain);
    gone(held);
}
END_TEST

START_TEST(the_end_of_a_token_is_announced_and_kept)
{
    struct sink *k = opened(&protocol_sio);
    stage.token_seconds = 2;
    sign_in(k, "u1", "");
    place("e", 10);
    forget_output(k);
    run_for(30);
    ck_assert_int_eq(strncmp(heard(k), "42[\"token_expiring\",{\"expiresAt\":\"20", 36), 0);
    ck_assert_ptr_nonnull(strstr(heard(k), "\"},\"e-10\"]\n"));
    ck_assert(!k->closed);
    run_for(2000);
    ck_assert(k->closed);
    gone(k);
}
END_TEST

Suite *suite_session(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("session");
    tcase_add_checked_fixture(t, stage_set_up, stage_tear_down);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, is_held_until_the_stream_is_in_place);
    tcase_add_test(t, without_recovery_there_is_neither_pid_nor_offset);
    tcase_add_test(t, a_refused_token_is_told_in_the_protocols_way);
    tcase_add_test(t, a_user_has_a_bounded_number_of_sessions);
    tcase_add_loop_test(t, every_packet_has_its_effect, 0, (int)countof(packet_rows));
    tcase_add_loop_test(t, every_plain_message_has_its_answer, 0, (int)countof(ws_rows));
    tcase_add_test(t, leaving_the_namespace_ends_the_stream_but_not_the_session);
    tcase_add_test(t, pings_are_sent_and_missed_ones_end_the_session);
    tcase_add_test(t, who_does_not_sign_in_in_time_is_closed);
    tcase_add_test(t, the_end_of_a_token_is_announced_and_kept);
    suite_add_tcase(s, t);
    return s;
}
