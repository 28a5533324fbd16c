/* What clients say: what is asked of the state-manager for them, what they are answered, and what is refused.
 */
#include "portal-gateway/core/call.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUED "{\"ok\":true,\"reply\":{\"id\":\"m_1\",\"conversationId\":\"c_1\",\"status\":\"queued\"}}"
#define AWAY   "{\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"no such conversation\"}}"

static struct sink *k;

static void begin(void)
{
    stage_set_up();
    k = live(&protocol_sio, "u1", "");
}

static void end(void)
{
    gone(k);
    stage_tear_down();
}

/* --- commands --- */

static const struct {
    const char *said, *asked;
} command_rows[] = {
    {"[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"h\\u0069\",\"clientMessageId\":\"k-1\"}]",
     "\"command\":\"send_message\",\"conversationId\":\"c_1\",\"key\":\"k-1\",\"body\":{\"text\":"
     "\"h\\u0069\"}}"},
    {"[\"send_message\",{\"text\":\"hi\",\"conversationId\":\"c_1\"}]",
     "\"command\":\"send_message\",\"conversationId\":\"c_1\",\"body\":{\"text\":\"hi\"}}"},
    {"[\"send_message\",{\"conversationId\":\"c_1\",\"type\":\"image\",\"image\":{\"link\":\"l\",\"a\":[1,2]}"
     ","
     "\"replyTo\":null,\"clientMessageId\":null}]",
     "\"command\":\"send_message\",\"conversationId\":\"c_1\",\"body\":{\"type\":\"image\",\"image\":"
     "{\"link\":\"l\",\"a\":[1,2]},\"replyTo\":null}}"},
    {"[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"hi\"},\"more\",{}]",
     "\"command\":\"send_message\",\"conversationId\":\"c_1\",\"body\":{\"text\":\"hi\"}}"},
    {"[\"mark_read\",{\"conversationId\":\"c_1\"}]",
     "\"command\":\"mark_read\",\"conversationId\":\"c_1\",\"body\":{}}"},
    {"[\"mark_read\",\"c_1\"]", "\"command\":\"mark_read\",\"conversationId\":\"c_1\",\"body\":{}}"},
    {"[\"m\\u0061rk_read\",\"c_1\"]", "\"command\":\"mark_read\",\"conversationId\":\"c_1\",\"body\":{}}"},
    {"[\"join_conversation\",\"c_1\"]",
     "\"command\":\"session\",\"body\":{\"pid\":\"PID\",\"generation\":0,\"room\":"
     "\"conversation:c_1\",\"in\":true,\"granted\":true}}"},
    {"[\"leave_conversation\",{\"conversationId\":\"c_1\"}]",
     "\"command\":\"session\",\"body\":{\"pid\":\"PID\",\"generation\":0,\"room\":\"conversation:c_1\","
     "\"in\":false}}"},
};

START_TEST(a_command_is_asked_for_in_the_name_of_its_user)
{
    struct buf said, wanted;
    char with_pid[512], *mark;
    buf_init(&said, 1024);
    buf_init(&wanted, 1024);
    buf_addf(&said, "427%s", command_rows[_i].said);
    snprintf(with_pid, sizeof with_pid, "%s", command_rows[_i].asked);
    if ((mark = strstr(with_pid, "PID")))
        snprintf(mark, sizeof with_pid - (size_t)(mark - with_pid), "%s%s", k->session->id,
                 strstr(command_rows[_i].asked, "PID") + 3);
    buf_addf(&wanted, "{\"v\":1,\"op\":\"command\",\"tenantId\":\"t1\",\"author\":\"u1\",%s", with_pid);
    say(k, said.data);
    ck_assert_str_eq(asked(), wanted.data);
    ck_assert_str_eq(heard(k), ""); /* until it is durable */
    buf_free(&said);
    buf_free(&wanted);
}
END_TEST

