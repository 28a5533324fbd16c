/* Newest values: who is told which of them when he comes or comes back, and what a question about heads, an
 * answer and silence mean for him. */
#include "portal-gateway/core/news.h"
#include "shared/clock.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(latest_values_follow_the_hello)
{
    struct sink *first = live(&protocol_sio, "u1", "");
    feed(0, 1, "figures", ",\"class\":\"latest\",\"key\":\"k\",\"rev\":4");
    feed(0, 1, "secret", ",\"class\":\"latest\",\"key\":\"k\",\"rev\":4,\"rooms\":[\"user:u2\"]");
    struct sink *k = opened(&protocol_ws);
    forget_output(k);
    sign_in(k, "u3", "");
    ck_assert_int_eq(strncmp(heard(k), "{\"type\":\"ready\",", 16), 0);
    ck_assert_ptr_nonnull(
        strstr(heard(k), "\n{\"type\":\"event\",\"event\":\"figures\",\"data\":0,\"offset\":\"e-10\"}\n"));
    ck_assert_ptr_null(strstr(heard(k), "secret"));
    gone(k);
    k = opened(&protocol_ws);
    sign_in(k, "u2", "");
    ck_assert_ptr_nonnull(strstr(heard(k), "\"secret\""));
    gone(k);
    gone(first);
}
END_TEST

#define FIGURES ",\"class\":\"latest\",\"key\":\"k\",\"rev\":"

static void lose_and_replay(uint64_t seq, size_t count)
{
    struct stream *s = &t1()->stream;
    feed(seq + count, 1, "behind", "");
    s->asking = true;
    s->asked_after = s->at;
    struct news *n = news_create(NEWS_REPLAY, "t1");
    n->replay = (struct replay){.after = s->at, .head = {"e", seq + count}, .complete = true};
    n->replay.records = stream_of(seq, count, "lost", "");
    news_take(stage.hub, n);
    ck_assert_uint_eq(s->at.seq, seq + count);
}

static void heads_are_asked(void)
{
    if (!t1()->head_asked)
        t1()->heads_asked++;
    t1()->head_asked = true;
    t1()->latest_wanted = false;
}

/* What was asked, or is now. */
static struct news *about_heads(enum news_kind kind, uint64_t seq)
{
    struct news *n = news_create(kind, NULL);
    heads_are_asked();
    n->heads = heads_create(1);
    n->heads->count = 1;
    n->heads->latest = true;
    n->heads->items[0] = (struct head){
        .tenant_id = "t1", .asked = t1()->stream.at, .head = {"e", seq}, .answered = kind == NEWS_HEADS};
    stage.hub->heads_out++;
    return n;
}

/* A `latest` value was lost with what is replayed; who comes from another gateway has heard it already. */
START_TEST(behind_a_replay_newcomers_wait_for_the_newest_values)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k = opened(&protocol_ws);
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    feed(0, 1, "figures", FIGURES "4");
    lose_and_replay(11, 3);
    sign_in(k, "u2", "");
    ck_assert_int_eq(times_heard(k, "figures"), 0);
    struct news *n = about_heads(NEWS_HEADS, 14);
    n->heads->items[0].latest = stream_of(0, 1, "figures", FIGURES "5");
    news_take(stage.hub, n);
    flush();
    ck_assert_int_eq(times_heard(k, "figures"), 1);
    gone(k);
    gone(first);
}
END_TEST

START_TEST(newest_values_are_told_once_each_to_whom_they_are_for)
{
    enum { VALUES = 200 }; /* more than go out in one piece */
    struct sink *first = live(&protocol_ws, "u1", ""), *k[2];
    char type[64], more[128], shown[80];
    for (int i = 0; i < VALUES; i++) {
        snprintf(type, sizeof type, "what_is_known_of_the_figures_of_today_%d", i);
        snprintf(more, sizeof more, ",\"class\":\"latest\",\"key\":\"k\",\"rev\":1%s",
                 i % 5 ? "" : ",\"rooms\":[\"user:u2\"]");
        feed(0, 1, type, more);
    }
    for (int i = 0; i < 2; i++) {
        k[i] = opened(&protocol_ws);
        sign_in(k[i], i ? "u3" : "u2", "");
    }
    for (int i = 0; i < VALUES; i++) {
        snprintf(shown, sizeof shown, "\"what_is_known_of_the_figures_of_today_%d\"", i);
        ck_assert_int_eq(times_heard(k[0], shown), 1);
        ck_assert_int_eq(times_heard(k[1], shown), i % 5 != 0);
    }
    ck_assert_uint_lt(k[1]->writes, 5);
    gone(k[0]);
    gone(k[1]);
    gone(first);
}
END_TEST

