#include "portal-gateway/http/tunnel.h"
#include "shared/buf.h"
#include "shared/tcp.h"
#include "tests/unit/suites.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS = 2000, TURN_US = 500 };

/* One end on the loop, and what it has heard. */
struct end {
    struct loop *loop;
    struct tcp *tcp;
    struct buf heard;
    int opened, drained, closed;
    bool destroy_on_bytes;
};

static void on_open(void *ctx)
{
    ((struct end *)ctx)->opened++;
}

static void on_bytes(void *ctx, struct view bytes)
{
    struct end *e = ctx;
    buf_add_view(&e->heard, bytes);
    if (!e->destroy_on_bytes)
        return;
    tcp_destroy(e->tcp);
    e->tcp = NULL;
}

static void on_drained(void *ctx)
{
    ((struct end *)ctx)->drained++;
}

static void on_closed(void *ctx, const char *why)
{
    (void)why;
    ((struct end *)ctx)->closed++;
}

static const struct tcp_handler handler = {on_open, on_bytes, on_drained, on_closed};

static void start(struct end *e)
{
    *e = (struct end){.loop = loop_create()};
    buf_init(&e->heard, 64 << 20);
}

static void stop(struct end *e)
{
    tcp_destroy(e->tcp);
    buf_free(&e->heard);
    loop_destroy(e->loop);
}

