/* How events reach sockets: gathered, chosen by room, slow sockets, and against a model. */
#include "portal-gateway/core/pace.h"
#include "shared/clock.h"
#include "tests/unit/dice.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 3000 };

/* --- the stream --- */

START_TEST(events_that_come_together_leave_in_one_write)
{
    struct sink *k = live(&protocol_sio, "u1", ""), *plain = live(&protocol_ws, "u2", "");
    feed(11, 10, "x", "");
    ck_assert_uint_eq(k->writes, 1);
    ck_assert_uint_eq(k->frames, 10);
    ck_assert_uint_eq(plain->writes, 1);
    feed(21, 1, "x", "");
    ck_assert_uint_eq(k->writes, 2);
    gone(k);
    gone(plain);
}
END_TEST

START_TEST(rooms_and_except_choose_who_hears)
{
    struct sink *a = live(&protocol_ws, "u1", ",\"rooms\":[\"vip\"]"), *b = live(&protocol_ws, "u2", "");
    feed(11, 1, "all", "");
    feed(12, 1, "mine", ",\"rooms\":[\"user:u1\"]");
    feed(13, 1, "vip", ",\"rooms\":[\"vip\",\"user:u1\"]");
    feed(14, 1, "nobody", ",\"rooms\":[\"conversation:c9\"]");
    feed(15, 1, "others", ",\"except\":\"u1\"");
    ck_assert_uint_eq(a->frames, 3);
    ck_assert_ptr_nonnull(strstr(heard(a), "\"vip\""));
    ck_assert_ptr_null(strstr(heard(a), "others"));
    ck_assert_uint_eq(b->frames, 2);
    ck_assert_ptr_null(strstr(heard(b), "mine"));
    ck_assert_ptr_nonnull(strstr(heard(b), "others"));
    gone(a);
    gone(b);
}
END_TEST

START_TEST(a_blocked_socket_goes_on_where_it_stopped)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    k->takes = 3;
    feed(11, 8, "x", "");
    ck_assert_uint_eq(k->frames, 3);
    ck_assert(k->session->blocked);
    feed(19, 1, "x", "");
    feed(0, 1, "typing", ""); /* ephemeral: not for those who lag */
    feed(0, 1, "figures", ",\"class\":\"latest\",\"key\":\"k\",\"rev\":1");
    feed(0, 1, "figures", ",\"class\":\"latest\",\"key\":\"k\",\"rev\":2");
    ck_assert_uint_eq(k->writes, 1); /* nothing is tried before it has room */
    k->takes = SIZE_MAX;
    session_on_writable(k->session);
    ck_assert_uint_eq(k->frames, 3 + 6 + 1);
    ck_assert_ptr_null(strstr(heard(k), "typing"));
    const char *at = heard(k);
    for (int seq = 11; seq <= 19; seq++) {
        char offset[32];
        snprintf(offset, sizeof offset, "\"e-%d\"}\n", seq);
        at = strstr(at, offset);
        ck_assert_ptr_nonnull(at);
    }
    feed(0, 1, "typing", ""); /* it has caught up */
    ck_assert_ptr_nonnull(strstr(heard(k), "typing"));
    gone(k);
}
END_TEST

START_TEST(own_frames_go_before_events_and_survive_a_block)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    k->takes = 0;
    feed(11, 2, "x", "");
    say(k, "{\"type\":\"ping\"}");
    ck_assert_str_eq(heard(k), "");
    k->takes = SIZE_MAX;
    session_on_writable(k->session);
    ck_assert_int_eq(strncmp(heard(k), "{\"type\":\"pong\"}\n{\"type\":\"event\"", 31), 0);
    ck_assert_uint_eq(k->frames, 3);
    gone(k);
}
END_TEST

/* The log's answer to the last question from below the ring: `count` events. */
static void answer_past(size_t count)
{
    ck_assert_uint_gt(stage.past_asked, 0);
    struct replay replay = {.after = stage.past_after, .head = t1()->stream.at, .complete = true};
    replay.records = stream_of(stage.past_after.seq + 1, count, "x", "");
    tenant_take_past(t1(), &replay);
    flush();
    run_for(1);
}

