/* Rooms that clients ask for: who gets in, since when he hears, and what is asked how often. */
#include "portal-gateway/core/news.h"
#include "portal-gateway/core/rights.h"
#include "shared/json.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

#define RECORDED "{\"ok\":true,\"reply\":{\"offset\":\"e-10\"}}"
#define YES      "{\"ok\":true,\"rooms\":{\"conversation:c_1\":true,\"conversation:c_2\":true}}"
#define NO       "{\"ok\":true,\"rooms\":{\"conversation:c_1\":false}}"

static void to_room(const char *type, const char *room)
{
    char more[256];
    snprintf(more, sizeof more, ",\"rooms\":[\"%s\"]", room);
    feed(0, 1, type, more);
}

static void emit(struct sink *k, const char *event, const char *id)
{
    char text[256];
    snprintf(text, sizeof text, "421[\"%s\",\"%s\"]", event, id);
    say(k, text);
}

static void plain(struct sink *k, const char *type, const char *room)
{
    char text[512];
    snprintf(text, sizeof text, "{\"type\":\"%s\",\"room\":\"%s\",\"id\":1}", type, room);
    say(k, text);
}

/* --- recorded --- */

START_TEST(a_recorded_join_counts_when_it_is_recorded)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    emit(k, "join_conversation", "c_1");
    to_room("before", "conversation:c_1");
    ck_assert_str_eq(heard(k), "");
    settle(stage.asked_token, RECORDED);
    to_room("in", "conversation:c_1");
    ck_assert_str_eq(heard(k), "431[{\"ok\":true,\"room\":\"conversation:c_1\"}]\n42[\"in\",0,\"e-10\"]\n");
    forget_output(k);
    emit(k, "leave_conversation", "c_1");
    to_room("out", "conversation:c_1"); /* at once, whatever is recorded when */
    settle(stage.asked_token, RECORDED);
    ck_assert_str_eq(heard(k), "431[{\"ok\":true,\"room\":\"conversation:c_1\"}]\n");
    gone(k);
}
END_TEST

START_TEST(who_leaves_before_he_is_in_does_not_get_in)
{
    struct sink *k = live(&protocol_sio, "u1", ""), *p = live(&protocol_ws, "u2", "");
    emit(k, "join_conversation", "c_1");
    uint64_t join = stage.asked_token;
    emit(k, "leave_conversation", "c_1");
    settle(join, RECORDED);
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_1")));
    settle(stage.asked_token, RECORDED);
    emit(k, "join_conversation", "c_1");
    settle(stage.asked_token, RECORDED);
    ck_assert(session_is_in(k->session, VIEW("conversation:c_1")));

    plain(p, "join", "conversation:c_1");
    plain(p, "leave", "conversation:c_1");
    settle(stage.asked_token, YES);
    ck_assert(!session_is_in(p->session, VIEW("conversation:c_1")));
    gone(k);
    gone(p);
}
END_TEST

static void recorded(struct sink *k, uint64_t seq, bool in)
{
    static const char *const room[] = {",\"room\":\"conversation:c_1\",\"in\":false",
                                       ",\"room\":\"conversation:c_1\",\"in\":true"};
    hear_of_session(k->session->id, seq, room[in]);
}

/* What is recorded counts, not what the stream has passed by then. */
START_TEST(who_joins_leaves_and_joins_is_in)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    emit(k, "join_conversation", "c_1");
    settle(stage.asked_token, "{\"ok\":true,\"reply\":{\"offset\":\"e-11\"}}");
    ck_assert(session_is_in(k->session, VIEW("conversation:c_1")));
    emit(k, "leave_conversation", "c_1");
    settle(stage.asked_token, "{\"ok\":true,\"reply\":{\"offset\":\"e-12\"}}");
    recorded(k, 11, true); /* he is in, for a moment */
    emit(k, "join_conversation", "c_1");
    ck_assert_uint_eq(stage.asks, 3);
    recorded(k, 12, false);
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_1")));
    settle(stage.asked_token, "{\"ok\":true,\"reply\":{\"offset\":\"e-13\"}}");
    recorded(k, 13, true);
    ck_assert(session_is_in(k->session, VIEW("conversation:c_1")));
    gone(k);
}
END_TEST

