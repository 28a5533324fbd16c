#include "shared/broker.h"
#include "shared/broker_link.h"
#include "shared/clock.h"
#include "shared/log.h"
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/time.h>
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

enum {
    SERVICE_MS = 1000,                 /* how often an idle or busy connection looks after its heartbeats */
    SMALL_BODY = BROKER_FRAME_MAX / 2, /* goes out together with its method and header */
    CHUNK = BROKER_FRAME_MAX - 8,      /* bytes of a body in one frame */
    EXPIRATION_SIZE = 16,
    KEEP_MAX = 1 << 20 /* bytes of memory kept between messages in several frames */
};

/* --- sending --- */

static struct view bytes_view(amqp_bytes_t bytes)
{
    return (struct view){bytes.bytes ? bytes.bytes : "", bytes.len};
}

/* Room for what is sent next, which may wait for more until broker_next() has nothing to do. */
static bool prepare(struct broker *b, struct err *err)
{
    if (!broker_ready_to_send(b, err))
        return false;
    broker_cork(b, true);
    return true;
}

static bool sent(struct broker *b, int status, struct err *err)
{
    return status == AMQP_STATUS_OK || broker_fail_status(b, status, err);
}

static amqp_bytes_t view_bytes(struct view v)
{
    return (amqp_bytes_t){.len = v.n, .bytes = (void *)v.p};
}

static amqp_basic_properties_t properties_of(const struct broker_message *m,
                                             char expiration[static EXPIRATION_SIZE])
{
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
                                 .content_type = amqp_cstring_bytes("application/json"),
                                 .delivery_mode = m->persistent ? 2 : 1,
                                 .message_id = view_bytes(m->message_id),
                                 .reply_to = view_bytes(m->reply_to),
                                 .correlation_id = view_bytes(m->correlation_id)};
    if (m->message_id.n)
        p._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
    if (m->reply_to.n)
        p._flags |= AMQP_BASIC_REPLY_TO_FLAG;
    if (m->correlation_id.n)
        p._flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
    if (m->expiration_ms) {
        snprintf(expiration, EXPIRATION_SIZE, "%d", m->expiration_ms);
        p.expiration = amqp_cstring_bytes(expiration);
        p._flags |= AMQP_BASIC_EXPIRATION_FLAG;
    }
    return p;
}

static bool send_frame(struct broker *b, amqp_frame_t *frame, struct err *err)
{
    if (!prepare(b, err))
        return false;
    frame->channel = BROKER_CHANNEL;
    return sent(b, amqp_send_frame(b->conn, frame), err);
}

/* As amqp_basic_publish(), but looks for room before every frame. */
static bool send_large(struct broker *b, const struct broker_message *m, amqp_basic_properties_t *properties,
                       struct err *err)
{
    amqp_basic_publish_t publish = {.exchange = view_bytes(m->exchange),
                                    .routing_key = view_bytes(m->routing_key),
                                    .mandatory = m->mandatory};
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_METHOD};
    frame.payload.method = (amqp_method_t){.id = AMQP_BASIC_PUBLISH_METHOD, .decoded = &publish};
    if (!send_frame(b, &frame, err))
        return false;
    frame = (amqp_frame_t){.frame_type = AMQP_FRAME_HEADER};
    frame.payload.properties.class_id = AMQP_BASIC_CLASS;
    frame.payload.properties.body_size = m->body.n;
    frame.payload.properties.decoded = properties;
    if (!send_frame(b, &frame, err))
        return false;
    for (size_t at = 0; at < m->body.n; at += CHUNK) {
        size_t n = m->body.n - at < CHUNK ? m->body.n - at : CHUNK;
        frame = (amqp_frame_t){.frame_type = AMQP_FRAME_BODY};
        frame.payload.body_fragment = view_bytes((struct view){m->body.p + at, n});
        if (!send_frame(b, &frame, err))
            return false;
    }
    return true;
}

static bool send_small(struct broker *b, const struct broker_message *m,
                       const amqp_basic_properties_t *properties, struct err *err)
{
    return prepare(b, err) && sent(b,
                                   amqp_basic_publish(b->conn, BROKER_CHANNEL, view_bytes(m->exchange),
                                                      view_bytes(m->routing_key), m->mandatory, 0, properties,
                                                      view_bytes(m->body)),
                                   err);
}

