/* The cursor against a model: whatever order events, losses, joins, links and recoveries come in, every
 * client hears what is for it, in order, once - or is told that it has to reload. */
#include "portal-gateway/core/news.h"
#include "tests/unit/cursor_client.h"
#include "tests/unit/dice.h"
#include "tests/unit/suites.h"
#include <string.h>

enum { SEEDS = 160, STEPS = 1500 };

static struct cursor_net *const net = &net_of_cursors;

static struct client *some_client(void)
{
    return &clients[dice(CLIENTS)];
}

static struct door *some_door(void)
{
    return &net->doors[dice(DOORS)];
}

static void publish_something(void)
{
    struct logged e = {.room = NOBODY, .user = NOBODY, .except = dice(8) ? NOBODY : dice(USERS_KNOWN)};
    e.everyone = !dice(3);
    if (!e.everyone && dice(4))
        e.room = dice(ROOMS);
    if (!e.everyone && (e.room == NOBODY || !dice(4)))
        e.user = dice(USERS_KNOWN);
    publish(&e);
}

static void publish_besides(void)
{
    if (dice(2))
        publish_latest();
    else
        publish_ephemeral();
}

static void deliver_some(void)
{
    struct door *d = some_door();
    for (int i = dice(6); i >= 0; i--)
        deliver_one(d, true);
}

static void answer_some(void)
{
    struct door *d = some_door();
    for (int i = dice(3); i >= 0; i--)
        answer_one(d, true);
}

static void pass_time(void)
{
    let_time_pass(some_door());
}

static void take_a_turn(void)
{
    turn(some_door());
}

static void change_sink(void)
{
    static const size_t takes[] = {0, 1, 3, SIZE_MAX};
    struct client *c = some_client();
    if (c->link)
        c->link->takes = takes[dice(4)];
}

static void unblock(struct client *c)
{
    if (c->link && c->link->session->blocked)
        session_on_writable(c->link->session);
}

static void drain_somebody(void)
{
    unblock(some_client());
}

static void read_some(void)
{
    client_read(some_client(), (size_t)dice(20));
}

static void connect_somebody(void)
{
    struct client *c = some_client();
    if (!c->link || !dice(4))
        client_connect(c, some_door(), c->link && dice(2));
}

static void disconnect_somebody(void)
{
    client_disconnect(some_client());
}

static void drop_an_old_link(void)
{
    client_drop_old(some_client());
}

static void change_a_room(void)
{
    client_change_room(some_client(), dice(ROOMS));
}

static void log_somebody_out(void)
{
    client_log_out(some_client());
}

static void trim_the_log(void)
{
    uint64_t least = net->count > 40 ? net->count - (uint64_t)dice(40) : 0;
    if (least > net->floor)
        net->floor = least;
}

static void kill_a_gateway(void)
{
    struct door *d = some_door();
    client_drop_door(d);
    door_kill(d);
}

static void cut_or_mend_a_gateway(void)
{
    struct door *d = some_door();
    d->is_cut = !d->is_cut;
}

static void rest(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients[i].link)
            clients[i].link->takes = SIZE_MAX;
        unblock(&clients[i]);
    }
    come_to_rest();
    clients_sweep();
    clients_check();
}

static const struct {
    int weight;
    void (*step)(void);
} steps[] = {
    {240, publish_something},
    {40, publish_besides},
    {200, deliver_some},
    {140, answer_some},
    {60, pass_time},
    {120, take_a_turn},
    {40, change_sink},
    {100, drain_somebody},
    {120, read_some},
    {80, connect_somebody},
    {24, disconnect_somebody},
    {20, drop_an_old_link},
    {100, change_a_room},
    {4, log_somebody_out},
    {3, trim_the_log},
    {6, kill_a_gateway},
    {6, cut_or_mend_a_gateway},
    {16, rest},
};

static void step(void)
{
    int all = 0;
    for (size_t i = 0; i < countof(steps); i++)
        all += steps[i].weight;
    int at = dice(all);
    size_t which = 0;
    for (; at >= steps[which].weight; which++)
        at -= steps[which].weight;
    steps[which].step();
    clients_sweep();
}