START_TEST(without_recovery_nothing_is_recorded)
{
    stage.policy.recovery = false;
    struct sink *k = live(&protocol_sio, "u1", "");
    emit(k, "join_conversation", "c_1");
    ck_assert_ptr_nonnull(strstr(asked(), "\"op\":\"rights\""));
    settle(stage.asked_token, YES);
    ck_assert(session_is_in(k->session, VIEW("conversation:c_1")));
    emit(k, "leave_conversation", "c_1");
    ck_assert_uint_eq(stage.asks, 1);
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_1")));
    ck_assert_str_eq(heard(k), "431[{\"ok\":true,\"room\":\"conversation:c_1\"}]\n"
                               "431[{\"ok\":true,\"room\":\"conversation:c_1\"}]\n");
    gone(k);
}
END_TEST

static void join_many(struct sink *k, int count)
{
    char room[64];
    for (int i = 0; i < count; i++) {
        snprintf(room, sizeof room, "conversation:c_%d", i);
        session_join(k->session, view_of(room));
    }
}

/* The stream passed the record before the answer came: that is one room, not two. */
START_TEST(a_room_that_the_stream_was_quicker_with_counts_once)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    join_many(k, 98);
    emit(k, "join_conversation", "c_1x");
    session_join(k->session, VIEW("conversation:c_1x"));
    forget_output(k);
    emit(k, "join_conversation", "c_2x");
    ck_assert_str_eq(heard(k), "");
    ck_assert_ptr_nonnull(strstr(asked(), "conversation:c_2x"));
    gone(k);
}
END_TEST

START_TEST(a_client_asks_for_a_bounded_number_of_rooms)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    join_many(k, 99);
    emit(k, "join_conversation", "c_a");
    uint64_t last = stage.asked_token;
    emit(k, "join_conversation", "c_b");
    ck_assert_str_eq(heard(k),
                     "431[{\"ok\":false,\"error\":{\"code\":\"LIMITED\",\"message\":\"too many rooms: leave "
                     "some\"}}]\n");
    settle(last, RECORDED);
    forget_output(k);
    emit(k, "join_conversation", "c_a"); /* is in */
    settle(stage.asked_token, RECORDED);
    ck_assert_str_eq(heard(k), "431[{\"ok\":true,\"room\":\"conversation:c_a\"}]\n");
    emit(k, "leave_conversation", "c_7");
    emit(k, "join_conversation", "c_b");
    ck_assert_ptr_nonnull(strstr(asked(), "conversation:c_b\",\"in\":true"));
    gone(k);
}
END_TEST

/* --- by right --- */

/* The state-manager was away, the clients have gone, and what else was wanted is asked of nobody. */
START_TEST(at_the_end_nothing_more_is_asked)
{
    struct sink *p = live(&protocol_ws, "u1", "");
    plain(p, "join", "conversation:c_1");
    plain(p, "join", "conversation:c_2");
    ck_assert_uint_eq(stage.asks, 1);
    gone(p);
    hub_destroy(stage.hub);
    stage.hub = NULL;
    ck_assert_uint_eq(stage.asks, 1);
}
END_TEST

#define DENIED  "\"code\":\"DENIED\",\"message\":\"the token does not give this room\""
#define MISSING "\"code\":\"NOT_FOUND\",\"message\":\"no such room\""

static const struct {
    const char *type, *room, *answer;
    bool asks;
} room_rows[] = {
    {"join", "user:u1", "\"type\":\"ack\",\"id\":1,\"data\":{\"ok\":true,\"room\":\"user:u1\"}", false},
    {"join", "role:agent", "\"type\":\"ack\"", false},
    {"join", "team:red", "\"type\":\"ack\"", false},
    {"join", "vip", "\"type\":\"ack\"", false},
    {"join", "conversation:given", "\"type\":\"ack\"", false},
    {"join", "user:u2", DENIED, false},
    {"join", "role:admin", DENIED, false},
    {"join", "team:blue", DENIED, false},
    {"join", "vip2", DENIED, false},
    {"join", "tenant:t2", DENIED, false},
    {"join", "conversation:", DENIED, false},
    {"join", "conversation:a b", DENIED, false},
    {"join", "conversation:a\\\"b", DENIED, false},
    {"join", "Conversation:c_1", DENIED, false},
    {"join", "", "\"code\":\"INVALID\"", false},
    {"join", "conversation:c_1", MISSING, true},
    {"leave", "role:agent", "\"code\":\"DENIED\",\"message\":\"the token gives this room\"", false},
    {"leave", "conversation:given", "\"code\":\"DENIED\",\"message\":\"the token gives this room\"", false},
    {"leave", "nowhere", "\"type\":\"ack\"", false},
    {"leave", "", "\"code\":\"INVALID\"", false},
};

