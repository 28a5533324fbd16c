/* Presence at one gateway: what its sockets hear of who comes, goes and says how he is. */
#include "portal-gateway/core/attendance.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/news.h"
#include "portal-gateway/core/presence.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

enum { STEP_MS = PRESENCE_GATHER_MS };

static int64_t clock_ms; /* runs ahead of the loop's: presence never goes back behind it */

static void set_up(void)
{
    stage_set_up();
    stage.hub->rpc_up = true;
    stage.policy.presence_users = 500;
    stage.policy.presence_lease_ms = 30000;
    clock_ms = loop_now_ms(stage.loop) + 1000000;
}

/* Lets that much time pass, and what has gathered go out. */
static void pass(int64_t ms)
{
    for (int64_t end = clock_ms + ms; clock_ms < end;) {
        clock_ms += STEP_MS < end - clock_ms ? STEP_MS : end - clock_ms;
        presence_tick(t1()->presence, clock_ms);
        for (int i = 0; i < 3; i++)
            loop_turn(stage.loop);
        flush();
    }
}

static const char *news_of(const char *user, const char *status)
{
    static char text[160];
    snprintf(text, sizeof text, "42[\"presence_update\",{\"userId\":\"%s\",\"status\":\"%s\"},\"e-10\"]\n",
             user, status);
    return text;
}

/* Another gateway says so. */
static void other(const char *gateway, const char *kind, const char *users)
{
    char data[512];
    int n = snprintf(data, sizeof data, "{\"gateway\":\"%s\",\"kind\":\"%s\",\"users\":%s}", gateway, kind,
                     users);
    presence_hear(t1()->presence, (struct view){data, (size_t)n});
}

static bool set(const char *user, const char *status)
{
    return presence_set(t1()->presence, user, view_of(status));
}

START_TEST(who_comes_and_goes_is_told_and_who_comes_later_hears_who_is_there)
{
    struct sink *u1 = live(&protocol_sio, "u1", "");
    pass(STEP_MS);
    ck_assert_str_eq(heard(u1), news_of("u1", "online"));
    forget_output(u1);
    struct sink *u2 = opened(&protocol_ws);
    sign_in(u2, "u2", "");
    ck_assert_ptr_nonnull(strstr(heard(u2),
                                 "{\"type\":\"event\",\"event\":\"presence_update\",\"data\":{"
                                 "\"userId\":\"u1\",\"status\":\"online\"},\"offset\":\"e-10\"}\n"));
    pass(STEP_MS);
    ck_assert_str_eq(heard(u1), news_of("u2", "online"));
    forget_output(u1);
    gone(u2);
    pass(ATTENDANCE_GRACE_MS - STEP_MS);
    ck_assert_str_eq(heard(u1), "");
    pass(2 * STEP_MS);
    ck_assert_str_eq(heard(u1), news_of("u2", "offline"));
    struct sink *u3 = opened(&protocol_sio);
    sign_in(u3, "u3", "");
    ck_assert_int_eq(times_heard(u3, news_of("u1", "online")), 1);
    ck_assert_int_eq(times_heard(u3, "\"u2\""), 0);
    gone(u1);
    gone(u3);
}
END_TEST

START_TEST(a_reload_and_a_second_tab_are_no_news)
{
    struct sink *u1 = live(&protocol_sio, "u1", ""), *tab = live(&protocol_sio, "u2", "");
    pass(STEP_MS);
    ck_assert(set("u2", "away"));
    pass(STEP_MS);
    forget_output(u1);
    struct sink *second = live(&protocol_sio, "u2", "");
    gone(tab);
    pass(2 * ATTENDANCE_GRACE_MS);
    gone(second);
    pass(ATTENDANCE_GRACE_MS - STEP_MS);
    tab = live(&protocol_ws, "u2", "");
    pass(2 * ATTENDANCE_GRACE_MS);
    ck_assert_str_eq(heard(u1), "");
    struct sink *late = opened(&protocol_sio);
    sign_in(late, "u3", "");
    ck_assert_int_eq(times_heard(late, news_of("u2", "away")), 1);
    gone(u1);
    gone(tab);
    gone(late);
}
END_TEST