/* It is told of every change since, and of each change where the stream stands. */
START_TEST(newest_values_are_those_of_the_moment)
{
    struct sink *first = live(&protocol_sio, "u1", ""), *k[3];
    feed(0, 1, "others", FIGURES "1");
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            feed(0, 1, "figures", FIGURES "1");
        if (i)
            feed(10 + (uint64_t)i, 1, "next", "");
        k[i] = opened(&protocol_sio);
        sign_in(k[i], "u2", "");
    }
    ck_assert_int_eq(times_heard(k[0], "42[\"others\",0,\"e-10\"]"), 1);
    for (int i = 1; i < 3; i++) {
        char shown[64];
        snprintf(shown, sizeof shown, "42[\"others\",0,\"e-%d\"]", 10 + i);
        ck_assert_int_eq(times_heard(k[i], shown), 1);
        snprintf(shown, sizeof shown, "42[\"figures\",0,\"e-%d\"]", 10 + i);
        ck_assert_int_eq(times_heard(k[i], shown), 1);
    }
    for (int i = 0; i < 3; i++)
        gone(k[i]);
    gone(first);
}
END_TEST

/* While it waits for the others. */
START_TEST(a_value_that_comes_behind_a_newcomer_is_told_once)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k = opened(&protocol_ws);
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    feed(0, 1, "figures", FIGURES "4");
    feed(0, 1, "others", FIGURES "4");
    lose_and_replay(11, 3);
    sign_in(k, "u2", "");
    feed(0, 1, "figures", FIGURES "5");
    ck_assert_int_eq(times_heard(k, "figures"), 1);
    news_take(stage.hub, about_heads(NEWS_HEADS, 14));
    flush();
    ck_assert_int_eq(times_heard(k, "figures"), 1);
    ck_assert_int_eq(times_heard(k, "others"), 1);
    gone(k);
    gone(first);
}
END_TEST

static void come_with(struct sink *k, const char *sub, const char *offset)
{
    struct buf b;
    char *token = token_of(sub, "");
    buf_init(&b, 4096);
    buf_addf(&b, "{\"type\":\"auth\",\"token\":\"%s\",\"offset\":\"%s\"}", token, offset);
    say(k, b.data);
    flush();
    buf_free(&b);
    free(token);
}

static void come_back(struct sink *k, const char *sub, const char *offset)
{
    come_with(k, sub, offset);
    ck_assert_ptr_nonnull(strstr(heard(k), "\"recovered\":true"));
}

static void answer_with_figures(const char *figures)
{
    struct news *n = about_heads(NEWS_HEADS, t1()->stream.at.seq);
    n->heads->items[0].latest = stream_of(0, 1, "figures", figures);
    news_take(stage.hub, n);
    flush();
}

/* Where it was they may have been newer already, without an event of the stream between. */
START_TEST(who_has_missed_nothing_elsewhere_waits_for_the_newest_values)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k[2] = {opened(&protocol_ws), opened(&protocol_ws)};
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    feed(0, 1, "figures", FIGURES "4");
    feed(11, 1, "next", "");
    come_back(k[0], "u2", "e-11");
    ck_assert(t1()->latest_wanted);
    heads_are_asked();
    come_back(k[1], "u3", "e-11");
    ck_assert(t1()->latest_wanted); /* once more: what is asked already may be older than what he has heard */
    ck_assert_int_eq(times_heard(k[0], "figures"), 0);
    answer_with_figures(FIGURES "4");
    ck_assert_int_eq(times_heard(k[0], "\"figures\""), 1);
    ck_assert_int_eq(times_heard(k[1], "\"figures\""), 0);
    answer_with_figures(FIGURES "4");
    ck_assert_int_eq(times_heard(k[1], "\"figures\""), 1);
    gone(k[0]);
    gone(k[1]);
    gone(first);
}
END_TEST