START_TEST(a_room_is_given_by_the_token_or_by_data)
{
    struct sink *k =
        live(&protocol_ws, "u1", ",\"rooms\":[\"vip\",\"conversation:given\"],\"teams\":[\"red\"]");
    size_t before = k->session->member.count;
    plain(k, room_rows[_i].type, room_rows[_i].room);
    ck_assert_uint_eq(stage.asks, room_rows[_i].asks);
    if (room_rows[_i].asks)
        settle(stage.asked_token, NO);
    ck_assert_msg(strstr(heard(k), room_rows[_i].answer), "%s", heard(k));
    ck_assert_uint_eq(k->session->member.count, before);
    ck_assert_uint_eq(t1()->rooms.by_name.count, before); /* nothing is left behind by a name */
    gone(k);
}
END_TEST

START_TEST(a_room_left_is_heard_no_more)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    plain(k, "join", "conversation:c_1");
    ck_assert_str_eq(asked(),
                     "{\"v\":1,\"op\":\"rights\",\"tenantId\":\"t1\",\"rooms\":[\"conversation:c_1\"]}");
    settle(stage.asked_token, YES);
    to_room("in", "conversation:c_1");
    plain(k, "leave", "conversation:c_1");
    to_room("out", "conversation:c_1");
    ck_assert_ptr_nonnull(strstr(heard(k), "\"event\":\"in\""));
    ck_assert_ptr_null(strstr(heard(k), "\"event\":\"out\""));
    gone(k);
}
END_TEST

START_TEST(a_stranger_joins_nothing)
{
    static const char *const said[] = {"{\"type\":\"join\",\"room\":\"vip\",\"id\":1}",
                                       "{\"type\":\"leave\",\"room\":\"vip\",\"id\":1}",
                                       "{\"type\":\"emit\",\"event\":\"mark_read\",\"data\":\"c\",\"id\":1}",
                                       "{\"type\":\"refresh\",\"token\":\"a.b.c\",\"id\":1}"};
    struct sink *k = opened(&protocol_ws), *held = opened(&protocol_ws);
    sign_in(held, "u1", "");
    for (size_t i = 0; i < 4; i++) {
        forget_output(k);
        forget_output(held);
        say(k, said[i]);
        say(held, said[i]);
        ck_assert_str_eq(heard(k),
                         "{\"type\":\"error\",\"id\":1,\"code\":\"UNAUTHENTICATED\",\"message\":\"sign in "
                         "first\"}\n");
        ck_assert_str_eq(
            heard(held),
            "{\"type\":\"error\",\"id\":1,\"code\":\"UNAVAILABLE\",\"message\":\"not ready yet\"}\n");
    }
    ck_assert_uint_eq(stage.asks, 0);
    gone(k);
    gone(held);
}
END_TEST

/* --- what is known of rights --- */

START_TEST(an_answer_is_believed_for_a_while)
{
    struct sink *a = live(&protocol_ws, "u1", ""), *b = live(&protocol_ws, "u2", "");
    plain(a, "join", "conversation:c_1");
    plain(b, "join", "conversation:c_1"); /* waits for the same */
    plain(b, "join", "conversation:c_2"); /* goes with the next */
    plain(b, "join", "conversation:c_3");
    ck_assert_uint_eq(stage.asks, 1);
    settle(stage.asked_token, YES);
    ck_assert(session_is_in(a->session, VIEW("conversation:c_1")));
    ck_assert(session_is_in(b->session, VIEW("conversation:c_1")));
    ck_assert_uint_eq(stage.asks, 2);
    ck_assert_ptr_nonnull(strstr(asked(), "[\"conversation:c_2\",\"conversation:c_3\"]"));
    settle(stage.asked_token, YES); /* nothing of c_3: no */
    ck_assert(session_is_in(b->session, VIEW("conversation:c_2")));
    ck_assert(!session_is_in(b->session, VIEW("conversation:c_3")));
    forget_output(a);
    plain(a, "join", "conversation:c_2");
    plain(a, "join", "conversation:c_3");
    ck_assert_uint_eq(stage.asks, 2);
    ck_assert_ptr_nonnull(strstr(heard(a), "\"type\":\"ack\""));
    ck_assert_ptr_nonnull(strstr(heard(a), MISSING));
    run_for(RIGHTS_NO_MS + 50); /* a no is soon forgotten */
    plain(a, "join", "conversation:c_3");
    ck_assert_uint_eq(stage.asks, 3);
    plain(a, "leave", "conversation:c_2");
    plain(a, "join", "conversation:c_2"); /* a yes not */
    ck_assert(session_is_in(a->session, VIEW("conversation:c_2")));
    gone(a);
    gone(b);
}
END_TEST

