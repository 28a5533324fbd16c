#include "shared/compiler.h"
#include "tests/unit/server_fixture.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CROWD = 4000, ASKED = 100, ROUNDS = 5 };
#define REQUEST "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

static struct fixture f;
static int crowd[CROWD];

static void start(void)
{
    f = (struct fixture){.max_connections = 2 * CROWD};
    fixture_start(&f);
}

static void stop(void)
{
    fixture_stop(&f);
}

static void ask(int fd)
{
    char answer[1000];
    ck_assert_int_gt(send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL), 0);
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) <= 0)
        loop_turn(f.loop);
}

/* The least that so many requests on one connection cost, in clock ticks of the processor: theirs and ours.
 */
static clock_t cost(void)
{
    clock_t least = 0;
    int fd = fixture_dial(&f);
    for (int round = 0; round < ROUNDS; round++) {
        clock_t before = clock();
        for (int i = 0; i < ASKED; i++)
            ask(fd);
        clock_t took = clock() - before;
        least = !round || took < least ? took : least;
    }
    close(fd);
    return least;
}

static void check_crowd_costs_nothing(bool asks_once, int times_at_most)
{
    clock_t alone = cost();
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = fixture_dial(&f);
        loop_turn(f.loop);
        if (asks_once)
            ask(crowd[i]);
    }
    clock_t beside = cost();
    ck_assert_uint_ge(server_connections(f.server), CROWD);
    for (size_t i = 0; i < CROWD; i++)
        close(crowd[i]);
    printf("# %ld of the processor's ticks alone, %ld beside %d others\n", (long)alone, (long)beside, CROWD);
    ck_assert_int_lt(beside, times_at_most * alone);
}

START_TEST(who_has_said_nothing_costs_others_nothing)
{
    check_crowd_costs_nothing(false, 3);
}
END_TEST

START_TEST(who_has_nothing_more_to_ask_costs_others_nothing)
{
    check_crowd_costs_nothing(true, 2);
}
END_TEST

START_TEST(a_head_may_come_byte_by_byte)
{
    int fd = fixture_dial(&f);
    for (size_t i = 0; i < sizeof REQUEST - 1; i++) {
        ck_assert_uint_eq(f.requests, 0);
        fixture_send(&f, fd, (struct view){&REQUEST[i], 1});
        fixture_turn(&f, 2);
    }
    fixture_read(&f, fd, 30);
    ck_assert_uint_eq(fixture_seen(&f, "HTTP/1.1 200"), 1);
    ask(fd);
    close(fd);
}
END_TEST

/* What can be no head is for the library to refuse, at once. */
START_TEST(what_is_no_head_does_not_wait_for_the_rest)
{
    static const struct view rows[] = {VIEW("\x16\x03\x01\x02\x00\x01\x00\x01"), VIEW("GET /\0 HTTP/1.1\r\n"),
                                       VIEW("GET / HTTP/1.1\nHost: x\n\n")};
    for (size_t i = 0; i < countof(rows); i++) {
        int fd = fixture_dial(&f);
        fixture_send(&f, fd, rows[i]);
        fixture_turn(&f, 20);
        ck_assert_uint_eq(server_waiting(f.server), 0);
        close(fd);
    }
}
END_TEST

START_TEST(who_says_too_little_is_ended_and_who_leaves_is_forgotten)
{
    int silent = fixture_dial(&f), half = fixture_dial(&f), gone = fixture_dial(&f);
    fixture_send(&f, half, VIEW("GET / HT"));
    fixture_send(&f, gone, VIEW("GET / HT"));
    fixture_turn(&f, 20);
    ck_assert_uint_eq(server_waiting(f.server), 3);
    close(gone);
    fixture_turn(&f, 20);
    ck_assert_uint_eq(server_waiting(f.server), 2);
    fixture_read(&f, silent, 2000);
    ck_assert(f.eof);
    fixture_read(&f, half, 2000);
    ck_assert(f.eof);
    ck_assert_uint_eq(server_connections(f.server), 0);
    close(silent);
    close(half);
}
END_TEST

/* So that who is at work is heard in between. */
START_TEST(a_crowd_is_looked_at_a_few_a_turn)
{
    enum { MANY = 64, A_FEW = 4 };
    size_t waiting = 0;
    for (size_t i = 0; i < MANY; i++)
        crowd[i] = fixture_dial(&f);
    for (size_t now; waiting < MANY; waiting = now) {
        loop_turn(f.loop);
        now = server_waiting(f.server);
        ck_assert_uint_le(now - waiting, A_FEW);
    }
    for (size_t i = 0; i < MANY; i++)
        close(crowd[i]);
    for (size_t now; waiting; waiting = now) {
        loop_turn(f.loop);
        now = server_waiting(f.server);
        ck_assert_uint_le(waiting - now, A_FEW);
    }
}
END_TEST

Suite *suite_server_gate(void)
{
    Suite *s = suite_create("server_gate");
    TCase *t = tcase_create("server_gate");
    tcase_add_checked_fixture(t, start, stop);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, who_has_said_nothing_costs_others_nothing);
    tcase_add_test(t, who_has_nothing_more_to_ask_costs_others_nothing);
    tcase_add_test(t, a_head_may_come_byte_by_byte);
    tcase_add_test(t, what_is_no_head_does_not_wait_for_the_rest);
    tcase_add_test(t, who_says_too_little_is_ended_and_who_leaves_is_forgotten);
    tcase_add_test(t, a_crowd_is_looked_at_a_few_a_turn);
    suite_add_tcase(s, t);
    return s;
}