START_TEST(those_who_come_back_one_after_the_other_are_asked_for_together)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k[2] = {opened(&protocol_ws), opened(&protocol_ws)};
    loop_timer_stop(stage.hub->upkeep_timer); /* which asks, too */
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    stage.hub->ask_all = false;
    t1()->bound = true;
    feed(0, 1, "figures", FIGURES "4");
    feed(11, 1, "next", "");
    for (int i = 0; i < 2; i++) {
        int64_t began = loop_now_ms(stage.loop);
        come_back(k[i], i ? "u3" : "u2", "e-11");
        for (int64_t end = clock_mono_ms() + 5000; !t1()->head_asked;)
            turn_within(end);
        ck_assert_int_ge(loop_now_ms(stage.loop) - began, 50);
        stage.hub->heads_out = 0;
        answer_with_figures(FIGURES "4");
        ck_assert_int_eq(times_heard(k[i], "\"figures\""), 1);
    }
    gone(k[0]);
    gone(k[1]);
    gone(first);
}
END_TEST

START_TEST(who_has_missed_something_is_told_the_newest_values_at_once)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k = opened(&protocol_ws);
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    feed(0, 1, "figures", FIGURES "4");
    feed(11, 1, "next", "");
    come_back(k, "u2", "e-10");
    ck_assert_int_eq(times_heard(k, "\"figures\""), 1);
    gone(k);
    gone(first);
}
END_TEST

START_TEST(behind_a_new_binding_newcomers_wait_for_the_newest_values)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k = opened(&protocol_ws);
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    feed(0, 1, "figures", FIGURES "4");
    news_take(stage.hub, news_create(NEWS_BOUND, "t1"));
    feed(11, 1, "next", "");
    come_back(k, "u2", "e-10");
    ck_assert_int_eq(times_heard(k, "\"figures\""), 0);
    answer_with_figures(FIGURES "5");
    ck_assert_int_eq(times_heard(k, "\"figures\""), 1);
    gone(k);
    gone(first);
}
END_TEST

/* Links to the broker that were half-open: the state-manager did not answer, and his new gateway had less of
 * the stream than he had heard elsewhere. */
START_TEST(silence_is_not_taken_for_an_answer_about_the_head)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k = opened(&protocol_ws);
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    come_with(k, "u2", "e-12");
    for (int i = 0; i < 3; i++) {
        news_take(stage.hub, about_heads(NEWS_HEADS_FAILED, 10));
        tenant_tick(t1());
    }
    ck_assert_ptr_null(strstr(heard(k), "recovered"));
    feed(11, 2, "next", "");
    flush();
    ck_assert_ptr_nonnull(strstr(heard(k), "\"recovered\":true"));
    gone(k);
    gone(first);
}
END_TEST

START_TEST(what_was_asked_before_he_came_says_nothing_about_him)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k = opened(&protocol_ws);
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    heads_are_asked();
    come_with(k, "u2", "e-12");
    news_take(stage.hub, about_heads(NEWS_HEADS, 10));
    ck_assert_ptr_null(strstr(heard(k), "recovered"));
    news_take(stage.hub, about_heads(NEWS_HEADS, 10));
    ck_assert_ptr_nonnull(strstr(heard(k), "\"recovered\":false"));
    gone(k);
    gone(first);
}
END_TEST

/* What he was told elsewhere he still has. */
START_TEST(who_goes_on_is_told_no_values_while_nobody_can_tell)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k[2] = {opened(&protocol_ws), opened(&protocol_ws)};
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    feed(0, 1, "figures", FIGURES "4");
    lose_and_replay(11, 3);
    come_back(k[0], "u2", "e-14");
    come_back(k[1], "u3", "e-12");
    for (int i = 0; i < 2; i++) {
        news_take(stage.hub, about_heads(NEWS_HEADS_FAILED, 14));
        tenant_tick(t1());
        flush();
    }
    news_take(stage.hub, news_create(NEWS_RPC_DOWN, NULL));
    tenant_tick(t1());
    flush();
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(times_heard(k[i], "figures"), 0);
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    answer_with_figures(FIGURES "5");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(times_heard(k[i], "\"figures\""), 1);
        gone(k[i]);
    }
    gone(first);
}
END_TEST