START_TEST(when_nobody_answers_all_are_told_and_nothing_is_believed)
{
    struct sink *a = live(&protocol_ws, "u1", ""), *b = live(&protocol_ws, "u2", "");
    plain(a, "join", "conversation:c_1");
    plain(b, "join", "conversation:c_1");
    settle(stage.asked_token, "");
    ck_assert_ptr_nonnull(strstr(heard(a), "\"code\":\"UNAVAILABLE\""));
    ck_assert_ptr_nonnull(strstr(heard(b), "\"code\":\"UNAVAILABLE\""));
    plain(a, "join", "conversation:c_1");
    ck_assert_uint_eq(stage.asks, 2);
    gone(a);
    gone(b);
}
END_TEST

/* Counts what it is told, and asks on. */
struct waiter {
    struct rights_wait wait;
    size_t yes, no;
    struct view next; /* what to ask for then; empty: nothing */
};

static void on_told(struct rights_wait *w, const struct answer *a)
{
    struct waiter *waiter = container_of(w, struct waiter, wait);
    struct view next = waiter->next;
    waiter->yes += a->ok;
    waiter->no += !a->ok;
    waiter->next.n = 0;
    if (next.n)
        rights_ask(t1()->rights, w, next, 0);
}

START_TEST(what_is_used_all_the_time_is_asked_for_again_before_it_is_forgotten)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    struct waiter w = {.next = {NULL, 0}};
    struct view room = VIEW("conversation:c_1");
    int64_t now = loop_now_ms(stage.loop), late = now + RIGHTS_YES_MS - RIGHTS_RENEW_MS / 2;
    rights_wait_init(&w.wait, on_told);
    rights_ask(t1()->rights, &w.wait, room, now);
    settle(stage.asked_token, YES);
    rights_ask(t1()->rights, &w.wait, room, now + RIGHTS_YES_MS - RIGHTS_RENEW_MS - 1000);
    ck_assert_uint_eq(stage.asks, 1); /* it is still fresh */
    rights_ask(t1()->rights, &w.wait, room, late);
    rights_ask(t1()->rights, &w.wait, room, late); /* one question is enough */
    ck_assert_uint_eq(w.yes, 4);
    ck_assert_uint_eq(stage.asks, 2);
    settle(stage.asked_token, ""); /* nobody knows: as before, and asked again */
    rights_ask(t1()->rights, &w.wait, room, late);
    ck_assert_uint_eq(w.yes, 5);
    ck_assert_uint_eq(stage.asks, 3);
    rights_ask(t1()->rights, &w.wait, room, now + RIGHTS_YES_MS + 1000); /* nobody has said anything since */
    ck_assert_uint_eq(w.yes, 5);
    ck_assert_uint_eq(stage.asks, 3); /* waits for the one that is on its way */
    settle(stage.asked_token, NO);
    ck_assert_uint_eq(w.no, 1);
    rights_ask(t1()->rights, &w.wait, room, loop_now_ms(stage.loop));
    ck_assert_uint_eq(w.no, 2); /* it is gone: what was said last counts */
    ck_assert_uint_eq(stage.asks, 3);
    gone(k);
}
END_TEST

START_TEST(who_is_told_may_ask_on_at_once)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    struct waiter one = {.next = VIEW("conversation:c_1")}, two = {.next = {NULL, 0}};
    rights_wait_init(&one.wait, on_told);
    rights_wait_init(&two.wait, on_told);
    rights_ask(t1()->rights, &one.wait, VIEW("conversation:c_1"), 0);
    rights_ask(t1()->rights, &two.wait, VIEW("conversation:c_1"), 0);
    settle(stage.asked_token, ""); /* the first wants it again, the second is told */
    ck_assert_uint_eq(one.no, 1);
    ck_assert_uint_eq(two.no, 1);
    ck_assert_uint_eq(stage.asks, 2);
    rights_cancel(&one.wait);
    settle(stage.asked_token, YES);
    ck_assert_uint_eq(one.yes, 0);
    gone(k);
}
END_TEST