#define TURN_UNTIL(loop, condition)                            \
    do {                                                       \
        bool is_done = false;                                  \
        for (int turn = 0; turn < TURNS && !is_done; turn++) { \
            loop_turn(loop);                                   \
            usleep(TURN_US);                                   \
            is_done = (condition);                             \
        }                                                      \
        ck_assert_msg(is_done, "in vain: %s", #condition);     \
    } while (0)

/* A listening socket on a free port of the loopback. */
static int listen_somewhere(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* What is there to be read, without waiting. */
static size_t read_all(int fd, struct buf *out)
{
    char bytes[65536];
    ssize_t n;
    size_t total = 0;
    while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        total += (size_t)n;
        if (out)
            buf_add(out, bytes, (size_t)n);
    }
    return total;
}

/* As much as fits. */
static size_t write_all(int fd, size_t most)
{
    char bytes[65536];
    size_t total = 0;
    memset(bytes, 'w', sizeof bytes);
    for (ssize_t n; total < most && (n = send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
        total += (size_t)n;
    return total;
}

START_TEST(a_connection_is_made_written_to_read_and_closed)
{
    struct end e;
    struct err err;
    struct buf there;
    int port, door = listen_somewhere(&port);
    start(&e);
    buf_init(&there, 1024);
    e.tcp = tcp_connect(e.loop, "127.0.0.1", port, &handler, &e, &err);
    ck_assert_ptr_nonnull(e.tcp);
    tcp_write(e.tcp, VIEW("early ")); /* before it is open */
    int peer = accept(door, NULL, NULL);
    TURN_UNTIL(e.loop, (read_all(peer, &there), e.opened == 1 && there.len == 6));
    ck_assert_int_eq(e.drained, 1);
    ck_assert_uint_eq(tcp_write(e.tcp, VIEW("late")), 0);
    TURN_UNTIL(e.loop, (read_all(peer, &there), there.len == 10));
    ck_assert(view_is(buf_view(&there), "early late"));
    ck_assert_int_eq(send(peer, "answer", 6, 0), 6);
    TURN_UNTIL(e.loop, e.heard.len == 6);
    tcp_finish(e.tcp);
    char byte;
    TURN_UNTIL(e.loop, recv(peer, &byte, 1, MSG_DONTWAIT) == 0);
    ck_assert_int_eq(e.closed, 0);
    close(peer);
    TURN_UNTIL(e.loop, e.closed == 1);
    ck_assert_uint_eq(tcp_write(e.tcp, VIEW("to nobody")), 0);
    for (int i = 0; i < 20; i++)
        loop_turn(e.loop);
    ck_assert_int_eq(e.closed, 1);
    buf_free(&there);
    close(door);
    stop(&e);
}
END_TEST

START_TEST(nobody_there_is_said)
{
    struct end e;
    struct err err = {0};
    int port, door = listen_somewhere(&port);
    close(door);
    start(&e);
    e.tcp = tcp_connect(e.loop, "127.0.0.1", port, &handler, &e, &err);
    TURN_UNTIL(e.loop, !e.tcp || e.closed == 1);
    ck_assert_int_eq(e.opened, 0);
    ck_assert_ptr_null(tcp_connect(e.loop, "localhost", port, &handler, &e, &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
    stop(&e);
}
END_TEST

START_TEST(what_is_not_taken_is_kept_and_then_sent)
{
    struct end e;
    int pair[2];
    size_t sent = 0, got = 0;
    start(&e);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    e.tcp = tcp_adopt(e.loop, pair[0], &handler, &e);
    char *much = calloc(1, 1 << 20);
    for (int i = 0; i < 8; i++, sent += 1 << 20)
        tcp_write(e.tcp, (struct view){much, 1 << 20});
    free(much);
    ck_assert_uint_gt(tcp_write(e.tcp, VIEW("")), 0);
    tcp_finish(e.tcp);
    ck_assert_int_eq(e.drained, 0);
    TURN_UNTIL(e.loop, (got += read_all(pair[1], NULL)) == sent);
    char byte;
    TURN_UNTIL(e.loop, recv(pair[1], &byte, 1, MSG_DONTWAIT) == 0);
    ck_assert_int_eq(e.drained, 1);
    close(pair[1]);
    stop(&e);
}
END_TEST

START_TEST(a_paused_one_reads_nothing)
{
    struct end e;
    int pair[2];
    start(&e);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    e.tcp = tcp_adopt(e.loop, pair[0], &handler, &e);
    tcp_pause(e.tcp);
    ck_assert_int_eq(send(pair[1], "x", 1, 0), 1);
    close(pair[1]);
    for (int i = 0; i < 20; i++)
        loop_turn(e.loop);
    ck_assert_uint_eq(e.heard.len, 0);
    ck_assert_int_eq(e.closed, 0);
    tcp_resume(e.tcp);
    TURN_UNTIL(e.loop, e.closed == 1);
    ck_assert_uint_eq(e.heard.len, 1);
    stop(&e);
}
END_TEST

START_TEST(one_may_be_destroyed_in_its_own_callback)
{
    struct end e;
    int pair[2];
    start(&e);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    e.destroy_on_bytes = true;
    e.tcp = tcp_adopt(e.loop, pair[0], &handler, &e);
    ck_assert_int_eq(send(pair[1], "x", 1, 0), 1);
    TURN_UNTIL(e.loop, !e.tcp);
    close(pair[1]);
    stop(&e);
}
END_TEST

/* A tunnel from a socketpair to a listener; *client and *owner are its two far ends. */
struct passage {
    struct loop *loop;
    struct tunnels all;
    size_t files;
    int client, owner, door;
};

static void dig(struct passage *p)
{
    int pair[2], port;
    p->loop = loop_create();
    p->door = listen_somewhere(&port);
    p->files = 0;
    tunnels_init(&p->all, p->loop, 60000, &p->files);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    p->client = pair[1];
    tunnel_open(&p->all, pair[0], "127.0.0.1", port, VIEW("HEAD"));
    p->owner = accept(p->door, NULL, NULL);
    ck_assert_uint_eq(p->files, 2);
}

static void fill_in(struct passage *p)
{
    tunnels_cut(&p->all, SIZE_MAX);
    ck_assert_uint_eq(p->all.count, 0);
    ck_assert_uint_eq(p->files, 0);
    close(p->client);
    close(p->owner);
    close(p->door);
    loop_destroy(p->loop);
}

START_TEST(a_tunnel_passes_bytes_and_ends_with_either_side)
{
    for (int who = 0; who < 2; who++) {
        struct passage p;
        struct buf there, here;
        dig(&p);
        buf_init(&there, 1024);
        buf_init(&here, 1024);
        TURN_UNTIL(p.loop, (read_all(p.owner, &there), there.len == 4));
        ck_assert_int_eq(send(p.owner, "101", 3, 0), 3);
        ck_assert_int_eq(send(p.client, "more", 4, 0), 4);
        TURN_UNTIL(p.loop,
                   (read_all(p.owner, &there), read_all(p.client, &here), here.len == 3 && there.len == 8));
        ck_assert(view_is(buf_view(&there), "HEADmore"));
        int leaving = who ? p.client : p.owner, staying = who ? p.owner : p.client;
        ck_assert_int_eq(send(leaving, "bye", 3, 0), 3);
        shutdown(leaving, SHUT_RDWR);
        char last[8];
        TURN_UNTIL(p.loop, recv(staying, last, sizeof last, MSG_DONTWAIT) == 3);
        TURN_UNTIL(p.loop, recv(staying, last, sizeof last, MSG_DONTWAIT) == 0);
        shutdown(staying, SHUT_RDWR);
        TURN_UNTIL(p.loop, p.all.count == 0);
        buf_free(&there);
        buf_free(&here);
        fill_in(&p);
    }
}
END_TEST

/* Closing a socket that still has something to be read would take back what was sent. */
START_TEST(the_last_words_arrive_though_there_is_more_to_read)
{
    struct passage p;
    char last[8];
    size_t in = 0, before = 1;
    dig(&p);
    ck_assert_int_eq(send(p.owner, "1", 1, 0), 1);
    TURN_UNTIL(p.loop, read_all(p.client, NULL) == 1);
    for (int quiet = 0; quiet < 50; quiet = in == before ? quiet + 1 : 0) {
        before = in;
        in += write_all(p.client, 256 << 20);
        loop_turn(p.loop);
        usleep(TURN_US);
    }
    ck_assert_int_eq(send(p.owner, "bye", 3, 0), 3);
    shutdown(p.owner, SHUT_WR);
    TURN_UNTIL(p.loop, recv(p.client, last, sizeof last, MSG_DONTWAIT) == 3);
    ssize_t end = -1;
    TURN_UNTIL(p.loop, (end = recv(p.client, last, sizeof last, MSG_DONTWAIT)) == 0 || errno != EAGAIN);
    ck_assert_int_eq(end, 0);
    fill_in(&p);
}
END_TEST

START_TEST(a_tunnel_to_nobody_says_try_again)
{
    struct loop *loop = loop_create();
    struct tunnels all;
    size_t files = 0;
    int pair[2], port, door = listen_somewhere(&port);
    char text[512] = "";
    close(door);
    tunnels_init(&all, loop, 60000, &files);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    tunnel_open(&all, pair[0], "127.0.0.1", port, VIEW("HEAD"));
    TURN_UNTIL(loop, recv(pair[1], text, sizeof text - 1, MSG_DONTWAIT) > 0);
    ck_assert_ptr_nonnull(strstr(text, "HTTP/1.1 503 "));
    close(pair[1]);
    TURN_UNTIL(loop, all.count == 0);
    loop_destroy(loop);
}
END_TEST

/* Whoever does not read stops whoever writes: what goes in is bounded by the kernel's buffers and one read.
 */
START_TEST(a_tunnel_keeps_little_and_loses_nothing)
{
    for (int who = 0; who < 2; who++) {
        struct passage p;
        dig(&p);
        int small = 65536;
        int from = who ? p.client : p.owner, to = who ? p.owner : p.client;
        setsockopt(from, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        setsockopt(to, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        ck_assert_int_eq(send(p.owner, "1", 1, 0), 1); /* the answer */
        TURN_UNTIL(p.loop, read_all(p.client, NULL) == 1);
        TURN_UNTIL(p.loop, read_all(p.owner, NULL) == 4);
        size_t in = 0, out = 0, before = 1;
        for (int quiet = 0; quiet < 50; quiet = in == before ? quiet + 1 : 0) {
            before = in;
            in += write_all(from, 256 << 20);
            loop_turn(p.loop);
            usleep(TURN_US);
        }
        ck_assert_uint_lt(in, 64 << 20); /* it has stopped */
        TURN_UNTIL(p.loop, (out += read_all(to, NULL)) == in);
        in = write_all(from, 1 << 20); /* and goes on */
        out = 0;
        TURN_UNTIL(p.loop, (out += read_all(to, NULL)) == in);
        fill_in(&p);
    }
}
END_TEST

START_TEST(a_tunnel_through_which_nothing_passes_ends)
{
    struct passage p;
    dig(&p);
    p.all.silent_ms = 100;
    ck_assert_int_eq(send(p.owner, "1", 1, 0), 1);
    TURN_UNTIL(p.loop, read_all(p.client, NULL) == 1);
    ck_assert_int_eq(send(p.client, "2", 1, 0), 1);
    TURN_UNTIL(p.loop, p.all.count == 0); /* both sides are still there */
    fill_in(&p);
}
END_TEST

Suite *suite_tcp(void)
{
    Suite *s = suite_create("tcp");
    TCase *t = tcase_create("tcp");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_connection_is_made_written_to_read_and_closed);
    tcase_add_test(t, nobody_there_is_said);
    tcase_add_test(t, what_is_not_taken_is_kept_and_then_sent);
    tcase_add_test(t, a_paused_one_reads_nothing);
    tcase_add_test(t, one_may_be_destroyed_in_its_own_callback);
    tcase_add_test(t, a_tunnel_passes_bytes_and_ends_with_either_side);
    tcase_add_test(t, the_last_words_arrive_though_there_is_more_to_read);
    tcase_add_test(t, a_tunnel_to_nobody_says_try_again);
    tcase_add_test(t, a_tunnel_keeps_little_and_loses_nothing);
    tcase_add_test(t, a_tunnel_through_which_nothing_passes_ends);
    suite_add_tcase(s, t);
    return s;
}