static const struct {
    const char *said, *answer, *heard;
} answer_rows[] = {
    {"[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"hi\",\"clientMessageId\":\"k-1\"}]", QUEUED,
     "{\"ok\":true,\"id\":\"m_1\",\"conversationId\":\"c_1\",\"status\":\"queued\",\"clientMessageId\":\"k-"
     "1\"}"},
    {"[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"hi\"}]", QUEUED,
     "{\"ok\":true,\"id\":\"m_1\",\"conversationId\":\"c_1\",\"status\":\"queued\"}"},
    {"[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"hi\"}]", AWAY,
     "{\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"no such conversation\"}}"},
    {"[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"hi\"}]", "",
     "{\"ok\":false,\"error\":{\"code\":\"UNAVAILABLE\",\"message\":\"no answer in time: try again\"}}"},
    {"[\"mark_read\",\"c_1\"]", "{\"ok\":true,\"reply\":{\"id\":\"c_1\",\"unread\":0}}",
     "{\"ok\":true,\"conversationId\":\"c_1\"}"},
    {"[\"mark_read\",\"c_1\"]", AWAY,
     "{\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"no such conversation\"}}"},
    {"[\"join_conversation\",\"c_1\"]", "{\"ok\":true,\"reply\":{\"offset\":\"e-10\"}}",
     "{\"ok\":true,\"room\":\"conversation:c_1\"}"},
    {"[\"join_conversation\",\"c_1\"]", "{\"ok\":true,\"reply\":{}}",
     "{\"ok\":false,\"error\":{\"code\":\"INTERNAL\",\"message\":\"a record without its place\"}}"},
    {"[\"join_conversation\",\"c_1\"]", AWAY,
     "{\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"no such conversation\"}}"},
    {"[\"leave_conversation\",\"c_1\"]", "{\"ok\":true,\"reply\":{\"offset\":null}}",
     "{\"ok\":true,\"room\":\"conversation:c_1\"}"},
    {"[\"leave_conversation\",\"c_1\"]", "",
     "{\"ok\":false,\"error\":{\"code\":\"UNAVAILABLE\",\"message\":\"no answer in time: try again\"}}"},
};

START_TEST(an_answer_becomes_the_acknowledgement)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_addf(&b, "4212%s", answer_rows[_i].said);
    say(k, b.data);
    settle(stage.asked_token, answer_rows[_i].answer);
    buf_clear(&b);
    buf_addf(&b, "4312[%s]\n", answer_rows[_i].heard);
    ck_assert_str_eq(heard(k), b.data);
    settle(stage.asked_token, answer_rows[_i].answer); /* each once */
    ck_assert_str_eq(heard(k), b.data);
    buf_free(&b);
    ck_assert(list_empty(&k->session->calls));
}
END_TEST

START_TEST(without_an_ack_function_nothing_is_answered)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_addf(&b, "42%s", answer_rows[_i].said);
    say(k, b.data);
    settle(stage.asked_token, answer_rows[_i].answer);
    say(k, "42[\"mark_read\",17]");
    ck_assert_str_eq(heard(k), "");
    buf_free(&b);
}
END_TEST

START_TEST(the_same_on_a_plain_websocket)
{
    struct sink *p = live(&protocol_ws, "u2", "");
    say(p, "{\"type\":\"emit\",\"event\":\"send_message\",\"id\":\"a\\u0041\","
           "\"data\":{\"conversationId\":\"c_1\",\"text\":\"hi\"}}");
    ck_assert_ptr_nonnull(strstr(asked(), "\"author\":\"u2\",\"command\":\"send_message\""));
    uint64_t first = stage.asked_token;
    char said[] = "{\"type\":\"emit\",\"event\":\"mark_read\",\"id\":7,\"data\":\"c_1\"}";
    say(p, said);
    memset(said, 0, sizeof said);    /* the id is kept */
    settle(stage.asked_token, AWAY); /* as answers arrive */
    settle(first, QUEUED);
    ck_assert_str_eq(
        heard(p),
        "{\"type\":\"error\",\"id\":7,\"code\":\"NOT_FOUND\",\"message\":\"no such conversation\"}\n"
        "{\"type\":\"ack\",\"id\":\"a\\u0041\",\"data\":{\"ok\":true,\"id\":\"m_1\","
        "\"conversationId\":\"c_1\",\"status\":\"queued\"}}\n");
    forget_output(p);
    say(p, "{\"type\":\"emit\",\"event\":\"mark_read\",\"data\":\"c_1\"}");
    settle(stage.asked_token, AWAY);
    say(p, "{\"type\":\"emit\",\"event\":\"mark_read\",\"data\":5}");
    ck_assert_str_eq(heard(p), "");
    gone(p);
}
END_TEST

/* --- refusals --- */