START_TEST(what_is_believed_is_bounded)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    struct waiter w = {.yes = 0};
    char room[64], answer[128];
    rights_wait_init(&w.wait, on_told);
    for (size_t i = 0; i < RIGHTS_KEPT_MAX + 5; i++) {
        snprintf(room, sizeof room, "conversation:c_%zu", i);
        snprintf(answer, sizeof answer, "{\"ok\":true,\"rooms\":{\"%s\":true}}", room);
        rights_ask(t1()->rights, &w.wait, view_of(room), 0);
        settle(stage.asked_token, answer);
    }
    ck_assert_uint_eq(w.yes, RIGHTS_KEPT_MAX + 5);
    size_t asks = stage.asks;
    rights_ask(t1()->rights, &w.wait, VIEW("conversation:c_5"), 0); /* the oldest that is left */
    ck_assert_uint_eq(stage.asks, asks);
    rights_ask(t1()->rights, &w.wait, VIEW("conversation:c_4"), 0); /* made place */
    ck_assert_uint_eq(stage.asks, asks + 1);
    rights_cancel(&w.wait);
    gone(k);
}
END_TEST

START_TEST(a_question_has_at_most_a_hundred_rooms)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    struct waiter w[RIGHTS_PER_REQUEST + 2];
    char room[64];
    struct view value, one;
    size_t count = 0;
    for (size_t i = 0; i < countof(w); i++) {
        w[i] = (struct waiter){.yes = 0};
        rights_wait_init(&w[i].wait, on_told);
        snprintf(room, sizeof room, "conversation:c_%zu", i);
        rights_ask(t1()->rights, &w[i].wait, view_of(room), 0);
    }
    settle(stage.asked_token, "{\"ok\":true,\"rooms\":{\"conversation:c_0\":true}}");
    ck_assert(json_check(buf_view(&stage.asked), JSON_STRICT, &value, NULL));
    for (struct json_iter it = json_iter(json_get(value, "rooms")); json_next_element(&it, &one);)
        count++;
    ck_assert_uint_eq(count, RIGHTS_PER_REQUEST);
    settle(stage.asked_token, "{\"ok\":true,\"rooms\":{}}");
    ck_assert_uint_eq(stage.asks, 3);
    for (size_t i = 0; i < countof(w); i++)
        rights_cancel(&w[i].wait);
    gone(k);
}
END_TEST

Suite *suite_client_rooms(void)
{
    Suite *s = suite_create("client_rooms");
    TCase *t = tcase_create("client_rooms");
    tcase_add_checked_fixture(t, stage_set_up, stage_tear_down);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, a_recorded_join_counts_when_it_is_recorded);
    tcase_add_test(t, who_leaves_before_he_is_in_does_not_get_in);
    tcase_add_test(t, who_joins_leaves_and_joins_is_in);
    tcase_add_test(t, without_recovery_nothing_is_recorded);
    tcase_add_test(t, a_room_that_the_stream_was_quicker_with_counts_once);
    tcase_add_test(t, a_client_asks_for_a_bounded_number_of_rooms);
    tcase_add_loop_test(t, a_room_is_given_by_the_token_or_by_data, 0, (int)countof(room_rows));
    tcase_add_test(t, a_room_left_is_heard_no_more);
    tcase_add_test(t, a_stranger_joins_nothing);
    tcase_add_test(t, an_answer_is_believed_for_a_while);
    tcase_add_test(t, when_nobody_answers_all_are_told_and_nothing_is_believed);
    tcase_add_test(t, what_is_used_all_the_time_is_asked_for_again_before_it_is_forgotten);
    tcase_add_test(t, who_is_told_may_ask_on_at_once);
    tcase_add_test(t, what_is_believed_is_bounded);
    tcase_add_test(t, a_question_has_at_most_a_hundred_rooms);
    tcase_add_test(t, at_the_end_nothing_more_is_asked);
    suite_add_tcase(s, t);
    return s;
}