bool broker_publish(struct broker *b, const struct broker_message *m, uint64_t *tag, struct err *err)
{
    char expiration[EXPIRATION_SIZE];
    amqp_basic_properties_t properties = properties_of(m, expiration);
    bool fine =
        m->body.n > SMALL_BODY ? send_large(b, m, &properties, err) : send_small(b, m, &properties, err);
    if (!fine)
        return false;
    b->published++;
    if (tag)
        *tag = b->confirms ? b->published : 0;
    return true;
}

bool broker_ack(struct broker *b, uint64_t delivery_tag, bool multiple, struct err *err)
{
    return prepare(b, err) && sent(b, amqp_basic_ack(b->conn, BROKER_CHANNEL, delivery_tag, multiple), err);
}

bool broker_reject(struct broker *b, uint64_t delivery_tag, bool requeue, struct err *err)
{
    return prepare(b, err) && sent(b, amqp_basic_reject(b->conn, BROKER_CHANNEL, delivery_tag, requeue), err);
}

/* --- what comes in --- */

static enum broker_happening lost(struct broker *b, int status, struct err *err)
{
    broker_fail_status(b, status, err);
    return BROKER_CLOSED;
}

static void begin_delivery(struct broker *b, const amqp_basic_deliver_t *m)
{
    b->in = (struct broker_incoming){.stage = STAGE_HEADER, .kind = BROKER_DELIVERY};
    b->in.message = (struct broker_message){.exchange = bytes_view(m->exchange),
                                            .routing_key = bytes_view(m->routing_key),
                                            .delivery_tag = m->delivery_tag,
                                            .redelivered = m->redelivered};
}

static void begin_return(struct broker *b, const amqp_basic_return_t *m)
{
    b->in = (struct broker_incoming){.stage = STAGE_HEADER, .kind = BROKER_RETURN};
    b->in.message = (struct broker_message){.exchange = bytes_view(m->exchange),
                                            .routing_key = bytes_view(m->routing_key)};
}

static enum broker_happening confirmed(struct broker_event *out, enum broker_happening kind, uint64_t tag,
                                       bool multiple)
{
    out->tag = tag;
    out->multiple = multiple;
    return kind;
}

static enum broker_happening take_method(struct broker *b, const amqp_method_t *method,
                                         struct broker_event *out, struct err *err)
{
    const amqp_basic_ack_t *ack = method->decoded;
    const amqp_basic_nack_t *nack = method->decoded;
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
        begin_delivery(b, method->decoded);
        return BROKER_NOTHING;
    case AMQP_BASIC_RETURN_METHOD:
        begin_return(b, method->decoded);
        return BROKER_NOTHING;
    case AMQP_BASIC_ACK_METHOD:
        return confirmed(out, BROKER_ACK, ack->delivery_tag, ack->multiple);
    case AMQP_BASIC_NACK_METHOD:
        return confirmed(out, BROKER_NACK, nack->delivery_tag, nack->multiple);
    case AMQP_BASIC_CANCEL_METHOD:
        return BROKER_CANCELLED;
    case AMQP_CONNECTION_BLOCKED_METHOD:
        b->blocked = true;
        return BROKER_BLOCKED;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        b->blocked = false;
        return BROKER_UNBLOCKED;
    default:
        broker_fail_method(b, method, err);
        return BROKER_CLOSED;
    }
}

static int expiration_of(struct view text)
{
    uint64_t ms;
    return view_u64(text, INT32_MAX, &ms) ? (int)ms : 0;
}

