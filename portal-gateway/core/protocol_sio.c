/*
 * Engine.IO v4 and Socket.IO v5: what each packet does to a session. A packet that breaks the protocol ends
 * the session; there is no error packet. A refusal for good is answered by CONNECT_ERROR, after which the
 * client does not try again by itself; whatever is temporary closes the transport, after which it does.
 */
#include "portal-gateway/core/hello.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/sio_packet.h"
#include "portal-gateway/core/tenant.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/log.h"
#include <stdlib.h>

enum { CONTROL_BYTES_MAX = 64 * 1024, TOKEN_TEXT_MAX = TOKEN_MAX_BYTES + 1 };

/* A namespace carries what a session may do in it. There is one: the tenant's stream. */
struct namespace
{
    const char *name;
    void (*connect)(struct session * s, const struct sio_packet *p);
    void (*disconnect)(struct session * s);
    /* An event whose name nobody knows here gets no ack. */
    void (*event)(struct session * s, const struct sio_packet *p);
};

static void send_text(struct session *s, struct buf *payload)
{
    session_send(s, frame_create(WS_TEXT, buf_view(payload)));
    buf_free(payload);
}

static void refuse(struct session *s, struct view nsp, const char *message, const char *code)
{
    struct buf b;
    buf_init(&b, CONTROL_BYTES_MAX);
    sio_write_connect_error(&b, nsp, message, code);
    send_text(s, &b);
}

/* --- the namespace "/" --- */

static void stream_connect(struct session *s, const struct sio_packet *p)
{
    enum refusal why;
    char token[TOKEN_TEXT_MAX] = "";
    struct view given = json_get(p->payload, "token");
    if (s->state != SESSION_STRANGER) { /* connected, or being connected */
        session_close(s, CLOSE_PROTOCOL);
        return;
    }
    bool readable = json_type(given) == JSON_NONE || json_type(given) == JSON_NULL ||
                    json_copy_string(given, token, sizeof token);
    if (!readable)
        refuse(s, p->nsp, refusal_text(REFUSAL_TOKEN_INVALID), refusal_code(REFUSAL_TOKEN_INVALID));
    else if (!session_sign_in(s, view_of(token), &why))
        refuse(s, p->nsp, refusal_text(why), refusal_code(why));
}

static void stream_disconnect(struct session *s)
{
    session_sign_out(s); /* the session stays open, even without any namespace */
}

static void stream_event(struct session *s, const struct sio_packet *p)
{
    log_debug("unknown_event", "session=%s bytes=%zu", s->id, p->payload.n);
}

static const struct namespace namespaces[] = {
    {"/", stream_connect, stream_disconnect, stream_event},
};

static void greet(struct session *s)
{
    struct buf b;
    char pid[SESSION_ID_SIZE + 2], head[OFFSET_SIZE];
    bool recovery = s->hub->policy->recovery;
    crypto_random_id("p_", pid);
    buf_init(&b, CONTROL_BYTES_MAX);
    sio_write_connect(&b, VIEW("/"), s->id, recovery ? pid : NULL);
    send_text(s, &b);

    const struct position *at = &s->tenant->stream.at;
    struct json_writer w;
    offset_format(at->epoch, at->seq, head);
    jw_init(&w, &b);
    jw_begin(&w, '{');
    jw_key_bool(&w, "recovered", false);
    jw_key_text(&w, "head", head);
    hello_write_rooms(&w, s);
    jw_end(&w, '}');
    session_send_event(s, "portalcast:hello", buf_view(&b));
    buf_free(&b);
    tenant_send_latest(s->tenant, s);
}

/* --- packets --- */

static const struct namespace *find_namespace(struct view name)
{
    for (size_t i = 0; i < countof(namespaces); i++)
        if (view_is(name, namespaces[i].name))
            return &namespaces[i];
    return NULL;
}

static void on_packet(struct session *s, const struct sio_packet *p)
{
    const struct namespace *nsp = find_namespace(p->nsp);
    bool joined = s->state == SESSION_LIVE, held = s->state == SESSION_HELD;
    if (p->type == SIO_CONNECT && !nsp) {
        refuse(s, p->nsp, "Invalid namespace", NULL);
        return;
    }
    if (p->type == SIO_CONNECT) {
        nsp->connect(s, p);
        return;
    }
    if (!nsp || (!joined && !held)) {
        session_close(s, CLOSE_PROTOCOL);
        return;
    }
    s->attachments_due = p->attachments;
    if (p->type == SIO_DISCONNECT)
        nsp->disconnect(s);
    else if (p->payload.n && (p->type == SIO_EVENT || p->type == SIO_BINARY_EVENT))
        nsp->event(s, p);
}

static void on_message_packet(struct session *s, struct view text)
{
    struct sio_packet packet;
    struct err err;
    if (!s->attachments_due && sio_parse(text, &packet, &err)) {
        on_packet(s, &packet);
        return;
    }
    log_debug("bad_packet", "session=%s", s->id);
    session_close(s, CLOSE_PROTOCOL);
}

static void on_binary(struct session *s)
{
    if (!s->attachments_due)
        session_close(s, CLOSE_PROTOCOL);
    else
        s->attachments_due--;
}

static void on_message(struct session *s, struct view message, bool is_text)
{
    if (!is_text) {
        on_binary(s);
        return;
    }
    switch (message.n ? message.p[0] : 0) {
    case EIO_PONG:
        session_on_pong(s);
        return;
    case EIO_MESSAGE:
        on_message_packet(s, (struct view){message.p + 1, message.n - 1});
        return;
    case EIO_BINARY:
        on_binary(s);
        return;
    case EIO_UPGRADE:
    case EIO_NOOP:
        return; /* mean something only while a transport is being changed */
    case EIO_CLOSE:
        session_close(s, CLOSE_LEFT);
        return;
    default: /* a ping too: the server pings */
        session_close(s, CLOSE_PROTOCOL);
    }
}

static void on_open(struct session *s)
{
    const struct policy *policy = s->hub->policy;
    struct eio_open open = {.sid = s->secret_id,
                            .ping_interval_ms = policy->ping_interval_ms,
                            .ping_timeout_ms = policy->ping_timeout_ms,
                            .max_payload = policy->max_payload};
    struct buf b;
    s->form = policy->recovery ? FRAME_SIO : FRAME_SIO_BARE;
    buf_init(&b, CONTROL_BYTES_MAX);
    eio_write_open(&b, &open);
    send_text(s, &b);
}

static void ping(struct session *s)
{
    session_send(s, frame_ref(s->hub->sio_ping));
}

const struct protocol protocol_sio = {
    .name = "socketio",
    .on_open = on_open,
    .on_message = on_message,
    .greet = greet,
    .ping = ping,
};
