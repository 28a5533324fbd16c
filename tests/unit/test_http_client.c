/* http_client against a listener of its own that gives one canned answer a connection. */
#include "shared/http_client.h"
#include "shared/mem.h"
#include "shared/worker.h"
#include "tests/unit/suites.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASKED_MAX = 8192 };

struct peer {
    int fd, port;
    const char *answer; /* NULL: says nothing */
    char asked[ASKED_MAX];
    struct worker *worker;
};

static void serve(struct worker *worker, void *ctx)
{
    struct peer *peer = ctx;
    while (!worker_stopping(worker)) {
        struct pollfd listener = {.fd = peer->fd, .events = POLLIN};
        if (poll(&listener, 1, 20) <= 0)
            continue;
        int fd = accept(peer->fd, NULL, NULL);
        ssize_t n = recv(fd, peer->asked, sizeof peer->asked - 1, 0);
        peer->asked[n > 0 ? n : 0] = 0;
        if (peer->answer && send(fd, peer->answer, strlen(peer->answer), MSG_NOSIGNAL) < 0)
            peer->asked[0] = 0;
        while (!peer->answer && !worker_stopping(worker))
            usleep(10000);
        close(fd);
    }
}

static struct peer *peer_create(const char *answer)
{
    struct peer *peer = xcalloc(1, sizeof *peer);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    peer->answer = answer;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(peer->fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(peer->fd, 8), 0);
    ck_assert_int_eq(getsockname(peer->fd, (struct sockaddr *)&address, &size), 0);
    peer->port = ntohs(address.sin_port);
    peer->worker = worker_start("peer", serve, peer);
    return peer;
}

static void peer_destroy(struct peer *peer)
{
    worker_destroy(peer->worker);
    close(peer->fd);
    free(peer);
}

static bool ask(const char *url, struct http_result *result, struct err *err)
{
    static const char *const headers[] = {"X-Unit: yes"};
    struct http_client *client = http_client_create();
    struct http_call call = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .header_count = 1,
                             .body = VIEW("{\"a\":1}"),
                             .timeout_ms = 500,
                             .max_response = 16};
    bool fine = http_request(client, &call, result, err);
    http_client_destroy(client);
    return fine;
}

START_TEST(request_and_answer)
{
    struct peer *peer =
        peer_create("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    struct http_result result;
    struct err err;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x?y=z", peer->port);
    ck_assert_msg(ask(url, &result, &err), "%s", err.text);
    ck_assert_int_eq(result.status, 404);
    ck_assert_str_eq(buf_view(&result.body).p, "hello");
    ck_assert(!strncmp(peer->asked, "POST /x?y=z HTTP/1.1\r\n", 22));
    ck_assert(strstr(peer->asked, "X-Unit: yes\r\n"));
    ck_assert(strstr(peer->asked, "Content-Length: 7\r\n"));
    ck_assert(!strstr(peer->asked, "Expect"));
    http_result_release(&result);
    peer_destroy(peer);
}
END_TEST

static const struct {
    const char *answer;
    bool fine;
    int status;
    enum err_code code;
} answers[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n12345678901234567", false, 0, ERR_TOO_LARGE},
    {"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n1234567890123456", true, 200, ERR_NONE},
    {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", true, 302, ERR_NONE},
    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123", false, 0, ERR_TIMEOUT}, /* cut off */
    {"", false, 0, ERR_TIMEOUT},   /* closed without an answer */
    {NULL, false, 0, ERR_TIMEOUT}, /* silence */
};

START_TEST(answers_of_all_kinds)
{
    struct peer *peer = peer_create(answers[_i].answer);
    struct http_result result;
    struct err err = {0};
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer->port);
    ck_assert_int_eq(ask(url, &result, &err), answers[_i].fine);
    ck_assert_int_eq(err.code, answers[_i].code);
    ck_assert_int_eq(result.status, answers[_i].status);
    http_result_release(&result);
    peer_destroy(peer);
}
END_TEST

static const struct {
    const char *url;
    enum err_code code;
} nowhere[] = {
    {"http://127.0.0.1:1/", ERR_UNAVAILABLE},
    {"http://no-such-host.invalid/", ERR_UNAVAILABLE},
    {"ftp://127.0.0.1/", ERR_INVALID},
    {"file:///etc/passwd", ERR_INVALID},
    {"http://", ERR_INVALID},
};

START_TEST(nobody_is_reached)
{
    struct http_result result;
    struct err err = {0};
    ck_assert(!ask(nowhere[_i].url, &result, &err));
    ck_assert_int_eq(err.code, nowhere[_i].code);
    http_result_release(&result);
}
END_TEST

Suite *suite_http_client(void)
{
    Suite *suite = suite_create("http_client");
    TCase *tests = tcase_create("http_client");
    tcase_add_test(tests, request_and_answer);
    tcase_add_loop_test(tests, answers_of_all_kinds, 0, (int)countof(answers));
    tcase_add_loop_test(tests, nobody_is_reached, 0, (int)countof(nowhere));
    suite_add_tcase(suite, tests);
    return suite;
}