#define BAD_ID  "INVALID\",\"message\":\"conversationId must be 1 to 64 letters, digits, _ or -"
#define BAD_KEY "INVALID\",\"message\":\"clientMessageId must be 1 to 100 visible ASCII characters"
#define LONG_65 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *said, *refusal;
} refused_rows[] = {
    {"[\"send_message\"]", "INVALID\",\"message\":\"an object with conversationId and text is wanted"},
    {"[\"send_message\",\"c_1\"]",
     "INVALID\",\"message\":\"an object with conversationId and text is wanted"},
    {"[\"send_message\",null]", "INVALID\",\"message\":\"an object with conversationId and text is wanted"},
    {"[\"send_message\",{\"text\":\"x\"}]", BAD_ID},
    {"[\"send_message\",{\"conversationId\":7,\"text\":\"x\"}]", BAD_ID},
    {"[\"send_message\",{\"conversationId\":\"\",\"text\":\"x\"}]", BAD_ID},
    {"[\"send_message\",{\"conversationId\":\"c 1\",\"text\":\"x\"}]", BAD_ID},
    {"[\"send_message\",{\"conversationId\":\"../c\",\"text\":\"x\"}]", BAD_ID},
    {"[\"send_message\",{\"conversationId\":\"" LONG_65 "\",\"text\":\"x\"}]", BAD_ID},
    {"[\"send_message\",{\"conversationId\":\"c\",\"text\":\"x\",\"clientMessageId\":7}]", BAD_KEY},
    {"[\"send_message\",{\"conversationId\":\"c\",\"text\":\"x\",\"clientMessageId\":\"\"}]", BAD_KEY},
    {"[\"send_message\",{\"conversationId\":\"c\",\"text\":\"x\",\"clientMessageId\":\"a b\"}]", BAD_KEY},
    {"[\"send_message\",{\"conversationId\":\"c\",\"text\":\"x\",\"clientMessageId\":\"\\u00e4\"}]", BAD_KEY},
    {"[\"send_message\",{\"conversationId\":\"c\",\"text\":\"x\",\"clientMessageId\":\"" LONG_65 LONG_65
     "\"}]",
     BAD_KEY},
    {"[\"mark_read\"]", BAD_ID},
    {"[\"mark_read\",{}]", BAD_ID},
    {"[\"mark_read\",[\"c_1\"]]", BAD_ID},
    {"[\"join_conversation\"]", BAD_ID},
    {"[\"join_conversation\",\"a:b\"]", BAD_ID},
    {"[\"join_conversation\",\"\\u0000\"]", BAD_ID},
    {"[\"leave_conversation\",{\"conversationId\":null}]", BAD_ID},
    {"[\"typing\",{\"isTyping\":true}]",
     "INVALID\",\"message\":\"conversationId, or what the profile names, must be the id of one"},
    {"[\"typing\",{\"conversationId\":\"c\",\"isTyping\":\"yes\"}]",
     "INVALID\",\"message\":\"isTyping must be true or false"},
    {"[\"typing\",\"c\"]", "INVALID\",\"message\":\"isTyping must be true or false"},
    {"[\"set_presence\"]", "INVALID\",\"message\":\"status must be online, away or busy"},
    {"[\"set_presence\",{\"status\":\"dancing\"}]",
     "INVALID\",\"message\":\"status must be online, away or busy"},
    {"[\"set_presence\",{\"status\":\"offline\"}]",
     "INVALID\",\"message\":\"status must be online, away or busy"},
    {"[\"refresh_token\"]", "INVALID\",\"message\":\"token must be a string of at most 8192 bytes"},
    {"[\"refresh_token\",\"abc\"]", "INVALID\",\"message\":\"token must be a string of at most 8192 bytes"},
    {"[\"refresh_token\",{\"token\":\"a.b.c\"}]", "TOKEN_INVALID\",\"message\":\"the token is not valid"},
    {"[\"refresh_token\",{\"token\":\"\"}]", "TOKEN_MISSING\",\"message\":\"a token is required"},
};

START_TEST(what_breaks_a_rule_is_refused_at_once)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_addf(&b, "420%s", refused_rows[_i].said);
    say(k, b.data);
    buf_clear(&b);
    buf_addf(&b, "430[{\"ok\":false,\"error\":{\"code\":\"%s\"}}]\n", refused_rows[_i].refusal);
    ck_assert_str_eq(heard(k), b.data);
    ck_assert_uint_eq(stage.asks, 0);
    buf_free(&b);
}
END_TEST

START_TEST(binary_values_are_refused)
{
    say(k, "451-3[\"send_message\",{\"_placeholder\":true,\"num\":0}]");
    say(k, "bAQID");
    ck_assert_str_eq(
        heard(k),
        "433[{\"ok\":false,\"error\":{\"code\":\"INVALID\",\"message\":\"binary values are not taken\"}}]\n");
    forget_output(k);
    say(k, "451-4[\"dance\",{\"_placeholder\":true,\"num\":0}]");
    say(k, "bAQID");
    ck_assert_str_eq(heard(k), "");
}
END_TEST

START_TEST(what_nobody_knows_is_not_acknowledged)
{
    struct sink *p = live(&protocol_ws, "u2", "");
    say(k, "421[\"dance\",{}]");
    say(k, "421[17,{}]");
    ck_assert_str_eq(heard(k), "");
    say(p, "{\"type\":\"emit\",\"event\":\"dance\",\"id\":1}");
    ck_assert_str_eq(heard(p),
                     "{\"type\":\"error\",\"id\":1,\"code\":\"UNKNOWN_EVENT\",\"message\":\"nothing "
                     "here knows this event\"}\n");
    gone(p);
}
END_TEST

