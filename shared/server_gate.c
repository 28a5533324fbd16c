/*
 * Sockets wait here until the head of their first request is there as a whole. The library keeps its
 * deadlines in one sorted list, and looks for a place in it from the front: with five thousand connections
 * that have said nothing, each request of everybody else cost forty times as much. Here who says nothing
 * costs nothing.
 *
 * What has come is only looked at (MSG_PEEK), and the kernel is told to be silent until there is more. A
 * thousand may ask at once: the kernel tells of them by a set of its own, a few in a turn of the loop.
 */
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/server_parts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TICK_MS = 250, HEADS_PER_TURN = 4 };

/* Bytes that no head has: the library refuses them at once. */
static bool is_odd(unsigned char c)
{
    return c < 0x20 && c != '\t' && c != '\r' && c != '\n';
}

/* Whether there is nothing to wait for: the head is whole, or too large, or none. A bare line feed ends a
 * line, too: what is wrong with that is said by whoever reads the head. */
static bool is_enough(struct view said, size_t seen)
{
    if (said.n == SERVER_HEAD_MAX || said.p[0] < 'A' || said.p[0] > 'Z')
        return true;
    for (size_t i = seen > 3 ? seen - 3 : 0; i < said.n; i++) {
        struct view rest = {said.p + i, said.n - i};
        if (is_odd((unsigned char)said.p[i]) || view_starts(rest, "\n\n") || view_starts(rest, "\n\r\n"))
            return true;
    }
    return false;
}

/* Reports the socket only when there are so many bytes, or its end. */
static void want_bytes(const struct arrival *a, size_t n)
{
    int least = (int)n;
    setsockopt(a->fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
}

static void stop_waiting(struct arrival *a)
{
    struct epoll_event ignored = {0};
    epoll_ctl(a->server->gate_fd, EPOLL_CTL_DEL, a->fd, &ignored);
    list_unlink(&a->node);
    if (list_empty(&a->server->unheard))
        loop_watch_want(a->server->gate, 0);
}

static void look_at(struct arrival *a)
{
    char *bytes = a->server->header_value;
    ssize_t n = recv(a->fd, bytes, SERVER_HEAD_MAX, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n == a->seen) { /* it has ended */
        stop_waiting(a);
        visit_on_silence(a);
        return;
    }
    if (!is_enough((struct view){bytes, (size_t)n}, a->seen)) {
        a->seen = (size_t)n;
        want_bytes(a, a->seen + 1);
        return;
    }
    if (a->seen)
        want_bytes(a, 1);
    stop_waiting(a);
    visit_on_head(a);
}

static void on_said(void *ctx, int happened)
{
    struct server *s = ctx;
    struct epoll_event events[HEADS_PER_TURN];
    int n = epoll_wait(s->gate_fd, events, HEADS_PER_TURN, 0);
    (void)happened;
    for (int i = 0; i < n; i++)
        look_at(events[i].data.ptr);
}

static void on_tick(void *ctx)
{
    struct server *s = ctx;
    int64_t now = loop_now_ms(s->loop);
    list_foreach(node, &s->unheard)
    {
        struct arrival *a = container_of(node, struct arrival, node);
        if (now - a->since < s->options.head_timeout_ms)
            return;
        stop_waiting(a);
        visit_on_silence(a);
    }
    loop_timer_stop(s->gate_timer);
}

void gate_wait(struct arrival *a)
{
    struct server *s = a->server;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = a};
    if (list_empty(&s->unheard))
        loop_timer_start(s->gate_timer, TICK_MS, TICK_MS);
    loop_watch_want(s->gate, LOOP_READ);
    a->since = loop_now_ms(s->loop);
    list_append(&s->unheard, &a->node);
    if (epoll_ctl(s->gate_fd, EPOLL_CTL_ADD, a->fd, &event))
        log_debug("gate_not_watched", "fd=%d", a->fd); /* then it ends as one that says nothing */
}

void gate_close(struct server *s)
{
    while (!list_empty(&s->unheard)) {
        struct arrival *a = container_of(s->unheard.next, struct arrival, node);
        stop_waiting(a);
        visit_on_silence(a);
    }
    loop_timer_stop(s->gate_timer);
}

void gate_init(struct server *s)
{
    list_init(&s->unheard);
    s->gate_fd = epoll_create1(EPOLL_CLOEXEC);
    s->gate = loop_watch_create(s->loop, s->gate_fd, on_said, s);
    s->gate_timer = loop_timer_create(s->loop, on_tick, s);
}

void gate_finish(struct server *s)
{
    loop_timer_destroy(s->gate_timer);
    loop_watch_destroy(s->gate);
    if (s->gate_fd >= 0)
        close(s->gate_fd);
}
