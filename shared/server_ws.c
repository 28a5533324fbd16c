#include "shared/loop.h"
#include "shared/server_parts.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum {
    WRITE_FRAMES = 64,       /* at most, in one system call */
    REASON_MAX = 123,        /* RFC 6455, 5.5: a control frame carries 125 bytes, 2 are the code */
    CODES_END = 5000,        /* of close codes */
    UNSENT_MAX = 128 * 1024, /* bytes that the kernel keeps for a peer that does not read */
    DROPPED_MAX = 16 * 1024  /* bytes that are read and dropped after the end */
};

size_t ws_frame_header(unsigned char out[static WS_HEADER_MAX], enum ws_opcode opcode, uint64_t payload_bytes)
{
    size_t extra = payload_bytes < 126 ? 0 : payload_bytes <= UINT16_MAX ? 2 : 8;
    out[0] = (unsigned char)(0x80 | opcode);
    out[1] = (unsigned char)(extra == 0 ? payload_bytes : extra == 2 ? 126 : 127);
    for (size_t i = 0; i < extra; i++)
        out[2 + i] = (unsigned char)(payload_bytes >> 8 * (extra - 1 - i));
    return 2 + extra;
}

void *ws_user(const struct ws *ws)
{
    return ws->user;
}

unsigned ws_kind(const struct ws *ws)
{
    return ws->kind;
}

void ws_set_user(struct ws *ws, void *user, unsigned char kind)
{
    *ws = (struct ws){.user = user, .kind = kind};
}

const char *ws_address(const struct ws *ws)
{
    return conn_of(ws)->address;
}

/* Writing. */

void ws_want_writable(struct ws *ws)
{
    struct conn *c = conn_of(ws);
    if (c->state != CONN_WS || c->wants_writable)
        return;
    c->wants_writable = true;
    link_want_writable(c);
}

/* How many of the frames the kernel took at least a byte of; *left is what is left of the last one. */
static size_t count_taken(const struct iovec *frames, size_t count, size_t sent, struct view *left)
{
    size_t i = 0;
    for (; i < count && sent >= frames[i].iov_len; i++)
        sent -= frames[i].iov_len;
    if (i == count || !sent)
        return i;
    *left = (struct view){(const char *)frames[i].iov_base + sent, frames[i].iov_len - sent};
    return i + 1;
}

static ssize_t send_frames(int fd, const struct iovec *frames, size_t count)
{
    if (count == 1)
        return send(fd, frames->iov_base, frames->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)frames, .msg_iovlen = count};
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

size_t ws_write(struct ws *ws, const struct iovec *frames, size_t count)
{
    struct conn *c = conn_of(ws);
    if (c->state != CONN_WS || !count)
        return 0;
    size_t taken = 0;
    if (!link_buffered(c)) {
        size_t offered = count < WRITE_FRAMES ? count : WRITE_FRAMES;
        ssize_t sent = send_frames(c->fd, frames, offered);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            ws_abort(ws);
            return 0;
        }
        struct view left = {0};
        taken = sent > 0 ? count_taken(frames, offered, (size_t)sent, &left) : 0;
        if (left.n && !link_queue(c, left.p, left.n))
            ws_abort(ws);
    }
    if (taken < count)
        ws_want_writable(ws);
    return taken;
}

void ws_on_writable(struct conn *c)
{
    if (c->state != CONN_WS || !c->wants_writable || link_buffered(c))
        return;
    c->wants_writable = false;
    c->server->options.handler->on_ws_writable(c->server->options.ctx, &c->ws);
}

void ws_pause(struct ws *ws, bool on)
{
    struct conn *c = conn_of(ws);
    if (c->state != CONN_WS)
        return;
    if (on)
        link_pause(c);
    else
        link_resume(c);
}

/* The end. */