START_TEST(a_message_over_its_size_is_refused_here)
{
    size_t n = (256 << 10) - 60;
    struct buf b;
    char *text = xcalloc(n + 100, 1);
    memset(text, 'x', n + 99);
    buf_init(&b, 1 << 20);
    buf_addf(&b, "420[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"%s\"}]", text);
    say(k, b.data);
    ck_assert_str_eq(heard(k),
                     "430[{\"ok\":false,\"error\":{\"code\":\"TOO_LARGE\",\"message\":\"a message has at "
                     "most 256 KB\"}}]\n");
    ck_assert_uint_eq(stage.asks, 0);
    text[n] = 0;
    buf_clear(&b);
    buf_addf(&b, "420[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"%s\"}]", text);
    for (size_t i = 0; i < 5; i++)
        say(k, b.data);
    ck_assert_uint_eq(stage.asks, 3); /* the others would be more than a session may have on its way */
    ck_assert_ptr_nonnull(strstr(asked(), "\"body\":{\"text\":\"xxxx"));
    buf_free(&b);
    free(text);
}
END_TEST

START_TEST(so_many_wait_for_their_answer_and_no_more)
{
    uint64_t first = 0;
    for (size_t i = 0; i < CALLS_MAX; i++) {
        say(k, "42[\"mark_read\",\"c_1\"]");
        first = first ? first : stage.asked_token;
    }
    ck_assert_uint_eq(stage.asks, CALLS_MAX);
    say(k, "429[\"mark_read\",\"c_1\"]");
    ck_assert_str_eq(heard(k),
                     "439[{\"ok\":false,\"error\":{\"code\":\"LIMITED\",\"message\":\"too much is waiting "
                     "for its answer\"}}]\n");
    ck_assert_uint_eq(stage.asks, CALLS_MAX);
    settle(first, QUEUED);
    say(k, "429[\"mark_read\",\"c_1\"]");
    ck_assert_uint_eq(stage.asks, CALLS_MAX + 1);
}
END_TEST

/* --- whoever goes --- */

START_TEST(who_has_gone_waits_for_nothing)
{
    struct sink *p = live(&protocol_sio, "u2", "");
    say(p, "421[\"mark_read\",\"c_1\"]");
    say(p, "422[\"typing\",{\"conversationId\":\"c_9\",\"isTyping\":true}]");
    uint64_t token = stage.asked_token;
    gone(p);
    ck_assert_uint_eq(stage.hub->asks.by_token.count, 1); /* of the tenant's rights */
    settle(token, "{\"ok\":true,\"rooms\":{\"conversation:c_9\":true}}");
    ck_assert_uint_eq(stage.publishes, 0);
}
END_TEST

START_TEST(who_leaves_the_namespace_waits_for_nothing)
{
    say(k, "421[\"mark_read\",\"c_1\"]");
    uint64_t token = stage.asked_token;
    say(k, "41");
    ck_assert_uint_eq(stage.hub->asks.by_token.count, 1); /* to record its end */
    ck_assert_ptr_nonnull(strstr(buf_view(&stage.asked).p, "\"ended\":true"));
    settle(token, QUEUED);
    ck_assert_str_eq(heard(k), "");
}
END_TEST

START_TEST(who_is_being_closed_is_told_nothing_more)
{
    say(k, "421[\"mark_read\",\"c_1\"]");
    session_close(k->session, CLOSE_DRAIN);
    settle(stage.asked_token, QUEUED);
    ck_assert_str_eq(heard(k), "");
}
END_TEST

Suite *suite_client_event(void)
{
    Suite *s = suite_create("client_event");
    TCase *t = tcase_create("client_event");
    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, a_command_is_asked_for_in_the_name_of_its_user, 0, (int)countof(command_rows));
    tcase_add_loop_test(t, an_answer_becomes_the_acknowledgement, 0, (int)countof(answer_rows));
    tcase_add_loop_test(t, without_an_ack_function_nothing_is_answered, 0, (int)countof(answer_rows));
    tcase_add_test(t, the_same_on_a_plain_websocket);
    tcase_add_loop_test(t, what_breaks_a_rule_is_refused_at_once, 0, (int)countof(refused_rows));
    tcase_add_test(t, binary_values_are_refused);
    tcase_add_test(t, what_nobody_knows_is_not_acknowledged);
    tcase_add_test(t, a_message_over_its_size_is_refused_here);
    tcase_add_test(t, so_many_wait_for_their_answer_and_no_more);
    tcase_add_test(t, who_has_gone_waits_for_nothing);
    tcase_add_test(t, who_leaves_the_namespace_waits_for_nothing);
    tcase_add_test(t, who_is_being_closed_is_told_nothing_more);
    suite_add_tcase(s, t);
    return s;
}