START_TEST(who_comes_back_after_all_begins_online)
{
    struct sink *u1 = live(&protocol_sio, "u1", ""), *tab = live(&protocol_sio, "u2", "");
    ck_assert(set("u2", "busy"));
    pass(STEP_MS);
    gone(tab);
    pass(2 * ATTENDANCE_GRACE_MS);
    tab = live(&protocol_sio, "u2", "");
    forget_output(u1);
    pass(STEP_MS);
    ck_assert_str_eq(heard(u1), news_of("u2", "online"));
    gone(u1);
    gone(tab);
}
END_TEST

START_TEST(users_say_how_they_are)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    pass(STEP_MS);
    static const char *const fine[] = {"away", "busy", "online"};
    for (size_t i = 0; i < countof(fine); i++) {
        forget_output(k);
        ck_assert(set("u1", fine[i]));
        pass(STEP_MS);
        ck_assert_str_eq(heard(k), news_of("u1", fine[i]));
    }
    forget_output(k);
    static const char *const wrong[] = {"offline", "", "Away", "away ", "gone"};
    for (size_t i = 0; i < countof(wrong); i++)
        ck_assert_msg(!set("u1", wrong[i]), "%s", wrong[i]);
    ck_assert(set("nobody", "away"));
    ck_assert(set("u1", "away"));
    ck_assert(set("u1", "busy"));
    ck_assert(set("u1", "online"));
    pass(STEP_MS);
    ck_assert_str_eq(heard(k), ""); /* he is what he was */
    gone(k);
}
END_TEST

START_TEST(what_he_says_now_counts_whatever_the_clocks_of_others)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    other("BBBBBB", "all", "[[\"u1\",\"away\",9000000000000000]]");
    pass(2 * STEP_MS);
    forget_output(k);
    ck_assert(set("u1", "busy"));
    pass(STEP_MS);
    ck_assert_str_eq(heard(k), news_of("u1", "busy"));
    ck_assert_ptr_nonnull(strstr(stage.published.data, "[[\"u1\",\"busy\",9000000000000001]]"));
    gone(k);
}
END_TEST

START_TEST(who_was_taken_over_counts_until_his_link_is_gone)
{
    struct sink *u1 = live(&protocol_sio, "u1", ""), *older = live(&protocol_sio, "u2", "");
    struct sink *newer = live(&protocol_sio, "u2", "");
    pass(STEP_MS);
    forget_output(u1);
    member_finish(&older->session->member); /* as by recovery_displace() */
    session_close(older->session, CLOSE_TAKEN_OVER);
    gone(older);
    pass(2 * ATTENDANCE_GRACE_MS);
    ck_assert_str_eq(heard(u1), "");
    gone(newer);
    pass(2 * ATTENDANCE_GRACE_MS);
    ck_assert_str_eq(heard(u1), news_of("u2", "offline"));
    gone(u1);
}
END_TEST

START_TEST(who_signs_out_is_gone_though_the_link_stays)
{
    struct sink *u1 = live(&protocol_sio, "u1", ""), *k = live(&protocol_sio, "u2", "");
    pass(STEP_MS);
    forget_output(u1);
    say(k, "41");
    pass(2 * ATTENDANCE_GRACE_MS);
    ck_assert_str_eq(heard(u1), news_of("u2", "offline"));
    forget_output(u1);
    sign_in(k, "u2", "");
    pass(STEP_MS);
    ck_assert_str_eq(heard(u1), news_of("u2", "online"));
    gone(k);
    gone(u1);
}
END_TEST

START_TEST(what_comes_together_is_gathered)
{
    struct sink *k = live(&protocol_sio, "u0", "");
    pass(STEP_MS);
    forget_output(k);
    for (int i = 1; i <= 150; i++) {
        char name[16];
        snprintf(name, sizeof name, "u%d", i);
        presence_arrive(t1()->presence, name);
    }
    size_t writes = k->writes;
    for (size_t turn = 1; turn <= 3; turn++) {
        pass(STEP_MS);
        ck_assert_uint_eq(k->frames, turn < 3 ? turn * PRESENCE_TOLD_AT_ONCE : 150);
        ck_assert_uint_le(k->writes - writes, 2 * turn);
    }
    gone(k);
}
END_TEST

