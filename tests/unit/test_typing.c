/* Who is typing: what goes to the exchange how often, who hears it, and how it ends by itself. */
#include "portal-gateway/core/news.h"
#include "portal-gateway/core/typing.h"
#include "shared/json.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

#define TYPING(id, flag) "42[\"typing\",{\"conversationId\":\"" id "\",\"isTyping\":" flag "}]"

static struct sink *k;

static void begin(void)
{
    stage_set_up();
    k = live(&protocol_sio, "u1", "");
    session_join(k->session, VIEW("conversation:c_1"));
}

static void end(void)
{
    gone(k);
    stage_tear_down();
}

static const char *published(void)
{
    return stage.published.data ? stage.published.data : "";
}

static void tick(int64_t after_ms)
{
    typing_tick(t1()->typing, loop_now_ms(stage.loop) + after_ms);
    flush();
}

/* As if it had come round. */
static void come_round(const char *body)
{
    struct err err = {0};
    struct news *n = news_create(NEWS_EVENTS, "t1");
    n->records = record_create(view_of(body), &err);
    ck_assert_msg(n->records != NULL, "%s", err.text);
    news_take(stage.hub, n);
    flush();
}

START_TEST(what_is_said_goes_to_the_room_but_not_to_the_socket)
{
    struct sink *other = live(&protocol_ws, "u2", ""), *own = live(&protocol_ws, "u1", ""), *outside;
    char wanted[512];
    struct view body;
    session_join(other->session, VIEW("conversation:c_1"));
    session_join(own->session, VIEW("conversation:c_1"));
    outside = live(&protocol_ws, "u3", "");
    say(k, TYPING("c_1", "true"));
    ck_assert(json_check(buf_view(&stage.published), JSON_STRICT, &body, NULL));
    ck_assert(json_string_is(json_get(body, "tenantId"), "t1"));
    ck_assert(json_string_is(json_get(body, "class"), "ephemeral"));
    ck_assert_uint_eq(json_get(body, "seq").n, 0);
    snprintf(wanted, sizeof wanted, "\"rooms\":[\"conversation:c_1\"],\"except\":\"%s\"", k->session->id);
    ck_assert_ptr_nonnull(strstr(published(), wanted));
    ck_assert_ptr_nonnull(
        strstr(published(), "\"data\":{\"conversationId\":\"c_1\",\"userId\":\"u1\",\"isTyping\":true}}"));
    come_round(published());
    ck_assert_ptr_nonnull(strstr(heard(other), "\"event\":\"typing\""));
    ck_assert_ptr_nonnull(strstr(heard(own), "\"event\":\"typing\"")); /* another tab */
    ck_assert_str_eq(heard(k), "");
    ck_assert_str_eq(heard(outside), "");
    gone(other);
    gone(own);
    gone(outside);
}
END_TEST

START_TEST(what_is_said_again_goes_out_seldom)
{
    for (int i = 0; i < 50; i++)
        say(k, TYPING("c_1", "true"));
    ck_assert_uint_eq(stage.publishes, 1);
    say(k, TYPING("c_1", "false"));
    say(k, TYPING("c_1", "true"));
    say(k, TYPING("c_1", "false"));
    ck_assert_uint_eq(stage.publishes, 1);
    tick(600); /* the last word is not lost */
    ck_assert_uint_eq(stage.publishes, 2);
    ck_assert_ptr_nonnull(strstr(published(), "\"isTyping\":false"));
    tick(700);
    ck_assert_uint_eq(stage.publishes, 2);
}
END_TEST

START_TEST(it_is_said_again_in_time_while_it_goes_on)
{
    say(k, TYPING("c_1", "true"));
    run_for(3050);
    say(k, TYPING("c_1", "true"));
    say(k, TYPING("c_1", "true"));
    ck_assert_uint_eq(stage.publishes, 2);
}
END_TEST

START_TEST(a_session_types_in_a_bounded_number_of_places)
{
    char text[128];
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "conversation:d_%d", i);
        session_join(k->session, view_of(text));
        snprintf(text, sizeof text, "421[\"typing\",{\"conversationId\":\"d_%d\",\"isTyping\":true}]", i);
        say(k, text);
    }
    ck_assert_uint_eq(stage.publishes, 8);
    tick(TYPING_MS); /* then they are forgotten */
    say(k, TYPING("c_1", "true"));
    ck_assert_uint_eq(stage.publishes, 9);
}
END_TEST

START_TEST(it_needs_the_right_to_the_conversation)
{
    say(k, "421[\"typing\",{\"conversationId\":\"c_2\",\"isTyping\":true}]");
    ck_assert_uint_eq(stage.publishes, 0);
    settle(stage.asked_token, "{\"ok\":true,\"rooms\":{\"conversation:c_2\":true}}");
    ck_assert_uint_eq(stage.publishes, 1);
    say(k, "422[\"typing\",{\"conversationId\":\"c_3\",\"isTyping\":true}]");
    settle(stage.asked_token, "{\"ok\":true,\"rooms\":{\"conversation:c_3\":false}}");
    ck_assert_uint_eq(stage.publishes, 1);
    ck_assert_str_eq(heard(k), "431[{\"ok\":true}]\n"
                               "432[{\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"no such "
                               "room\"}}]\n");
}
END_TEST

