/*
 * Sockets wait here until the head of their first request is there as a whole. The library keeps its
 * deadlines in one sorted list, and looks for a place in it from the front: with five thousand connections
 * that have said nothing, each request of everybody else cost forty times as much. Here who says nothing
 * costs nothing.
 *
 * What has come is only looked at (MSG_PEEK), and the kernel is told to be silent until there is more.
 */
#include "shared/mem.h"
#include "shared/server_parts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { TICK_MS = 250 };

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
    loop_watch_destroy(a->watch);
    a->watch = NULL;
    list_unlink(&a->node);
}

static void on_readable(void *ctx, int events)
{
    (void)events;
    struct arrival *a = ctx;
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
    if (list_empty(&s->unheard))
        loop_timer_start(s->gate_timer, TICK_MS, TICK_MS);
    a->since = loop_now_ms(s->loop);
    list_append(&s->unheard, &a->node);
    a->watch = loop_watch_create(s->loop, a->fd, on_readable, a);
    loop_watch_want(a->watch, LOOP_READ);
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
    s->gate_timer = loop_timer_create(s->loop, on_tick, s);
}

void gate_finish(struct server *s)
{
    loop_timer_destroy(s->gate_timer);
}
