#include "shared/tcp.h"
#include "shared/buf.h"
#include "shared/mem.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 32768, KEPT_MAX = 1 << 30 };

struct tcp {
    int fd;
    struct loop_watch *watch;
    const struct tcp_handler *handler;
    void *ctx;
    struct buf kept;
    size_t sent; /* of what is kept */
    bool connecting, paused, finished;
    bool ended; /* on_closed was called */
    bool handling,
        gone; /* inside one of the handler's calls; it destroyed us: our memory goes after the call */
};

static void watch(struct tcp *t)
{
    bool writes = t->connecting || t->kept.len, reads = !t->connecting && !t->paused && !t->ended;
    loop_watch_want(t->watch, (writes ? LOOP_WRITE : 0) | (reads ? LOOP_READ : 0));
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == EINTR;
}

static void end(struct tcp *t, const char *why)
{
    t->ended = true;
    t->connecting = false;
    buf_free(&t->kept);
    t->sent = 0;
    watch(t);
    t->handler->on_closed(t->ctx, why);
}

/* What the kernel takes; an error is left for the next read to find. */
static size_t send_some(const struct tcp *t, const char *bytes, size_t n)
{
    ssize_t sent = send(t->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? (size_t)sent : 0;
}

static void say_end(const struct tcp *t)
{
    if (t->finished && !t->kept.len && !t->connecting)
        shutdown(t->fd, SHUT_WR);
}

static bool outlived_call(struct tcp *t)
{
    t->handling = false;
    bool gone = t->gone;
    if (gone)
        free(t);
    return !gone;
}

/* The following return whether the connection is still there and the event goes on. */

static bool on_connected(struct tcp *t)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &n) || error) {
        end(t, strerror(error));
        return false;
    }
    t->connecting = false;
    say_end(t);
    t->handling = true;
    if (t->handler->on_open)
        t->handler->on_open(t->ctx);
    return outlived_call(t);
}

static bool send_kept(struct tcp *t)
{
    if (!t->kept.len)
        return true;
    ssize_t sent = send(t->fd, t->kept.data + t->sent, t->kept.len - t->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && !is_passing(errno)) {
        end(t, strerror(errno));
        return false;
    }
    t->sent += sent > 0 ? (size_t)sent : 0;
    if (t->sent < t->kept.len)
        return true;
    buf_free(&t->kept);
    t->sent = 0;
    say_end(t);
    t->handling = true;
    if (t->handler->on_drained)
        t->handler->on_drained(t->ctx);
    return outlived_call(t);
}

static bool read_some(struct tcp *t)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(t->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && is_passing(errno))
        return true;
    if (n <= 0) {
        end(t, n ? strerror(errno) : "closed by the other side");
        return false;
    }
    t->handling = true;
    t->handler->on_bytes(t->ctx, (struct view){bytes, (size_t)n});
    return outlived_call(t);
}

static void on_event(void *ctx, int events)
{
    struct tcp *t = ctx;
    if (t->connecting && !on_connected(t))
        return;
    if (events & LOOP_WRITE && !send_kept(t))
        return;
    if (events & LOOP_READ && !t->paused && !t->ended && !read_some(t))
        return;
    watch(t);
}

static struct tcp *create(struct loop *loop, int fd, const struct tcp_handler *handler, void *ctx)
{
    struct tcp *t = xcalloc(1, sizeof *t);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    t->fd = fd;
    t->handler = handler;
    t->ctx = ctx;
    buf_init(&t->kept, KEPT_MAX);
    t->watch = loop_watch_create(loop, fd, on_event, t);
    return t;
}

struct tcp *tcp_adopt(struct loop *loop, int fd, const struct tcp_handler *handler, void *ctx)
{
    struct tcp *t = create(loop, fd, handler, ctx);
    watch(t);
    return t;
}

struct tcp *tcp_connect(struct loop *loop, const char *address, int port, const struct tcp_handler *handler,
                        void *ctx, struct err *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) {
        err_set(err, ERR_INVALID, "%s is not an IP address", address);
        return NULL;
    }
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int failed = fd < 0  ? -1
                 : is_v4 ? connect(fd, (struct sockaddr *)&v4, sizeof v4)
                         : connect(fd, (struct sockaddr *)&v6, sizeof v6);
    if (failed && (fd < 0 || errno != EINPROGRESS)) {
        err_set(err, ERR_UNAVAILABLE, "cannot connect to %s port %d: %s", address, port, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct tcp *t = create(loop, fd, handler, ctx);
    t->connecting = true;
    watch(t);
    return t;
}

void tcp_destroy(struct tcp *t)
{
    if (!t)
        return;
    loop_watch_destroy(t->watch);
    close(t->fd);
    buf_free(&t->kept);
    t->gone = true;
    if (!t->handling)
        free(t);
}

size_t tcp_write(struct tcp *t, struct view bytes)
{
    if (t->ended || t->finished)
        return 0;
    size_t sent = t->connecting || t->kept.len ? 0 : send_some(t, bytes.p, bytes.n);
    if (sent < bytes.n)
        buf_add(&t->kept, bytes.p + sent, bytes.n - sent);
    watch(t);
    return t->kept.len - t->sent;
}

void tcp_finish(struct tcp *t)
{
    t->finished = true;
    say_end(t);
}

void tcp_pause(struct tcp *t)
{
    t->paused = true;
    watch(t);
}

void tcp_resume(struct tcp *t)
{
    t->paused = false;
    watch(t);
}