START_TEST(a_slow_socket_goes_on_from_the_log)
{
    char offset[32];
    stage.policy.ring_events = 128;
    struct sink *slow = live(&protocol_ws, "u1", ""), *fine = live(&protocol_ws, "u2", "");
    slow->takes = 0;
    for (uint64_t seq = 11; seq < 11 + 1000; seq++)
        feed(seq, 1, "x", "");
    ck_assert_uint_eq(fine->frames, 1000);
    ck_assert(!slow->closed);
    slow->takes = SIZE_MAX;
    session_on_writable(slow->session);
    ck_assert_uint_eq(slow->frames, 0); /* the ring has only the last 128 */
    run_for(1);
    for (size_t reads = 1; slow->frames < 1000; reads++) {
        ck_assert_uint_eq(stage.past_asked, reads);
        ck_assert_uint_eq(stage.past_after.seq, 10 + slow->frames);
        answer_past(500);
        ck_assert_uint_le(reads, 2);
    }
    ck_assert_uint_eq(slow->frames, 1000);
    for (uint64_t seq = 11, at = 0; seq < 1011; seq++) { /* all in order */
        const char *found = strstr(heard(slow) + at, "\"offset\":\"");
        snprintf(offset, sizeof offset, "\"offset\":\"e-%d\"", (int)seq);
        ck_assert_ptr_nonnull(found);
        ck_assert_int_eq(strncmp(found, offset, strlen(offset)), 0);
        at = (uint64_t)(found - heard(slow)) + 1;
    }
    feed(1011, 1, "x", "");
    ck_assert_uint_eq(slow->frames, 1001);
    ck_assert_uint_eq(stage.past_asked, 2);
    gone(slow);
    gone(fine);
}
END_TEST

START_TEST(a_slow_socket_is_told_when_the_log_has_lost_what_it_needs)
{
    stage.policy.ring_events = 128;
    struct sink *slow = live(&protocol_ws, "u1", "");
    slow->takes = 0;
    for (uint64_t seq = 11; seq < 11 + 1000; seq++)
        feed(seq, 1, "x", "");
    slow->takes = SIZE_MAX;
    session_on_writable(slow->session);
    run_for(1);
    struct replay replay = {.after = stage.past_after, .head = t1()->stream.at, .complete = false};
    replay.records = stream_of(600, 400, "x", "");
    tenant_take_past(t1(), &replay);
    flush();
    run_for(1);
    ck_assert_str_eq(heard(slow), "{\"type\":\"resync\",\"reason\":\"events_gone\",\"offset\":\"e-1010\"}\n");
    feed(1011, 1, "x", "");
    ck_assert_uint_eq(slow->frames, 2);
    gone(slow);
}
END_TEST

START_TEST(a_burst_larger_than_the_ring_reaches_a_live_socket_whole)
{
    stage.policy.ring_events = 128;
    struct sink *k = live(&protocol_ws, "u1", "");
    for (uint64_t letter = 0; letter < 20; letter++) /* no flush between them */
        feed_letter(11 + letter * 30, 30, "x", "");
    flush();
    ck_assert(!k->closed);
    ck_assert_uint_eq(k->frames, 600);
    gone(k);
}
END_TEST

START_TEST(a_quiet_socket_is_not_taken_for_a_slow_one)
{
    stage.policy.ring_events = 128;
    struct sink *k = live(&protocol_ws, "u1", "");
    for (uint64_t seq = 11; seq < 1011; seq++)
        feed(seq, 1, "x", ",\"rooms\":[\"user:u2\"]");
    say(k, "{\"type\":\"ping\"}");
    ck_assert(!k->closed);
    ck_assert_str_eq(heard(k), "{\"type\":\"pong\"}\n");
    feed(1011, 1, "x", "");
    ck_assert_uint_eq(k->frames, 2);
    gone(k);
}
END_TEST

START_TEST(who_was_written_to_between_two_events_hears_the_second_too)
{
    struct sink *early = live(&protocol_ws, "u1", ""), *other = live(&protocol_ws, "u2", "");
    feed_letter(11, 1, "x", "");
    say(early, "{\"type\":\"ping\"}"); /* its answer takes the event along */
    feed_letter(12, 1, "x", "");
    struct sink *late = live(&protocol_ws, "u3", "");
    feed_letter(13, 1, "x", "");
    flush();
    ck_assert_uint_eq(early->frames, 4);
    ck_assert_uint_eq(other->frames, 3);
    ck_assert_uint_eq(late->frames, 1);
    gone(early);
    gone(other);
    gone(late);
}
END_TEST

START_TEST(many_own_frames_leave_in_turns)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    k->takes = 0;
    for (int i = 0; i < CONTROL_MAX; i++)
        say(k, "{\"type\":\"ping\"}");
    k->takes = SIZE_MAX;
    session_on_writable(k->session);
    ck_assert_uint_eq(k->frames, 256);
    feed(11, 1, "x", "");
    flush();
    ck_assert_uint_eq(k->frames, CONTROL_MAX + 1);
    k->takes = 0;
    for (int i = 0; i <= CONTROL_MAX; i++)
        say(k, "{\"type\":\"ping\"}");
    ck_assert_int_eq(k->code, 4413);
    gone(k);
}
END_TEST