START_TEST(many_sockets_are_told_less_often)
{
    enum { MANY = 3 * PRESENCE_SOCKETS - 1 };
    struct sink *all[MANY];
    for (size_t i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "u%zu", i);
        all[i] = live(&protocol_sio, name, "");
    }
    pass(7 * STEP_MS); /* in two goes */
    ck_assert_int_eq(times_heard(all[0], "presence_update"), MANY);
    size_t writes = all[0]->writes;
    for (int i = 0; i < 12; i++) {
        ck_assert(set("u1", i % 2 ? "away" : "busy"));
        pass(STEP_MS);
    }
    ck_assert_uint_eq(all[0]->writes - writes, 4);
    for (size_t i = 0; i < MANY; i++)
        gone(all[i]);
}
END_TEST

START_TEST(a_newer_status_takes_the_place_of_one_that_waits)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    pass(STEP_MS);
    forget_output(k);
    k->takes = 0;
    feed_letter(0, 1, "x", "");
    flush();
    static const char *const often[] = {"away", "busy", "online", "busy"};
    for (size_t i = 0; i < countof(often); i++) {
        ck_assert(set("u1", often[i]));
        pass(STEP_MS);
    }
    k->takes = SIZE_MAX;
    session_on_writable(k->session);
    ck_assert_int_eq(times_heard(k, "presence_update"), 1);
    ck_assert_int_eq(times_heard(k, news_of("u1", "busy")), 1);
    gone(k);
}
END_TEST

START_TEST(nothing_is_told_before_the_stream_is_in_place)
{
    struct sink *k = opened(&protocol_sio);
    sign_in(k, "u1", "");
    other("BBBBBB", "all", "[[\"u2\",\"away\",5]]");
    pass(4 * STEP_MS);
    ck_assert_uint_eq(t1()->stream.ring.head, 0);
    place("e", 10);
    forget_output(k);
    pass(2 * STEP_MS);
    ck_assert_int_eq(times_heard(k, news_of("u1", "online")), 1);
    ck_assert_int_eq(times_heard(k, news_of("u2", "away")), 1);
    gone(k);
}
END_TEST

START_TEST(a_stream_that_begins_anew_hears_it_all_again)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    other("BBBBBB", "all", "[[\"u2\",\"away\",5]]");
    pass(2 * STEP_MS);
    forget_output(k);
    answer_heads(&(struct position){"e", 10}, "f", 3);
    pass(2 * STEP_MS);
    ck_assert_int_eq(strncmp(heard(k), "42[\"resync\"", 11), 0);
    ck_assert_int_eq(times_heard(k, "{\"userId\":\"u1\",\"status\":\"online\"},\"f-3\"]"), 1);
    ck_assert_int_eq(times_heard(k, "{\"userId\":\"u2\",\"status\":\"away\"},\"f-3\"]"), 1);
    gone(k);
}
END_TEST

START_TEST(those_who_are_one_too_many_wait)
{
    stage.policy.presence_users = 2;
    int64_t shown = metric_get(&gateway_meters[METER_PRESENT]);
    int64_t hidden = metric_get(&gateway_meters[METER_PRESENCE_HIDDEN]);
    struct sink *u1 = live(&protocol_sio, "u1", ""), *u2 = live(&protocol_sio, "u2", "");
    struct sink *u3 = live(&protocol_sio, "u3", "");
    other("BBBBBB", "all", "[[\"u4\",\"away\",5]]");
    ck_assert(set("u3", "busy"));
    pass(4 * STEP_MS);
    ck_assert_int_eq(times_heard(u1, "\"u3\""), 0);
    ck_assert_int_eq(times_heard(u1, "\"u4\""), 0);
    ck_assert_ptr_null(strstr(stage.published.data, "\"u3\""));
    ck_assert_int_eq(metric_get(&gateway_meters[METER_PRESENT]) - shown, 2);
    ck_assert_int_eq(metric_get(&gateway_meters[METER_PRESENCE_HIDDEN]) - hidden, 1);
    gone(u2);
    pass(ATTENDANCE_GRACE_MS + 4 * STEP_MS);
    ck_assert_int_eq(times_heard(u1, news_of("u3", "busy")), 1);
    ck_assert_int_eq(metric_get(&gateway_meters[METER_PRESENCE_HIDDEN]) - hidden, 0);
    gone(u3);
    pass(ATTENDANCE_GRACE_MS + 4 * STEP_MS);
    other("BBBBBB", "all", "[[\"u4\",\"away\",5]]");
    pass(2 * STEP_MS);
    ck_assert_int_eq(times_heard(u1, news_of("u4", "away")), 1);
    gone(u1);
}
END_TEST

