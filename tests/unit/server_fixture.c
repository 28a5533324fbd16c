#include "tests/unit/server_fixture.h"
#include "shared/mem.h"
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static void reply_text(struct fixture *f, uint64_t id, struct view text, bool close)
{
    static const struct reply_header more[] = {{"X-More", "1"}, {"X-Bad", "a\r\nX-Injected: 1"}};
    struct reply reply = {.status = 200,
                          .content_type = "text/plain",
                          .body = text,
                          .headers = more,
                          .header_count = countof(more),
                          .close = close};
    ck_assert(server_reply(f->server, id, &reply));
    ck_assert(!server_reply(f->server, id, &reply));
}

static void echo_request(struct fixture *f, const struct request *r)
{
    char text[1000], q[20];
    bool has_q = request_query(r, "q", q, sizeof q);
    struct view header = request_header(r, "x-thing");
    int n = snprintf(text, sizeof text, "method=%d path=%.*s query=%.*s q=%s thing=%.*s body=%.*s from=%s",
                     (int)r->method, VIEW_ARG(r->path), VIEW_ARG(r->query), has_q ? q : "(none)",
                     VIEW_ARG(header), VIEW_ARG(r->body), r->address);
    reply_text(f, r->id, (struct view){text, (size_t)n}, false);
}

static bool on_head(void *ctx, const struct request *r, uint64_t body_bytes)
{
    struct fixture *f = ctx;
    struct reply refusal = {.status = 413};
    f->heads++;
    f->head = r->id;
    return body_bytes <= MAX_BODY || !server_reply(f->server, r->id, &refusal);
}

static void on_request(void *ctx, const struct request *r)
{
    struct fixture *f = ctx;
    f->requests++;
    if (view_is(r->path, "/hold")) {
        ck_assert(f->held_count < HELD_MAX);
        f->held[f->held_count++] = r->id;
    } else if (view_is(r->path, "/lasting")) {
        struct reply reply = {
            .status = 200, .content_type = "text/plain", .body = f->lasting, .body_stays = true};
        server_reply(f->server, r->id, &reply);
    } else if (view_is(r->path, "/big")) {
        char *big = xcalloc(1, BIG_BYTES);
        memset(big, 'b', BIG_BYTES);
        reply_text(f, r->id, (struct view){big, BIG_BYTES}, false);
        free(big);
    } else if (view_starts(r->path, "/echo")) {
        echo_request(f, r);
    } else {
        reply_text(f, r->id, VIEW("ok"), view_is(r->path, "/close"));
    }
}

static void on_gone(void *ctx, uint64_t id)
{
    struct fixture *f = ctx;
    struct reply reply = {.status = 204};
    ck_assert(!server_reply(f->server, id, &reply));
    f->gone++;
}

static bool on_upgrade(void *ctx, const struct request *r, struct upgrade *answer)
{
    struct fixture *f = ctx;
    struct view offered = request_header(r, "sec-websocket-protocol");
    ck_assert(view_copy(offered, f->protocol, sizeof f->protocol));
    snprintf(answer->subprotocol, sizeof answer->subprotocol, "%s", offered.n ? "portalcast" : "");
    answer->user = f;
    struct reply refusal = {.status = 401, .content_type = "text/plain", .body = VIEW("no")};
    return !view_is(r->path, "/forbidden") || !server_reply(f->server, r->id, &refusal);
}

static void on_ws_open(void *ctx, struct ws *ws)
{
    struct fixture *f = ctx;
    ck_assert_ptr_eq(ws_user(ws), f);
    f->ws = ws;
    f->opened++;
}

static void flood(struct fixture *f, struct ws *ws)
{
    static unsigned char frame[WS_HEADER_MAX + FLOOD_BYTES];
    size_t head = ws_frame_header(frame, WS_BINARY, FLOOD_BYTES), taken;
    struct iovec frames[3];
    for (size_t i = 0; i < countof(frames); i++)
        frames[i] = (struct iovec){frame, head + FLOOD_BYTES};
    do {
        taken = ws_write(ws, frames, countof(frames));
        f->flooded += taken * (head + FLOOD_BYTES);
    } while (taken == countof(frames));
    f->is_flooding = true;
}

static void on_ws_message(void *ctx, struct ws *ws, struct view message, bool is_text)
{
    struct fixture *f = ctx;
    f->messages++;
    if (view_is(message, "close")) {
        ws_close(ws, 1000, "bye");
    } else if (view_is(message, "close0")) {
        ws_close(ws, 0, NULL);
    } else if (view_is(message, "abort")) {
        ws_abort(ws);
    } else if (view_is(message, "flood")) {
        flood(f, ws);
    } else {
        unsigned char head[WS_HEADER_MAX];
        char *frame = xcalloc(1, WS_HEADER_MAX + message.n);
        size_t n = ws_frame_header(head, is_text ? WS_TEXT : WS_BINARY, message.n);
        memcpy(frame, head, n);
        memcpy(frame + n, message.p, message.n);
        struct iovec whole = {frame, n + message.n};
        ck_assert_uint_eq(ws_write(ws, &whole, 1), 1);
        free(frame);
    }
}