void ws_close(struct ws *ws, int code, const char *reason)
{
    struct conn *c = conn_of(ws);
    if (c->state != CONN_WS)
        return;
    struct view why = code ? view_of(reason) : VIEW("");
    if (why.n > REASON_MAX)
        why.n = REASON_MAX;
    unsigned char frame[WS_HEADER_MAX + 2 + REASON_MAX];
    size_t n = ws_frame_header(frame, WS_CLOSE, code ? 2 + why.n : 0);
    if (code) {
        frame[n++] = (unsigned char)(code >> 8);
        frame[n++] = (unsigned char)code;
        memcpy(frame + n, why.p, why.n);
        n += why.n;
    }
    buf_free(&c->message);
    conn_enter(c, CONN_WS_CLOSING);
    ssize_t sent = link_buffered(c) ? 0 : send(c->fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    size_t taken = sent > 0 ? (size_t)sent : 0;
    if (taken < n && !link_queue(c, frame + taken, n - taken))
        conn_cut(c);
}

void ws_abort(struct ws *ws)
{
    struct conn *c = conn_of(ws);
    buf_free(&c->message);
    conn_cut(c);
}

/* RFC 6455, 7.4.2. Other codes that may not be sent the library has made 1002 by now. */
static bool may_be_echoed(struct view close)
{
    const unsigned char *code = (const unsigned char *)close.p;
    return !close.n || (close.n > 1 && (code[0] << 8 | code[1]) < CODES_END);
}

bool ws_on_peer_close(struct conn *c, struct view close)
{
    if (c->state != CONN_WS)
        return false;
    if (!may_be_echoed(close)) {
        ws_close(&c->ws, 1002, "no close code");
        return false;
    }
    /* The library answers; the deadline is for a peer that does not read the answer. */
    buf_free(&c->message);
    conn_enter(c, CONN_WS_CLOSING);
    return true;
}

/* Opening and reading. */

void ws_on_open(struct conn *c)
{
    int unsent = UNSENT_MAX;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    buf_init(&c->message, c->server->options.max_message);
    conn_enter(c, CONN_WS);
    c->is_upgrading = false;
    c->is_open = true;
    leave_watch(c);
    loop_has_done(c->server->loop); /* to let somebody in is a piece that was admitted as one */
    c->server->options.handler->on_ws_open(c->server->options.ctx, &c->ws);
}

static void hand_over(struct conn *c, struct view message)
{
    if (c->is_text && !view_is_utf8(message))
        ws_close(&c->ws, 1007, "invalid UTF-8");
    else
        c->server->options.handler->on_ws_message(c->server->options.ctx, &c->ws, message, c->is_text);
}

/* Who goes on talking after the end is not read any more; the deadline of the close handshake ends it. */
static void drop(struct conn *c, size_t n)
{
    c->dropped += n;
    if (c->dropped > DROPPED_MAX && c->state == CONN_WS_CLOSING)
        link_pause(c);
}

void ws_on_piece(struct conn *c, struct view piece, bool is_first, bool is_last, bool is_text, size_t to_come)
{
    if (c->state != CONN_WS) {
        drop(c, piece.n);
        return;
    }
    size_t max = c->server->options.max_message;
    if (piece.n > max - c->message.len || to_come > max - c->message.len - piece.n) {
        ws_close(&c->ws, 1009, "message too big");
        return;
    }
    if (is_first)
        c->is_text = is_text;
    if (is_first && is_last) {
        hand_over(c, piece);
        return;
    }
    bool is_new = !c->message.data;
    buf_add_view(&c->message, piece);
    if (is_new)
        conn_enter(c, CONN_WS); /* the deadline of the message starts */
    if (!is_last)
        return;
    struct buf whole = c->message;
    buf_init(&c->message, max);
    conn_enter(c, CONN_WS);
    hand_over(c, buf_view(&whole));
    buf_free(&whole);
}

void ws_on_pong(struct conn *c)
{
    const struct server_handler *handler = c->server->options.handler;
    if (c->state == CONN_WS && handler->on_ws_pong)
        handler->on_ws_pong(c->server->options.ctx, &c->ws);
}

void ws_on_message_timeout(struct conn *c)
{
    ws_close(&c->ws, 1008, "message took too long");
}
