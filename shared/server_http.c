#include "shared/loop.h"
#include "shared/mem.h"
#include "shared/server_parts.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    PARK_AFTER_MS = 100,
    LOOK_AFTER_MS = 500, /* how often parked clients are looked after */
    SCRATCH_MAX = 1 << 20,
    STALL_MS = 30000, /* a reply's reader that takes nothing for so long is cut */
    LINGER_MS = 1000, /* for clients that do not read the refusal, see CONN_LINGERING */
    CLOSE_MS = 3000,  /* for a WebSocket's close handshake */
    LINGER_BYTES = 1 << 20,
    ORIGIN_SIZE = 256, /* a longer one is not answered to */
    CORS_HEADERS = 3
};

bool request_query(const struct request *r, const char *name, char *out, size_t size)
{
    return http_query_param(r->query, name, out, size);
}

/* States and deadlines. */

static struct list *list_of_state(struct conn *c, enum conn_state state)
{
    struct server *s = c->server;
    switch (state) {
    case CONN_READING:
        return &s->reading;
    case CONN_HELD:
        return &s->held;
    case CONN_PARKED:
        return &s->parked;
    case CONN_SENDING:
        return &s->sending;
    case CONN_LINGERING:
        return &s->lingering;
    case CONN_WS_CLOSING:
        return &s->closing;
    case CONN_WS:
        return c->message.data ? &s->reading : NULL;
    case CONN_IDLE:
        return &s->idle;
    case CONN_CUT:
        break;
    }
    return NULL;
}

static int tick_of(enum conn_state state)
{
    if (state == CONN_SENDING)
        return SERVER_SEND_TICK_MS;
    return state == CONN_IDLE ? SERVER_IDLE_TICK_MS : SERVER_TICK_MS;
}

/* Entering the state that it is in starts its deadline anew. */
void conn_enter(struct conn *c, enum conn_state state)
{
    struct list *list = list_of_state(c, state);
    list_unlink(&c->node);
    c->state = state;
    if (!list)
        return;
    c->since = loop_now_ms(c->server->loop);
    list_append(list, &c->node);
    server_start_tick(c->server, tick_of(state));
}

/* Replies. */

static const char *date_now(struct server *s)
{
    int64_t now = (int64_t)time(NULL);
    if (now != s->date_second)
        http_date(now, s->date);
    s->date_second = now;
    return s->date;
}

static bool is_broken(ssize_t sent)
{
    return sent < 0 && errno != EAGAIN && errno != EINTR;
}

/* Writes head and body in one system call; what the kernel does not take is kept for the tick. Large bodies
 * that stay are not copied: there may be many clients that ask for them and do not read. */