static void on_ws_writable(void *ctx, struct ws *ws)
{
    struct fixture *f = ctx;
    (void)ws;
    f->writables++;
}

static void on_ws_close(void *ctx, struct ws *ws)
{
    struct fixture *f = ctx;
    if (f->ws == ws)
        f->ws = NULL;
    f->closed++;
}

static bool origin_may_read(void *ctx, const struct request *r)
{
    (void)ctx;
    return view_is(request_header(r, "origin"), "https://known");
}

void fixture_start(struct fixture *f)
{
    struct server_handler handler = {.on_request = on_request,
                                     .on_gone = on_gone,
                                     .on_upgrade = on_upgrade,
                                     .on_ws_open = on_ws_open,
                                     .on_ws_message = on_ws_message,
                                     .on_ws_writable = on_ws_writable,
                                     .on_ws_close = on_ws_close,
                                     .origin_may_read = origin_may_read};
    *f = (struct fixture){.loop = loop_create(),
                          .asks_heads = f->asks_heads,
                          .max_connections = f->max_connections ? f->max_connections : HELD_MAX,
                          .handler = handler};
    f->handler.on_head = f->asks_heads ? on_head : NULL;
    struct server_options options = {.host = "127.0.0.1",
                                     .max_body = MAX_BODY,
                                     .max_message = MAX_MESSAGE,
                                     .max_connections = f->max_connections,
                                     .other_files = &f->other_files,
                                     .head_timeout_ms = 1000,
                                     .body_timeout_ms = 400,
                                     .server_name = "unit",
                                     .handler = &f->handler,
                                     .ctx = f};
    struct err err;
    f->server = server_create(f->loop, &options, &err);
    ck_assert_msg(f->server != NULL, "%s", err.text);
    ck_assert_int_gt(server_port(f->server), 0);
}

void fixture_stop(struct fixture *f)
{
    server_destroy(f->server);
    loop_destroy(f->loop);
    free(f->bytes);
    ck_assert_uint_eq(f->opened, f->closed);
}

void fixture_turn(struct fixture *f, int ms)
{
    int64_t end = now_ms() + ms;
    do {
        loop_turn(f->loop);
        usleep(500);
    } while (now_ms() < end);
}

int fixture_dial(struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in where = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)server_port(f->server)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ck_assert_msg(!connect(fd, (struct sockaddr *)&where, sizeof where), "connect: %s", strerror(errno));
    return fd;
}

void fixture_send(struct fixture *f, int fd, struct view bytes)
{
    int64_t end = now_ms() + 2000;
    while (bytes.n && now_ms() < end) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            return;
        if (n > 0) {
            bytes.p += n;
            bytes.n -= (size_t)n;
        }
        loop_turn(f->loop);
    }
}

enum { QUIET_TURNS = 20 };

struct view fixture_read(struct fixture *f, int fd, int quiet_ms)
{
    f->count = 0;
    f->eof = false;
    int turns = 0; /* without a byte: where the processor is elsewhere, time alone says nothing */
    for (int64_t last = now_ms(); !f->eof && (now_ms() - last < quiet_ms || turns < QUIET_TURNS); turns++) {
        if (f->capacity - f->count < 65536) {
            f->capacity = f->capacity * 2 + 65537;
            f->bytes = xrealloc(f->bytes, f->capacity);
        }
        ssize_t n = recv(fd, f->bytes + f->count, f->capacity - f->count - 1, MSG_DONTWAIT);
        f->eof = n == 0 || (n < 0 && errno != EAGAIN);
        if (n > 0) {
            f->count += (size_t)n;
            last = now_ms();
            turns = 0;
        } else if (!f->eof) {
            fixture_turn(f, 0);
        }
    }
    f->bytes[f->count] = 0;
    return (struct view){f->bytes, f->count};
}

struct view fixture_ask(struct fixture *f, const char *request)
{
    int fd = fixture_dial(f);
    fixture_send(f, fd, view_of(request));
    struct view answer = fixture_read(f, fd, 60);
    close(fd);
    return answer;
}

void fixture_answer_held(struct fixture *f)
{
    struct reply reply = {.status = 200, .content_type = "text/plain", .body = VIEW("late")};
    for (size_t i = 0; i < f->held_count; i++) {
        bool answered = server_reply(f->server, f->held[i], &reply);
        (void)answered; /* the tests count what arrives */
    }
    f->held_count = 0;
}

int fixture_upgrade(struct fixture *f, const char *headers)
{
    char request[3000];
    snprintf(request, sizeof request,
             "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
             headers);
    int fd = fixture_dial(f);
    fixture_send(f, fd, view_of(request));
    fixture_read(f, fd, 60);
    return fd;
}

size_t fixture_seen(const struct fixture *f, const char *text)
{
    size_t seen = 0, n = strlen(text);
    for (const char *at = f->bytes; (at = memmem(at, f->count - (size_t)(at - f->bytes), text, n)); at += n)
        seen++;
    return seen;
}