START_TEST(old_events_are_forgotten)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    feed(11, 5, "x", "");
    tenant_forget_old(t1());
    ck_assert_uint_eq(t1()->stream.ring.first, 0);
    feed(16, 1, "x", "");
    tenant_forget_old(t1());
    ck_assert_uint_eq(t1()->stream.ring.first, 5);
    feed(17, 1, "x", "");
    ck_assert_uint_eq(k->frames, 7);
    gone(k);
}
END_TEST

START_TEST(another_history_is_announced_in_the_stream)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    feed(11, 1, "x", "");
    answer_heads(&(struct position){"e", 11}, "f", 3);
    flush();
    ck_assert_ptr_nonnull(
        strstr(heard(k), "{\"type\":\"resync\",\"reason\":\"history_replaced\",\"offset\":\"f-3\"}\n"));
    gone(k);
}
END_TEST

START_TEST(who_was_in_a_room_hears_it_in_the_new_history_too)
{
    struct sink *k = live(&protocol_ws, "u1", "");
    answer_heads(&(struct position){"e", 10}, "e", 3);
    flush();
    forget_output(k);
    feed(4, 1, "x", ",\"rooms\":[\"user:u1\"]");
    ck_assert_uint_eq(strlen(heard(k)) > 0, 1);
    gone(k);
}
END_TEST

/* --- against a model: what each socket hears is what was for it, in order, each once --- */

struct listener {
    struct sink *sink;
    const char *room;
    struct buf expected;
};

static void expect(struct listener *l, const char *room, uint64_t seq)
{
    if (!room || strcmp(room, l->room) == 0)
        buf_addf(&l->expected, "42[\"x\",%d,\"e-%d\"]\n", (int)seq, (int)seq);
}

START_TEST(any_order_of_blocks_and_events_reads_like_the_stream)
{
    static const char *const rooms[] = {NULL, "user:u0", "user:u1", "user:u2"};
    struct listener listeners[3];
    uint64_t seq = 10;
    dice_seed(_i);
    stage.policy.lag_bytes = SIZE_MAX;
    stage.policy.ring_events = 1 << 16;
    for (size_t i = 0; i < 3; i++) {
        char sub[8];
        snprintf(sub, sizeof sub, "u%zu", i);
        listeners[i] = (struct listener){.sink = live(&protocol_sio, sub, ""), .room = rooms[i + 1]};
        buf_init(&listeners[i].expected, SINK_BYTES);
    }
    for (int step = 0; step < STEPS; step++) {
        struct listener *l = &listeners[dice(3)];
        if (dice(3)) {
            const char *room = rooms[dice(4)];
            char more[64] = "";
            if (room)
                snprintf(more, sizeof more, ",\"rooms\":[\"%s\"]", room);
            seq++;
            feed(seq, 1, "x", more);
            for (size_t i = 0; i < 3; i++)
                expect(&listeners[i], room, seq);
        } else if (l->sink->session->blocked) {
            l->sink->takes = (size_t)dice(5);
            session_on_writable(l->sink->session);
        } else {
            l->sink->takes = dice(2) ? 0 : SIZE_MAX;
        }
    }
    for (size_t i = 0; i < 3; i++) {
        listeners[i].sink->takes = SIZE_MAX;
        session_on_writable(listeners[i].sink->session);
        flush();
        ck_assert_str_eq(heard(listeners[i].sink), listeners[i].expected.data);
        gone(listeners[i].sink);
        buf_free(&listeners[i].expected);
    }
}
END_TEST

START_TEST(a_socket_that_takes_nothing_is_cut)
{
    stage.policy.lag_ms = 30;
    struct sink *k = live(&protocol_ws, "u1", "");
    k->takes = 0;
    feed(11, 1, "x", "");
    run_for(50);
    ck_assert(k->closed);
    ck_assert_int_eq(k->code, 4413);
    gone(k);
}
END_TEST

static size_t reached(struct sink *const *all, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += all[i]->frames != 0;
    return n;
}

static void turn_with_event(uint64_t seq)
{
    feed_letter(seq, 1, "x", "");
    loop_wake_signal(stage.hub->wake);
    loop_turn(stage.loop);
}

START_TEST(a_fan_out_is_cut_into_short_slices_while_another_tenant_is_there)
{
    enum { CROWD = 60 };
    struct sink *all[CROWD], *other;
    char sub[16];
    stage.write_us = 20;
    for (int i = 0; i < CROWD; i++) {
        snprintf(sub, sizeof sub, "u%d", i);
        all[i] = live(&protocol_ws, sub, "");
    }
    /* Alone: at once, unless the machine was busy elsewhere for milliseconds. */
    uint64_t seq = 11;
    bool is_at_once = false;
    for (int i = 0; i < 20 && !is_at_once; i++) {
        turn_with_event(seq++);
        is_at_once = reached(all, CROWD) == CROWD;
        flush();
        for (int k = 0; k < CROWD; k++)
            forget_output(all[k]);
    }
    ck_assert(is_at_once);
    stage.token_tenant = "t2";
    other = opened(&protocol_ws);
    sign_in(other, "somebody", "");
    turn_with_event(seq);
    ck_assert_uint_gt(reached(all, CROWD), 0);
    ck_assert_uint_le(reached(all, CROWD), 12);
    for (int i = 0; i < 2 * CROWD; i++)
        loop_turn(stage.loop);
    ck_assert_uint_eq(reached(all, CROWD), CROWD);
    for (int i = 0; i < CROWD; i++)
        gone(all[i]);
    gone(other);
}
END_TEST