START_TEST(who_goes_has_stopped)
{
    struct sink *p = live(&protocol_ws, "u2", "");
    session_join(p->session, VIEW("conversation:c_1"));
    say(p,
        "{\"type\":\"emit\",\"event\":\"typing\",\"data\":{\"conversationId\":\"c_1\",\"isTyping\":true}}");
    gone(p);
    ck_assert_uint_eq(stage.publishes, 2);
    ck_assert_ptr_nonnull(strstr(published(), "\"userId\":\"u2\",\"isTyping\":false"));
    p = live(&protocol_ws, "u2", "");
    session_join(p->session, VIEW("conversation:c_1"));
    say(p,
        "{\"type\":\"emit\",\"event\":\"typing\",\"data\":{\"conversationId\":\"c_1\",\"isTyping\":false}}");
    gone(p);
    ck_assert_uint_eq(stage.publishes, 3); /* nothing to say */
}
END_TEST

/* --- hearing --- */

#define HEARD(data)                                                                                         \
    "{\"v\":1,\"type\":\"typing\",\"tenantId\":\"t1\",\"class\":\"ephemeral\",\"rooms\":[\"conversation:c_" \
    "1\"],"                                                                                                 \
    "\"except\":\"s9\",\"data\":" data "}"
#define U9(flag) HEARD("{\"conversationId\":\"c_1\",\"userId\":\"u9\",\"isTyping\":" flag "}")
#define OVER     "42[\"typing\",{\"conversationId\":\"c_1\",\"userId\":\"u9\",\"isTyping\":false},\"e-10\"]\n"

START_TEST(what_is_not_said_again_ends_by_itself)
{
    come_round(U9("true"));
    forget_output(k);
    tick(TYPING_MS - 100);
    ck_assert_str_eq(heard(k), "");
    run_for(200);
    come_round(U9("true")); /* goes on */
    forget_output(k);
    tick(TYPING_MS - 100);
    ck_assert_str_eq(heard(k), "");
    tick(TYPING_MS);
    ck_assert_str_eq(heard(k), OVER);
    tick(2 * TYPING_MS);
    ck_assert_str_eq(heard(k), OVER);      /* once */
    ck_assert_uint_eq(stage.publishes, 0); /* each gateway knows by itself */
}
END_TEST

START_TEST(what_was_ended_does_not_end_again)
{
    come_round(U9("true"));
    come_round(U9("false"));
    forget_output(k);
    tick(TYPING_MS);
    ck_assert_str_eq(heard(k), "");
}
END_TEST

START_TEST(the_loop_ends_it_without_anything_else_happening)
{
    struct err err;
    struct record *r = record_create(VIEW(U9("true")), &err);
    typing_hear(t1()->typing, r, loop_now_ms(stage.loop) - TYPING_MS + 100); /* nearly over */
    record_destroy(r);
    run_for(2200);
    ck_assert_str_eq(heard(k), OVER);
}
END_TEST

/* Somebody else may publish what he likes under that name. */
static const char *const strange[] = {
    HEARD("null"),
    HEARD("{\"conversationId\":\"c_1\",\"userId\":\"u9\",\"isTyping\":1}"),
    HEARD("{\"conversationId\":\"c_2\",\"userId\":\"u9\",\"isTyping\":true}"), /* not its room */
    HEARD("{\"conversationId\":5,\"userId\":\"u9\",\"isTyping\":true}"),
    HEARD("{\"conversationId\":\"c_1\",\"isTyping\":true}"),
    "{\"v\":1,\"type\":\"typing\",\"tenantId\":\"t1\",\"data\":{\"conversationId\":\"c_1\",\"userId\":\"u9\","
    "\"isTyping\":true}}",
};

START_TEST(what_others_say_under_that_name_is_only_passed_on)
{
    come_round(strange[_i]);
    forget_output(k);
    tick(TYPING_MS);
    ck_assert_str_eq(heard(k), "");
}
END_TEST

Suite *suite_typing(void)
{
    Suite *s = suite_create("typing");
    TCase *t = tcase_create("typing");
    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 40);
    tcase_add_test(t, what_is_said_goes_to_the_room_but_not_to_the_socket);
    tcase_add_test(t, what_is_said_again_goes_out_seldom);
    tcase_add_test(t, it_is_said_again_in_time_while_it_goes_on);
    tcase_add_test(t, a_session_types_in_a_bounded_number_of_places);
    tcase_add_test(t, it_needs_the_right_to_the_conversation);
    tcase_add_test(t, who_goes_has_stopped);
    tcase_add_test(t, what_is_not_said_again_ends_by_itself);
    tcase_add_test(t, what_was_ended_does_not_end_again);
    tcase_add_test(t, the_loop_ends_it_without_anything_else_happening);
    tcase_add_loop_test(t, what_others_say_under_that_name_is_only_passed_on, 0, (int)countof(strange));
    suite_add_tcase(s, t);
    return s;
}
