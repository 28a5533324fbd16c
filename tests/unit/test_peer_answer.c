#include "portal-gateway/http/peer_answer.h"
#include "tests/unit/suites.h"
#include <string.h>

static const char fine[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 5\r\n"
    "Date: Sat, 21 Nov 2026 10:00:00 GMT\r\nServer: portalcast\r\nVary: Origin\r\n"
    "X-Empty:\r\nCache-Control:  no-store \r\n\r\nhello";

START_TEST(an_answer_is_read_in_any_pieces)
{
    for (size_t size = 1; size < sizeof fine; size++) {
        struct peer_answer a;
        struct reply reply;
        enum peer_answer_state state = PEER_ANSWER_PART;
        peer_answer_init(&a);
        for (size_t at = 0; at < sizeof fine - 1; at += size) {
            ck_assert_int_eq(state, PEER_ANSWER_PART);
            size_t n = sizeof fine - 1 - at < size ? sizeof fine - 1 - at : size;
            state = peer_answer_add(&a, (struct view){fine + at, n});
        }
        ck_assert_int_eq(state, PEER_ANSWER_WHOLE);
        ck_assert(!a.closes);
        peer_answer_read(&a, &reply);
        ck_assert_int_eq(reply.status, 200);
        ck_assert_str_eq(reply.content_type, "text/plain; charset=UTF-8");
        ck_assert(view_is(reply.body, "hello"));
        ck_assert_uint_eq(reply.header_count, 3);
        ck_assert_str_eq(reply.headers[0].name, "Vary");
        ck_assert_str_eq(reply.headers[0].value, "Origin");
        ck_assert_str_eq(reply.headers[1].name, "X-Empty");
        ck_assert_str_eq(reply.headers[1].value, "");
        ck_assert_str_eq(reply.headers[2].value, "no-store");
        peer_answer_finish(&a);
    }
}
END_TEST

static enum peer_answer_state state_of(const char *text)
{
    struct peer_answer a;
    peer_answer_init(&a);
    enum peer_answer_state state = peer_answer_add(&a, view_of(text));
    peer_answer_finish(&a);
    return state;
}

START_TEST(what_our_server_does_not_write_is_no_answer)
{
    static const char *const broken[] = {
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1 \r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nVary: Or\nX: y\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nVary: Or\rX: y\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        "\r\n\r\n",
    };
    for (size_t i = 0; i < countof(broken); i++)
        ck_assert_msg(state_of(broken[i]) == PEER_ANSWER_BROKEN, "%s", broken[i]);
    ck_assert_int_eq(state_of("HTTP/1.1 204 No Content\r\n\r\n"), PEER_ANSWER_WHOLE);
    ck_assert_int_eq(state_of("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
                     PEER_ANSWER_WHOLE);
}
END_TEST

START_TEST(a_head_without_end_is_given_up)
{
    struct peer_answer a;
    peer_answer_init(&a);
    size_t n = 0;
    while (peer_answer_add(&a, VIEW("HTTP/1.1 200 OK ")) == PEER_ANSWER_PART)
        n += 16;
    ck_assert_uint_le(n, PEER_ANSWER_HEAD_MAX);
    peer_answer_finish(&a);
}
END_TEST

Suite *suite_peer_answer(void)
{
    Suite *s = suite_create("peer_answer");
    TCase *t = tcase_create("peer_answer");
    tcase_add_test(t, an_answer_is_read_in_any_pieces);
    tcase_add_test(t, what_our_server_does_not_write_is_no_answer);
    tcase_add_test(t, a_head_without_end_is_given_up);
    suite_add_tcase(s, t);
    return s;
}