static void take_header(struct broker *b, const amqp_frame_t *frame)
{
    const amqp_basic_properties_t *p = frame->payload.properties.decoded;
    struct broker_message *m = &b->in.message;
    if (p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
        m->message_id = bytes_view(p->message_id);
    if (p->_flags & AMQP_BASIC_REPLY_TO_FLAG)
        m->reply_to = bytes_view(p->reply_to);
    if (p->_flags & AMQP_BASIC_CORRELATION_ID_FLAG)
        m->correlation_id = bytes_view(p->correlation_id);
    if (p->_flags & AMQP_BASIC_EXPIRATION_FLAG)
        m->expiration_ms = expiration_of(bytes_view(p->expiration));
    m->persistent = (p->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG) && p->delivery_mode == 2;
    b->in.stage = STAGE_BODY;
    b->in.size = frame->payload.properties.body_size;
    b->in.skip = b->in.size > BROKER_BODY_MAX;
    buf_clear(&b->body);
}

static void take_body(struct broker *b, amqp_bytes_t part)
{
    struct broker_incoming *in = &b->in;
    in->got += part.len;
    if (in->skip)
        amqp_maybe_release_buffers(b->conn); /* nothing but the delivery tag is kept */
    else if (part.len == in->size)
        in->message.body = bytes_view(part); /* the usual case: no copy */
    else
        buf_add(&b->body, part.bytes, part.len);
}

static enum broker_happening finish_message(struct broker *b, struct broker_event *out, struct err *err)
{
    struct broker_incoming *in = &b->in;
    in->stage = STAGE_NONE;
    if (in->skip) {
        log_warn("broker_message_too_large", "bytes=%" PRIu64, in->size);
        bool rejected =
            b->no_ack || in->kind == BROKER_RETURN || broker_reject(b, in->message.delivery_tag, false, err);
        return rejected ? BROKER_NOTHING : BROKER_CLOSED;
    }
    if (!in->message.body.p)
        in->message.body = buf_view(&b->body);
    out->message = in->message;
    return in->kind;
}

static enum broker_happening take_frame(struct broker *b, const amqp_frame_t *frame, struct broker_event *out,
                                        struct err *err)
{
    b->heard_ms = clock_mono_ms();
    enum broker_stage stage = b->in.stage;
    if (frame->frame_type == AMQP_FRAME_METHOD)
        return take_method(b, &frame->payload.method, out, err);
    if (frame->frame_type == AMQP_FRAME_HEADER && stage == STAGE_HEADER)
        take_header(b, frame);
    else if (frame->frame_type == AMQP_FRAME_BODY && stage == STAGE_BODY)
        take_body(b, frame->payload.body_fragment);
    else
        return lost(b, AMQP_STATUS_BAD_AMQP_DATA, err);
    return b->in.stage == STAGE_BODY && b->in.got >= b->in.size ? finish_message(b, out, err)
                                                                : BROKER_NOTHING;
}

/* Takes what has come, without waiting; sends a heartbeat when one is due. */
static enum broker_happening take_input(struct broker *b, struct broker_event *out, struct err *err)
{
    b->service_ms = clock_mono_ms() + SERVICE_MS;
    for (;;) {
        amqp_frame_t frame;
        struct timeval now = {0, 0};
        int status = amqp_simple_wait_frame_noblock(b->conn, &frame, &now);
        if (status == AMQP_STATUS_TIMEOUT)
            return BROKER_NOTHING;
        if (status != AMQP_STATUS_OK)
            return lost(b, status, err);
        enum broker_happening happening = take_frame(b, &frame, out, err);
        if (happening != BROKER_NOTHING)
            return happening;
    }
}

/* Waits for the socket or the wake. True: there is something to read. */
static bool wait_input(struct broker *b, int64_t wait_ms, int wake_fd, bool *woken)
{
    broker_cork(b, false);
    struct pollfd fds[2] = {{.fd = amqp_get_sockfd(b->conn), .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN}};
    int ready = poll(fds, 2, (int)(wait_ms < SERVICE_MS ? wait_ms : SERVICE_MS));
    *woken = ready > 0 && fds[1].revents;
    return ready > 0 && fds[0].revents;
}

bool broker_has_more(struct broker *b)
{
    return b->conn && (amqp_frames_enqueued(b->conn) || amqp_data_in_buffer(b->conn));
}

/* Ends the life of what the last call returned. */
static void release_last(struct broker *b)
{
    if (b->in.stage != STAGE_NONE)
        return;
    amqp_maybe_release_buffers(b->conn);
    if (b->body.cap > KEEP_MAX)
        buf_free(&b->body);
}

enum broker_happening broker_next(struct broker *b, int timeout_ms, int wake_fd, struct broker_event *out,
                                  struct err *err)
{
    int64_t now_ms = clock_mono_ms(), deadline_ms = now_ms + timeout_ms;
    if (!b->conn)
        return lost(b, AMQP_STATUS_SOCKET_CLOSED, err);
    release_last(b);
    bool woken = false, looked = false, readable = broker_has_more(b);
    for (;;) {
        if (readable || now_ms >= b->service_ms) {
            enum broker_happening happening = take_input(b, out, err);
            if (happening != BROKER_NOTHING)
                return happening;
        }
        if (woken || (looked && !readable && now_ms >= deadline_ms))
            return BROKER_NOTHING;
        readable = wait_input(b, deadline_ms > now_ms ? deadline_ms - now_ms : 0, wake_fd, &woken);
        looked = true;
        now_ms = clock_mono_ms();
        if (readable)
            b->heard_ms = now_ms;
        if (broker_is_silent(b))
            return lost(b, AMQP_STATUS_HEARTBEAT_TIMEOUT, err);
    }
}