START_TEST(a_thousand_who_are_there_do_not_cut_the_next_one)
{
    stage.policy.presence_users = PRESENCE_USERS_MOST;
    struct sink *k = live(&protocol_sio, "u1", "");
    for (int i = 1; i < PRESENCE_USERS_MOST; i++) {
        char users[64];
        snprintf(users, sizeof users, "[[\"other-%d\",\"online\",0]]", i);
        other("BBBBBB", "delta", users);
    }
    for (int i = 0; i < 300; i++) {
        char more[80];
        snprintf(more, sizeof more, ",\"class\":\"latest\",\"key\":\"k%d\",\"rev\":4", i);
        feed(0, 1, "figures", more);
    }
    pass(20 * STEP_MS);
    ck_assert_int_eq(times_heard(k, "presence_update"), PRESENCE_USERS_MOST);
    struct sink *late = opened(&protocol_ws);
    late->takes = 0;
    sign_in(late, "u2", "");
    ck_assert(!late->closed);
    late->takes = SIZE_MAX;
    session_on_writable(late->session);
    flush();
    ck_assert_int_eq(times_heard(late, "presence_update"), PRESENCE_USERS_MOST);
    ck_assert_int_eq(times_heard(late, "figures"), LATEST_KEYS_MAX);
    gone(k);
    gone(late);
}
END_TEST

START_TEST(nobody_else_speaks_for_it)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    pass(STEP_MS);
    feed(0, 1, "presence_update", ",\"class\":\"latest\",\"key\":\"u1\",\"rev\":9000000000000000000");
    forget_output(k);
    ck_assert(set("u1", "away"));
    pass(STEP_MS);
    ck_assert_str_eq(heard(k), news_of("u1", "away"));
    gone(k);
}
END_TEST

START_TEST(what_it_says_itself_is_no_news_to_it)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    pass(STEP_MS);
    forget_output(k);
    other(stage.hub->peers.tag, "all", "[[\"u1\",\"away\",5],[\"u2\",\"away\",5]]");
    pass(2 * STEP_MS);
    ck_assert_str_eq(heard(k), "");
    gone(k);
}
END_TEST

START_TEST(the_word_of_others_does_not_keep_who_is_gone)
{
    struct sink *u1 = live(&protocol_sio, "u1", ""), *k = live(&protocol_sio, "u2", "");
    pass(STEP_MS);
    forget_output(u1);
    gone(k);
    for (int i = 0; i < 4; i++) {
        pass(ATTENDANCE_GRACE_MS / 4);
        other("BBBBBB", "delta", "[[\"u2\",\"online\",0,false]]");
    }
    pass(2 * STEP_MS);
    ck_assert_str_eq(heard(u1), news_of("u2", "offline"));
    gone(u1);
}
END_TEST

START_TEST(one_is_on_so_many_gateways_at_most)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    for (int i = 0; i <= ATTENDANCE_HOLDERS_MAX; i++) {
        char tag[16];
        snprintf(tag, sizeof tag, "BBBB%02d", i);
        other(tag, "all", "[[\"u2\",\"online\",0]]");
    }
    pass(2 * STEP_MS);
    forget_output(k);
    for (int i = 0; i < ATTENDANCE_HOLDERS_MAX; i++) {
        char tag[16];
        ck_assert_str_eq(heard(k), "");
        snprintf(tag, sizeof tag, "BBBB%02d", i);
        other(tag, "leaving", "[]");
    }
    pass(ATTENDANCE_GRACE_MS + STEP_MS);
    ck_assert_str_eq(heard(k), news_of("u2", "offline"));
    gone(k);
}
END_TEST