START_TEST(everybody_hears_what_is_for_him)
{
    size_t recovered = 0, heard_all = 0;
    dice_seed(_i); /* of whom the report's number speaks */
    for (int i = 0; i < STEPS; i++)
        step();
    rest();
    for (size_t i = 0; i < CLIENTS; i++) {
        recovered += clients[i].recovered;
        heard_all += clients[i].heard;
    }
    ck_assert_uint_ge(recovered, 1);
    ck_assert_uint_ge(heard_all, 100);
}
END_TEST

/* --- what it has found, one by one --- */

START_TEST(what_one_letter_pushes_out_of_the_ring_is_heard)
{
    stage.policy.ring_events = 8;
    struct sink *k = live(&protocol_ws, "u1", "");
    feed_letter(11, 30, "n", "");
    ck_assert_uint_eq(t1()->stream.ring.head - t1()->stream.ring.first, 30);
    flush();
    ck_assert_uint_eq(k->frames, 30);
    ck_assert_ptr_nonnull(strstr(heard(k), "\"data\":11,"));
    feed(41, 1, "n", "");
    ck_assert_uint_eq(t1()->stream.ring.head - t1()->stream.ring.first, 8);
    gone(k);
}
END_TEST

START_TEST(a_join_that_is_acknowledged_survives_a_jump)
{
    struct sink *k = live(&protocol_sio, "u1", "");
    say(k, "421[\"join_conversation\",\"c1\"]");
    settle(stage.asked_token, "{\"ok\":true,\"reply\":{\"offset\":\"e-12\"}}");
    ck_assert_ptr_nonnull(strstr(heard(k), "431[{\"ok\":true"));
    feed(11, 1, "before", ",\"rooms\":[\"conversation:c1\"]");
    ck_assert_ptr_null(strstr(heard(k), "before"));
    answer_heads(&(struct position){"e", 11}, "e", 20);
    t1()->stream.asking = true; /* from 12 to 20 the log has nothing any more */
    t1()->stream.asked_after = t1()->stream.at;
    struct news *n = news_create(NEWS_REPLAY, "t1");
    n->replay = (struct replay){.after = t1()->stream.at, .head = {"e", 20}};
    news_take(stage.hub, n);
    feed(21, 1, "behind", ",\"rooms\":[\"conversation:c1\"]");
    ck_assert_ptr_nonnull(strstr(heard(k), "42[\"resync\",{\"reason\":\"events_gone\"},\"e-20\"]"));
    ck_assert_ptr_nonnull(strstr(heard(k), "42[\"behind\",21,\"e-21\"]"));
    gone(k);
}
END_TEST

START_TEST(a_join_before_any_history_is_from_its_place_on)
{
    struct sink *k = opened(&protocol_sio);
    sign_in(k, "u1", "");
    place("", 0);
    say(k, "421[\"join_conversation\",\"c1\"]");
    settle(stage.asked_token, "{\"ok\":true,\"reply\":{\"offset\":\"e-2\"}}");
    feed(1, 1, "before", ",\"rooms\":[\"conversation:c1\"]");
    feed(2, 1, "n", "");
    feed(3, 1, "behind", ",\"rooms\":[\"conversation:c1\"]");
    ck_assert_ptr_null(strstr(heard(k), "before"));
    ck_assert_ptr_nonnull(strstr(heard(k), "42[\"behind\",3,\"e-3\"]"));
    gone(k);
}
END_TEST

static void set_up(void)
{
    cursor_set_up();
    clients_set_up();
}

static void tear_down(void)
{
    clients_tear_down();
    cursor_tear_down();
}

Suite *suite_cursor(void)
{
    Suite *s = suite_create("cursor");
    TCase *t = tcase_create("cursor");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, everybody_hears_what_is_for_him, 0, SEEDS);
    suite_add_tcase(s, t);
    t = tcase_create("found");
    tcase_add_checked_fixture(t, stage_set_up, stage_tear_down);
    tcase_add_test(t, what_one_letter_pushes_out_of_the_ring_is_heard);
    tcase_add_test(t, a_join_that_is_acknowledged_survives_a_jump);
    tcase_add_test(t, a_join_before_any_history_is_from_its_place_on);
    suite_add_tcase(s, t);
    return s;
}