static void send_reply(struct exchange *x, struct view head, struct view body, bool body_stays)
{
    struct iovec parts[] = {{(void *)(uintptr_t)head.p, head.n}, {(void *)(uintptr_t)body.p, body.n}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = body.n ? 2 : 1};
    ssize_t sent = sendmsg(x->conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (is_broken(sent)) {
        x->close = true;
        return;
    }
    size_t taken = sent > 0 ? (size_t)sent : 0;
    if (taken == head.n + body.n)
        return;
    buf_init(&x->rest, head.n + body.n);
    for (size_t i = 0; i < countof(parts); i++) {
        size_t skip = taken < parts[i].iov_len ? taken : parts[i].iov_len;
        struct view left = {(const char *)parts[i].iov_base + skip, parts[i].iov_len - skip};
        if (i && body_stays)
            x->later = left;
        else
            buf_add_view(&x->rest, left);
        taken -= skip;
    }
}

static void answer(struct exchange *x, const struct reply *reply)
{
    struct server *s = x->conn->server;
    x->is_answered = true;
    x->close |= reply->close;
    struct http_reply_context context = {.date = date_now(s),
                                         .server_name = s->options.server_name,
                                         .close = x->close,
                                         .keep_alive = x->says_keep_alive};
    buf_clear(&s->scratch);
    http_reply_head(&s->scratch, reply, &context);
    bool has_body =
        reply->content_type && x->request.method != HTTP_HEAD && reply->status != 204 && reply->status != 304;
    struct view body = has_body ? reply->body : VIEW("");
    x->is_late = visit_delays(x, reply);
    if (!x->is_late) {
        send_reply(x, buf_view(&s->scratch), body, reply->body_stays);
        return;
    }
    buf_init(&x->rest, s->scratch.len + body.n);
    buf_add_view(&x->rest, buf_view(&s->scratch));
    buf_add_view(&x->rest, body);
}

/*
 * libwebsockets leaves the input of a socket unread while a reply is due (4.3.5 even ends a connection on
 * which there is some). Level-triggered, that would spin the loop, and would not tell that the client has
 * gone. So its reading is paused; because it then asks for writability all the time if it has read something
 * ahead, the kernel is made to be silent about the socket in a later tick; and the tick itself asks for it.
 */
static void quieten(struct conn *c)
{
    if (c->quiet == QUIET_NOT) {
        link_pause(c);
        c->quiet = QUIET_PAUSED;
    } else if (c->quiet == QUIET_PAUSED) {
        loop_silence_fd(c->server->loop, c->fd);
        c->quiet = QUIET_SILENT;
    }
}

/* What follows a reply; false: the connection has to end. */
static bool go_on(struct conn *c)
{
    struct exchange *x = c->exchange;
    if (x->rest.len > x->rest_sent || x->later.n) {
        if (c->state != CONN_SENDING) {
            link_no_timeout(c);
            quieten(c);
        }
        conn_enter(c, CONN_SENDING);
        return true;
    }
    bool close = x->close;
    exchange_destroy(x);
    conn_enter(c, CONN_IDLE);
    if (close)
        return false;
    if (c->quiet != QUIET_NOT)
        link_resume(c);
    c->quiet = QUIET_NOT;
    bool goes_on = link_next_request(c);
    if (goes_on)
        link_no_timeout(c);
    return goes_on;
}

/* Whether the client has gone, or has closed its sending side (which browsers and libraries do not do). */
static bool has_hung_up(const struct conn *c)
{
    struct pollfd fd = {.fd = c->fd, .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0 && fd.revents;
}

bool server_reply(struct server *s, uint64_t request_id, const struct reply *reply)
{
    struct exchange *x = exchange_find(s, request_id);
    if (!x || x->is_answered || x->conn->state == CONN_CUT)
        return false;
    struct conn *c = x->conn;
    /* What would be lost is better kept, and the tick has not looked for a while. */
    if (c->state == CONN_PARKED && has_hung_up(c)) {
        conn_cut(c);
        return false;
    }
    answer(x, reply);
    if (!c->dispatching && !x->is_late && !go_on(c))
        conn_cut(c);
    return true;
}

/* From here on the tick sends it. */
void http_send_late(struct exchange *x)
{
    struct conn *c = x->conn;
    x->is_late = false;
    link_no_timeout(c);
    quieten(c);
    conn_enter(c, CONN_SENDING);
}

void server_abort(struct server *s, uint64_t request_id)
{
    struct exchange *x = exchange_find(s, request_id);
    if (x && !x->is_answered)
        conn_cut(x->conn);
}

int server_take_socket(struct server *s, uint64_t request_id)
{
    struct exchange *x = exchange_find(s, request_id);
    if (!x || x->is_answered || !x->conn->dispatching)
        return -1;
    int fd = net_take_socket(x->conn);
    x->is_answered = fd >= 0;
    return fd;
}

/* After an answer before the body was read: closing now, with bytes unread, would reset the connection and
 * might take the answer with it. */
static void linger(struct conn *c)
{
    struct exchange *x = c->exchange;
    if (!x->rest.len)
        shutdown(c->fd, SHUT_WR);
    x->expected = 0;
    conn_enter(c, CONN_LINGERING);
}

/* The handler will not be asked for an answer any more. */
static void take_back(struct exchange *x)
{
    const struct server *s = x->conn->server;
    bool is_awaited = x->is_shown && !x->is_answered;
    x->is_shown = false;
    x->is_answered = true;
    if (is_awaited)
        s->options.handler->on_gone(s->options.ctx, x->request.id);
}

/* What lets the page that asked read a refusal; returns how many. */
static size_t cors_headers(const struct exchange *x, char origin[static ORIGIN_SIZE],
                           struct reply_header out[static CORS_HEADERS])
{
    const struct server_options *options = &x->conn->server->options;
    if (!options->handler->origin_may_read || !options->handler->origin_may_read(options->ctx, &x->request) ||
        !view_copy(request_header(&x->request, "origin"), origin, ORIGIN_SIZE))
        return 0;
    out[0] = (struct reply_header){"Access-Control-Allow-Origin", origin};
    out[1] = (struct reply_header){"Access-Control-Allow-Credentials", "true"};
    out[2] = (struct reply_header){"Vary", "Origin"};
    return CORS_HEADERS;
}

bool http_refuse(struct conn *c, int status)
{
    struct exchange *x = c->exchange;
    struct buf body;
    char origin[ORIGIN_SIZE];
    struct reply_header headers[2 + CORS_HEADERS] = {{"Upgrade", "websocket"},
                                                     {"Sec-WebSocket-Version", "13"}};
    size_t count = status == 426 ? 2 : 0;
    count += cors_headers(x, origin, headers + count);
    take_back(x);
    buf_init(&body, 1024);
    http_refusal_body(status, &body);
    answer(x, &(struct reply){.status = status,
                              .content_type = "application/json",
                              .body = buf_view(&body),
                              .headers = headers,
                              .header_count = count,
                              .close = true});
    buf_free(&body);
    if (x->rest.len && !link_queue(c, x->rest.data, x->rest.len))
        return false;
    if (!x->promises_body)
        return false;
    linger(c);
    return true;
}

/* Requests. */

static bool dispatch(struct conn *c)
{
    struct server *s = c->server;
    struct exchange *x = c->exchange;
    x->is_shown = true;
    c->dispatching = true;
    s->options.handler->on_request(s->options.ctx, &x->request);
    c->dispatching = false;
    if (x->is_answered && !x->is_late)
        return go_on(c);
    if (x->is_late)
        buf_free(&x->body);
    link_no_timeout(c);
    /* After a body the library copes by itself for a while: short waits of the many, webhooks, are to cost
     * no system calls. */
    if (!x->body.len)
        quieten(c);
    conn_enter(c, CONN_HELD);
    return true;
}

/* Asks the handler whether it wants the body; false: it has answered. */
static bool is_body_wanted(struct conn *c, uint64_t body_bytes)
{
    struct server *s = c->server;
    struct exchange *x = c->exchange;
    if (!s->options.handler->on_head)
        return true;
    bool close = x->close;
    x->close = true; /* what an answer has to say now */
    c->dispatching = true;
    x->is_shown = s->options.handler->on_head(s->options.ctx, &x->request, body_bytes);
    c->dispatching = false;
    x->close = close;
    return x->is_shown;
}

bool http_on_head(struct conn *c, const struct http_head *head)
{
    struct exchange *x = c->exchange;
    const struct server_options *options = &c->server->options;
    bool asks_keep_alive = http_list_has(head->connection, "keep-alive");
    x->says_keep_alive = asks_keep_alive && !http_is_1_1(head->version);
    x->close = http_list_has(head->connection, "close") || (!http_is_1_1(head->version) && !asks_keep_alive);
    x->promises_body = http_head_promises_body(head);
    uint64_t body_bytes;
    int status = http_head_check(head, options->handler->on_head ? SIZE_MAX : options->max_body, &body_bytes);
    if (status)
        return http_refuse(c, status);
    if (!body_bytes)
        return dispatch(c);
    if (!is_body_wanted(c, body_bytes)) {
        if (!x->is_answered)
            return http_refuse(c, 403);
        if (x->rest.len && !link_queue(c, x->rest.data, x->rest.len))
            return false;
        linger(c);
        return true;
    }
    x->expected = (size_t)body_bytes;
    buf_init(&x->body, x->expected);
    conn_enter(c, CONN_READING);
    return true;
}

bool http_on_body(struct conn *c, struct view chunk)
{
    struct exchange *x = c->exchange;
    if (c->state == CONN_LINGERING) {
        x->expected += chunk.n;
        return x->expected <= LINGER_BYTES;
    }
    if (c->state != CONN_READING) {
        if (x)
            x->close = true; /* 4.3.5 takes what is pipelined behind a body for more of it */
        return c->state != CONN_CUT;
    }
    /* A request with a body that came in the same packet as the one before it: libwebsockets (4.1.6 to 4.3.5,
     * lws_http_action) hands its head out as its body, and then spins for ever if it gets an answer. */
    if (!x->body.len && chunk.n && http_may_be_request_line(chunk, x->request.method)) {
        x->promises_body = false;
        http_refuse(c, 400);
        return false;
    }
    size_t missing = x->expected - x->body.len;
    if (chunk.n <= missing)
        return buf_add_view(&x->body, chunk);
    buf_add(&x->body, chunk.p, missing);
    x->close = true; /* as above; and it will not say that the body has ended */
    return http_on_body_end(c);
}

bool http_on_body_end(struct conn *c)
{
    /* Also called for what is pipelined behind a request with a body that is held. */
    if (c->state != CONN_READING)
        return c->state != CONN_LINGERING && c->state != CONN_CUT;
    c->exchange->request.body = buf_view(&c->exchange->body);
    return dispatch(c);
}

/* The tick: deadlines, and what the library cannot do about sockets with a reply outstanding. */

static void quieten_parked(struct server *s)
{
    for (struct list *node = s->parked.prev; node != &s->parked; node = node->prev) {
        struct conn *c = container_of(node, struct conn, node);
        if (c->quiet == QUIET_SILENT)
            break;
        quieten(c);
    }
}

/* Not at once: this costs system calls, and short waits are the rule. */
static void park_long_held(struct server *s, int64_t now)
{
    list_foreach(node, &s->held)
    {
        struct conn *c = container_of(node, struct conn, node);
        if (now - c->since < PARK_AFTER_MS)
            break;
        if (c->quiet == QUIET_NOT)
            quieten(c);
        link_no_timeout(c); /* 4.3.5 sets one when something is pipelined behind a body */
        link_forget_head(c);
        conn_enter(c, CONN_PARKED);
    }
}

/* Asks the kernel about every conn of the list; the answers are in s->polls, in the order of the list. */
static size_t poll_list(struct server *s, const struct list *list, short events)
{
    size_t count = 0;
    list_foreach(node, list)
    {
        if (count == s->poll_capacity) {
            s->poll_capacity = count ? count * 2 : 64;
            s->polls = xrealloc(s->polls, s->poll_capacity * sizeof *s->polls);
        }
        const struct conn *c = container_of(node, struct conn, node);
        s->polls[count++] = (struct pollfd){.fd = c->fd, .events = events};
    }
    return count && poll(s->polls, count, 0) > 0 ? count : 0;
}

static void look_after_parked(struct server *s, int64_t now)
{
    if (now - s->looked_at_parked < LOOK_AFTER_MS)
        return;
    s->looked_at_parked = now;
    size_t count = poll_list(s, &s->parked, POLLRDHUP);
    const struct pollfd *found = s->polls;
    list_foreach(node, &s->parked)
    {
        struct conn *c = container_of(node, struct conn, node);
        if (count && (found++)->revents)
            conn_cut(c);
    }
}

static void send_rest(struct conn *c)
{
    struct exchange *x = c->exchange;
    bool is_later = x->rest_sent == x->rest.len;
    struct view next = x->later;
    if (!is_later)
        next = (struct view){x->rest.data + x->rest_sent, x->rest.len - x->rest_sent};
    ssize_t sent = send(c->fd, next.p, next.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (is_broken(sent)) {
        conn_cut(c);
        return;
    }
    size_t taken = sent > 0 ? (size_t)sent : 0;
    if (is_later)
        x->later = (struct view){next.p + taken, next.n - taken};
    else
        x->rest_sent += taken;
    if (!go_on(c))
        conn_cut(c);
}

static void look_after_sending(struct server *s)
{
    list_foreach(node, &s->sending) quieten(container_of(node, struct conn, node));
    size_t count = poll_list(s, &s->sending, POLLOUT);
    struct list *node = s->sending.next;
    for (size_t i = 0; i < count; i++) {
        struct conn *c = container_of(node, struct conn, node);
        node = node->next; /* before c goes to the end of the list, or elsewhere */
        if (s->polls[i].revents)
            send_rest(c);
    }
}

/* Calls what has to be done about each conn of the list that is there for longer than `ms`. */
static void expire(struct list *list, int64_t now, int ms, void (*end)(struct conn *))
{
    list_foreach(node, list)
    {
        struct conn *c = container_of(node, struct conn, node);
        if (now - c->since < ms)
            break;
        end(c);
    }
}

static void end_reading(struct conn *c)
{
    if (c->state == CONN_WS) {
        ws_on_message_timeout(c);
    } else {
        c->exchange->promises_body = false;
        http_refuse(c, 408);
        conn_cut(c);
    }
}

static void on_tick(void *ctx)
{
    struct server *s = ctx;
    int64_t now = loop_now_ms(s->loop);
    expire(&s->reading, now, s->options.body_timeout_ms, end_reading);
    expire(&s->sending, now, STALL_MS, conn_cut);
    expire(&s->lingering, now, LINGER_MS, conn_cut);
    expire(&s->closing, now, CLOSE_MS, conn_cut);
    expire(&s->idle, now, SERVER_KEEP_ALIVE_MS, conn_cut);
    quieten_parked(s);
    park_long_held(s, now);
    look_after_parked(s, now);
    look_after_sending(s);
    struct list *const lists[] = {&s->reading, &s->held, &s->parked, &s->sending, &s->lingering, &s->closing};
    bool busy = false;
    for (size_t i = 0; i < countof(lists); i++)
        busy = busy || !list_empty(lists[i]);
    if (!busy && list_empty(&s->idle))
        loop_timer_stop(s->tick);
    if (!busy || list_empty(&s->sending))
        s->tick_ms = 0;
    if (busy || !list_empty(&s->idle))
        server_start_tick(s, busy ? SERVER_TICK_MS : SERVER_IDLE_TICK_MS);
}

void server_start_tick(struct server *s, int every_ms)
{
    if (s->tick_ms && s->tick_ms <= every_ms)
        return;
    s->tick_ms = every_ms;
    loop_timer_start(s->tick, every_ms, every_ms);
}

void server_init_requests(struct server *s)
{
    struct list *const lists[] = {&s->idle,    &s->reading,   &s->held,   &s->parked,
                                  &s->sending, &s->lingering, &s->closing};
    for (size_t i = 0; i < countof(lists); i++)
        list_init(lists[i]);
    buf_init(&s->scratch, SCRATCH_MAX);
    s->tick = loop_timer_create(s->loop, on_tick, s);
}

void server_finish_requests(struct server *s)
{
    loop_timer_destroy(s->tick);
    buf_free(&s->scratch);
    free(s->slots);
    free(s->polls);
}