START_TEST(what_cannot_be_read_is_passed_over)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    pass(STEP_MS);
    forget_output(k);
    static const char *const rubbish[] = {
        "null",
        "[]",
        "{}",
        "{\"gateway\":\"BBBBBB\"}",
        "{\"gateway\":7,\"kind\":\"all\",\"users\":[[\"u2\",\"away\",5]]}",
        "{\"gateway\":\"BBBBBBB\",\"kind\":\"all\",\"users\":[[\"u2\",\"away\",5]]}",
        "{\"gateway\":\"BBBBBB\",\"kind\":\"more\",\"users\":[[\"u2\",\"away\",5]]}",
        "{\"gateway\":\"BBBBBB\",\"kind\":\"all\",\"users\":{\"u2\":[\"away\",5]}}",
        "{\"gateway\":\"BBBBBB\",\"kind\":\"all\",\"users\":[\"u2\",[],[1,2,3],[\"u2\"],[\"u2\",\"away\"]]}",
        "{\"gateway\":\"BBBBBB\",\"kind\":\"all\",\"users\":[[\"u2\",\"offline\",5],[\"u2\",\"odd\",5]]}",
        "{\"gateway\":\"BBBBBB\",\"kind\":\"all\",\"users\":[[\"\",\"away\",5],[\"u2\",\"away\",-1]]}",
        "{\"gateway\":\"BBBBBB\",\"kind\":\"all\",\"users\":[[\"u2\",\"away\",9223372036854775807]]}",
        "{\"gateway\":\"BBBBBB\",\"kind\":\"delta\",\"users\":[[\"u2\",\"away\",5,false]]}",
        "{\"gateway\":\"BBBBBB\",\"kind\":\"leaving\",\"users\":null}"};
    for (size_t i = 0; i < countof(rubbish); i++) {
        presence_hear(t1()->presence, view_of(rubbish[i]));
        pass(2 * STEP_MS);
        ck_assert_msg(!*heard(k), "%s: %s", rubbish[i], heard(k));
    }
    other("BBBBBB", "all", "[[\"u2\",\"odd\",5],[\"u3\",\"away\",5,true,\"more\"]]");
    pass(2 * STEP_MS);
    ck_assert_str_eq(heard(k), news_of("u3", "away"));
    gone(k);
}
END_TEST

START_TEST(it_can_be_off)
{
    stage.policy.presence_users = 0;
    struct sink *k = live(&protocol_sio, "u1", "");
    ck_assert_ptr_null(t1()->presence);
    ck_assert(set("u1", "away"));
    ck_assert(!set("u1", "offline"));
    other("BBBBBB", "all", "[[\"u2\",\"away\",5]]");
    presence_bound(t1()->presence);
    presence_repeat(t1()->presence);
    presence_leave(t1()->presence);
    pass(2 * STEP_MS);
    ck_assert_str_eq(heard(k), "");
    ck_assert_uint_eq(stage.published.len, 0);
    gone(k);
}
END_TEST

Suite *suite_presence(void)
{
    Suite *s = suite_create("presence");
    TCase *t = tcase_create("presence");
    tcase_add_checked_fixture(t, set_up, stage_tear_down);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, who_comes_and_goes_is_told_and_who_comes_later_hears_who_is_there);
    tcase_add_test(t, a_reload_and_a_second_tab_are_no_news);
    tcase_add_test(t, who_comes_back_after_all_begins_online);
    tcase_add_test(t, users_say_how_they_are);
    tcase_add_test(t, what_he_says_now_counts_whatever_the_clocks_of_others);
    tcase_add_test(t, who_was_taken_over_counts_until_his_link_is_gone);
    tcase_add_test(t, who_signs_out_is_gone_though_the_link_stays);
    tcase_add_test(t, what_comes_together_is_gathered);
    tcase_add_test(t, many_sockets_are_told_less_often);
    tcase_add_test(t, a_newer_status_takes_the_place_of_one_that_waits);
    tcase_add_test(t, nothing_is_told_before_the_stream_is_in_place);
    tcase_add_test(t, a_stream_that_begins_anew_hears_it_all_again);
    tcase_add_test(t, those_who_are_one_too_many_wait);
    tcase_add_test(t, a_thousand_who_are_there_do_not_cut_the_next_one);
    tcase_add_test(t, nobody_else_speaks_for_it);
    tcase_add_test(t, what_it_says_itself_is_no_news_to_it);
    tcase_add_test(t, the_word_of_others_does_not_keep_who_is_gone);
    tcase_add_test(t, one_is_on_so_many_gateways_at_most);
    tcase_add_test(t, what_cannot_be_read_is_passed_over);
    tcase_add_test(t, it_can_be_off);
    suite_add_tcase(s, t);
    return s;
}
