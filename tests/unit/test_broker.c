/* A broker that lets its client in, reads all that it says, and is silent: as on a link that has died. */
#include "shared/broker.h"
#include "shared/clock.h"
#include "tests/unit/suites.h"
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEARTBEAT_MS = 1000, GIVES_UP_MS = 6 * HEARTBEAT_MS };

/* AMQP 0-9-1, 4.2.3: a method frame. The arguments begin with class and method. */
#define FRAME(channel, n, arguments) VIEW("\x01\0" channel "\0\0\0" n arguments "\xce")

static const struct {
    const char *asked; /* class and method */
    struct view said;
} answers[] = {
    {"\0\x0a\0\x0b", FRAME("\0", "\x0c", "\0\x0a\0\x1e\0\0\0\2\0\0\0\1")}, /* tune: a heartbeat of 1 s */
    {"\0\x0a\0\x28", FRAME("\0", "\x05", "\0\x0a\0\x29\0")},
    {"\0\x14\0\x0a", FRAME("\1", "\x08", "\0\x14\0\x0b\0\0\0\0")},
};

struct silent {
    int listening;
    char bytes[1 << 16];
    size_t count;
};

static void say(int fd, struct view bytes)
{
    ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    (void)n; /* who has gone hears nothing */
}

static void answer(int fd, const char *method)
{
    for (size_t i = 0; i < countof(answers); i++)
        if (!memcmp(method, answers[i].asked, 4))
            say(fd, answers[i].said);
}

/* Whole frames, the greeting taken off before. */
static void hear(struct silent *s, int fd)
{
    size_t at = 0;
    while (s->count - at >= 11) {
        const unsigned char *frame = (const unsigned char *)s->bytes + at;
        size_t n = 8 + ((size_t)frame[5] << 8) + frame[6];
        if (s->count - at < n)
            break;
        if (frame[0] == 1)
            answer(fd, (const char *)frame + 7);
        at += n;
    }
    s->count -= at;
    memmove(s->bytes, s->bytes + at, s->count);
}

/* Until the client goes, or has waited for too long. */
static void *serve(void *ctx)
{
    static const struct view start = FRAME("\0", "\x1c",
                                           "\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05"
                                           "en_US");
    struct silent *s = ctx;
    char greeting[8];
    int fd = accept(s->listening, NULL, NULL);
    struct pollfd input = {.fd = fd, .events = POLLIN};
    if (recv(fd, greeting, sizeof greeting, MSG_WAITALL) == sizeof greeting)
        say(fd, start);
    for (int64_t end_ms = clock_mono_ms() + GIVES_UP_MS, n = 1; n > 0 && clock_mono_ms() < end_ms;) {
        if (poll(&input, 1, 50) <= 0)
            continue;
        n = recv(fd, s->bytes + s->count, sizeof s->bytes - s->count, 0);
        s->count += n > 0 ? (size_t)n : 0;
        hear(s, fd);
    }
    close(fd);
    return NULL;
}

static int listen_somewhere(struct silent *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    s->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(!bind(s->listening, (struct sockaddr *)&at, size) && !listen(s->listening, 1));
    ck_assert_int_eq(getsockname(s->listening, (struct sockaddr *)&at, &size), 0);
    return ntohs(at.sin_port);
}

/* rabbitmq-c would wait for ever, were it asked to send at that moment: no call may be the last one. */
START_TEST(who_publishes_to_a_silent_broker_is_told)
{
    static struct silent silent;
    char url[64];
    struct err err = {0};
    pthread_t thread;
    struct broker_message message = {.routing_key = VIEW("nobody"), .body = VIEW("{}")};
    snprintf(url, sizeof url, "amqp://guest:guest@127.0.0.1:%d/", listen_somewhere(&silent));
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, &silent), 0);
    struct broker *broker = broker_create(url, "unit", &err);
    ck_assert_msg(broker && broker_open(broker, false, &err), "%s", err.text);
    int64_t since_ms = clock_mono_ms();
    while (broker_publish(broker, &message, NULL, &err))
        usleep(300);
    ck_assert_msg(strstr(err.text, "heartbeat") != NULL, "%s", err.text);
    ck_assert(!broker_is_open(broker));
    ck_assert_int_ge(clock_mono_ms() - since_ms, HEARTBEAT_MS);
    ck_assert_int_lt(clock_mono_ms() - since_ms, GIVES_UP_MS - HEARTBEAT_MS);
    broker_destroy(broker);
    pthread_join(thread, NULL);
    close(silent.listening);
}
END_TEST

Suite *suite_broker(void)
{
    Suite *s = suite_create("broker");
    TCase *t = tcase_create("broker");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, who_publishes_to_a_silent_broker_is_told);
    suite_add_tcase(s, t);
    return s;
}
