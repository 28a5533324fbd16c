/* Requests with a body, before their body is there. */
#include "tests/unit/server_fixture.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <unistd.h>

static struct fixture f;

static void set_up(void)
{
    f.asks_heads = true;
    fixture_start(&f);
}

static void tear_down(void)
{
    fixture_stop(&f);
}

static int post(const char *path, size_t length, const char *body)
{
    char head[200];
    int fd = fixture_dial(&f);
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", path, length,
             body);
    fixture_send(&f, fd, view_of(head));
    fixture_turn(&f, 30);
    return fd;
}

START_TEST(the_handler_is_asked_once_before_the_body)
{
    int fd = post("/echo", 10, "01234");
    ck_assert_uint_eq(f.heads, 1);
    ck_assert_uint_eq(f.requests, 0);
    fixture_send(&f, fd, VIEW("56789"));
    fixture_read(&f, fd, 60);
    ck_assert_uint_eq(fixture_seen(&f, "body=0123456789 "), 1);
    ck_assert_uint_eq(fixture_seen(&f, "Connection: close"), 0);
    ck_assert_uint_eq(f.requests, 1);
    ck_assert_uint_eq(f.gone, 0);
    close(fd);
}
END_TEST

START_TEST(without_a_body_there_is_nothing_to_ask)
{
    close(post("/echo", 0, ""));
    fixture_ask(&f, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_uint_eq(f.heads, 0);
    ck_assert_uint_eq(f.requests, 2);
}
END_TEST

START_TEST(an_unwanted_body_is_not_read)
{
    int fd = post("/echo", MAX_BODY + 1, "x");
    fixture_read(&f, fd, 60);
    ck_assert_uint_eq(fixture_seen(&f, "HTTP/1.1 413 "), 1);
    ck_assert_uint_eq(fixture_seen(&f, "Connection: close"), 1);
    ck_assert_uint_eq(fixture_seen(&f, "Content-Length: 0\r\n"), 1);
    ck_assert(f.eof);
    ck_assert_uint_eq(f.requests, 0);
    close(fd);
    fixture_turn(&f, 50);
    ck_assert_uint_eq(f.gone, 0);
    ck_assert_uint_eq(server_connections(f.server), 0);
}
END_TEST

START_TEST(who_leaves_before_the_end_of_the_body_is_told_of)
{
    close(post("/echo", 10, "01234"));
    fixture_turn(&f, 100);
    ck_assert_uint_eq(f.gone, 1);
    ck_assert_uint_eq(f.requests, 0);
}
END_TEST

START_TEST(a_body_that_does_not_come_in_time_is_as_good_as_gone)
{
    int fd = post("/echo", 10, "01234");
    fixture_read(&f, fd, 800);
    ck_assert_uint_eq(fixture_seen(&f, "HTTP/1.1 408 "), 1);
    ck_assert_uint_eq(f.gone, 1);
    ck_assert_uint_eq(f.requests, 0);
    close(fd);
}
END_TEST

START_TEST(a_request_may_be_cut)
{
    int fd = post("/echo", 10, "01234");
    server_abort(f.server, f.head);
    fixture_read(&f, fd, 100);
    ck_assert(f.eof);
    ck_assert_uint_eq(f.count, 0);
    ck_assert_uint_eq(f.gone, 1);
    close(fd);
    fd = post("/hold", 1, "x");
    ck_assert_uint_eq(f.held_count, 1);
    server_abort(f.server, f.held[0]);
    fixture_read(&f, fd, 100);
    ck_assert(f.eof);
    ck_assert_uint_eq(f.gone, 2);
    server_abort(f.server, f.held[0]); /* of one that is gone: nothing */
    close(fd);
}
END_TEST

Suite *suite_server_head(void)
{
    Suite *s = suite_create("server_head");
    TCase *t = tcase_create("server_head");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, the_handler_is_asked_once_before_the_body);
    tcase_add_test(t, without_a_body_there_is_nothing_to_ask);
    tcase_add_test(t, an_unwanted_body_is_not_read);
    tcase_add_test(t, who_leaves_before_the_end_of_the_body_is_told_of);
    tcase_add_test(t, a_body_that_does_not_come_in_time_is_as_good_as_gone);
    tcase_add_test(t, a_request_may_be_cut);
    suite_add_tcase(s, t);
    return s;
}