static int slowed(struct sink *const *all, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        n += all[i]->slowed;
    return n;
}

/* What each has said meanwhile is heard in that turn. The tick that begins it and the next turn may be one.
 */
START_TEST(who_was_slowed_is_read_on_one_a_turn)
{
    enum { CROWD = 6, TOOK_US = 500 };
    struct sink *all[CROWD], *other;
    char sub[16];
    stage.policy.tenant_share = 10;
    for (int i = 0; i < CROWD; i++) {
        snprintf(sub, sizeof sub, "u%d", i);
        all[i] = live(&protocol_ws, sub, "");
    }
    stage.token_tenant = "t2";
    other = opened(&protocol_ws);
    sign_in(other, "somebody", "");
    for (int i = 0; i < CROWD; i++)
        for (int k = 0; k < 200 && !all[i]->slowed; k++)
            pace_charge(all[i]->session, TOOK_US);
    int left = slowed(all, CROWD);
    ck_assert_int_eq(left, CROWD);
    for (int64_t end = clock_mono_ms() + 5000; left && clock_mono_ms() < end;) {
        int before = left;
        loop_turn(stage.loop);
        left = slowed(all, CROWD);
        ck_assert_int_le(before - left, before == CROWD ? 2 : 1);
    }
    ck_assert_int_eq(left, 0);
    for (int i = 0; i < CROWD; i++)
        gone(all[i]);
    gone(other);
}
END_TEST

/* With all the share, time that a message takes makes up for itself. What is left is the price of reading it:
 * this many are ahead of their time, unless the machine was busy elsewhere. */
START_TEST(reading_a_message_has_a_price_of_its_own)
{
    enum { TRIES = 5, MANY = 500 };
    stage.policy.tenant_share = 100;
    struct sink *talker = live(&protocol_ws, "talker", "");
    stage.token_tenant = "t2";
    struct sink *other = opened(&protocol_ws);
    sign_in(other, "somebody", "");
    int said = MANY;
    for (int i = 0; i < TRIES && said == MANY; i++) {
        t1()->pace.even_at_us = 0;
        for (said = 0; said < MANY && !talker->slowed; said++)
            say(talker, "{\"type\":\"ping\"}");
    }
    ck_assert_int_lt(said, MANY);
    gone(talker);
    gone(other);
}
END_TEST

Suite *suite_delivery(void)
{
    Suite *s = suite_create("delivery");
    TCase *t = tcase_create("delivery");
    tcase_add_checked_fixture(t, stage_set_up, stage_tear_down);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, events_that_come_together_leave_in_one_write);
    tcase_add_test(t, rooms_and_except_choose_who_hears);
    tcase_add_test(t, a_blocked_socket_goes_on_where_it_stopped);
    tcase_add_test(t, own_frames_go_before_events_and_survive_a_block);
    tcase_add_test(t, a_slow_socket_goes_on_from_the_log);
    tcase_add_test(t, a_slow_socket_is_told_when_the_log_has_lost_what_it_needs);
    tcase_add_test(t, a_burst_larger_than_the_ring_reaches_a_live_socket_whole);
    tcase_add_test(t, a_quiet_socket_is_not_taken_for_a_slow_one);
    tcase_add_test(t, who_was_written_to_between_two_events_hears_the_second_too);
    tcase_add_test(t, many_own_frames_leave_in_turns);
    tcase_add_test(t, old_events_are_forgotten);
    tcase_add_test(t, another_history_is_announced_in_the_stream);
    tcase_add_test(t, who_was_in_a_room_hears_it_in_the_new_history_too);
    tcase_add_loop_test(t, any_order_of_blocks_and_events_reads_like_the_stream, 0, 12);
    tcase_add_test(t, a_fan_out_is_cut_into_short_slices_while_another_tenant_is_there);
    tcase_add_test(t, who_was_slowed_is_read_on_one_a_turn);
    tcase_add_test(t, reading_a_message_has_a_price_of_its_own);
    tcase_add_test(t, a_socket_that_takes_nothing_is_cut);
    suite_add_tcase(s, t);
    return s;
}