START_TEST(and_hear_those_that_are_known_when_nobody_can_tell)
{
    struct sink *first = live(&protocol_ws, "u1", ""), *k = opened(&protocol_ws), *late;
    news_take(stage.hub, news_create(NEWS_RPC_UP, NULL));
    feed(0, 1, "figures", FIGURES "4");
    lose_and_replay(11, 3);
    sign_in(k, "u2", "");
    ck_assert_int_eq(times_heard(k, "figures"), 0);
    news_take(stage.hub, about_heads(NEWS_HEADS_FAILED, 0));
    flush();
    ck_assert_int_eq(times_heard(k, "figures"), 1);
    lose_and_replay(15, 1);
    news_take(stage.hub, news_create(NEWS_RPC_DOWN, NULL));
    late = opened(&protocol_ws);
    sign_in(late, "u3", "");
    ck_assert_int_eq(times_heard(late, "figures"), 1);
    gone(late);
    gone(k);
    gone(first);
}
END_TEST

/* What a newcomer would be told by it, each behind a line feed. */
static const char *packed(struct latest *l)
{
    static char text[1024];
    const struct latest_pack *pack = latest_for_all(l, FRAME_SIO_BARE, &(struct position){"e", 1});
    size_t n = 0;
    text[0] = 0;
    for (size_t i = 0; i < pack->count; i++) {
        struct view left = {(const char *)pack->frames[i]->bytes, pack->frames[i]->len};
        for (bool is_text; left.n;) {
            struct view payload = frame_next(&left, &is_text);
            n += (size_t)snprintf(text + n, sizeof text - n, "%.*s\n", VIEW_ARG(payload));
        }
    }
    return text;
}

static void keep(struct latest *l, const char *data, const char *rooms, bool own)
{
    char body[256];
    struct err err = {0};
    snprintf(
        body, sizeof body,
        "{\"type\":\"x\",\"tenantId\":\"t1\",\"class\":\"latest\",\"key\":\"k\",\"rev\":1,\"data\":%s%s}",
        data, rooms);
    struct record *r = record_create(view_of(body), &err);
    ck_assert_msg(r != NULL, "%s", err.text);
    r->own = own;
    latest_keep(l, r, 0);
    record_destroy(r);
}

START_TEST(what_newcomers_share_follows_each_change)
{
    struct latest l;
    latest_init(&l);
    ck_assert_str_eq(packed(&l), "");
    keep(&l, "1", "", false);
    ck_assert_str_eq(packed(&l), "42[\"x\",1]\n");
    keep(&l, "2", "", false);
    ck_assert_str_eq(packed(&l), "42[\"x\",2]\n");
    keep(&l, "3", ",\"rooms\":[\"r\"]", false);
    ck_assert_str_eq(packed(&l), "");
    keep(&l, "4", "", true); /* another one */
    ck_assert_str_eq(packed(&l), "42[\"x\",4]\n");
    latest_forget_own(&l, "x", "k");
    ck_assert_str_eq(packed(&l), "");
    keep(&l, "5", "", false);
    ck_assert_str_eq(packed(&l), "42[\"x\",5]\n");
    latest_clear(&l);
    ck_assert_str_eq(packed(&l), "");
    latest_finish(&l);
}
END_TEST

Suite *suite_newest(void)
{
    Suite *s = suite_create("newest");
    TCase *t = tcase_create("newest");
    tcase_add_checked_fixture(t, stage_set_up, stage_tear_down);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, latest_values_follow_the_hello);
    tcase_add_test(t, behind_a_replay_newcomers_wait_for_the_newest_values);
    tcase_add_test(t, newest_values_are_told_once_each_to_whom_they_are_for);
    tcase_add_test(t, newest_values_are_those_of_the_moment);
    tcase_add_test(t, what_newcomers_share_follows_each_change);
    tcase_add_test(t, a_value_that_comes_behind_a_newcomer_is_told_once);
    tcase_add_test(t, who_has_missed_nothing_elsewhere_waits_for_the_newest_values);
    tcase_add_test(t, those_who_come_back_one_after_the_other_are_asked_for_together);
    tcase_add_test(t, who_has_missed_something_is_told_the_newest_values_at_once);
    tcase_add_test(t, behind_a_new_binding_newcomers_wait_for_the_newest_values);
    tcase_add_test(t, silence_is_not_taken_for_an_answer_about_the_head);
    tcase_add_test(t, what_was_asked_before_he_came_says_nothing_about_him);
    tcase_add_test(t, who_goes_on_is_told_no_values_while_nobody_can_tell);
    tcase_add_test(t, and_hear_those_that_are_known_when_nobody_can_tell);
    suite_add_tcase(s, t);
    return s;
}
