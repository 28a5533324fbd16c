/*
 * Engine.IO v4 and Socket.IO v5: what each packet does to a session. A packet that breaks the protocol ends
 * the session; there is no error packet. A refusal for good is answered by CONNECT_ERROR, after which the
 * client does not try again by itself; whatever is temporary closes the transport, after which it does.
 */
#include "portal-gateway/core/client_event.h"
#include "portal-gateway/core/hello.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/inside.h"
#include "portal-gateway/core/recovery.h"
#include "portal-gateway/core/sio_packet.h"
#include "portal-gateway/core/sio_session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
    CONTROL_BYTES_MAX = 64 * 1024,
    TOKEN_TEXT_MAX = TOKEN_MAX_BYTES + 1,
    ATTACHMENT_PAYLOADS = 2 /* the binary values of a packet together, in payloads */
};

static void take_early(struct session *s);

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

/* --- the namespace "/": the tenant's stream --- */

static enum sio_presence stream_presence(const struct session *s, const struct sio_namespace *nsp)
{
    (void)nsp;
    if (s->state == SESSION_HELD || s->state == SESSION_RECOVERING)
        return SIO_PENDING;
    return s->state == SESSION_LIVE ? SIO_IN : SIO_OUT;
}

static void refuse_stream(struct session *s, enum refusal why)
{
    refuse(s, VIEW("/"), refusal_text(why), refusal_code(why));
}

static void stream_connect(struct session *s, const struct sio_namespace *nsp, struct view auth)
{
    (void)nsp;
    enum refusal why;
    char token[TOKEN_TEXT_MAX] = "";
    struct view given = json_get(auth, "token");
    bool readable = json_type(given) == JSON_NONE || json_type(given) == JSON_NULL ||
                    json_copy_string(given, token, sizeof token);
    recovery_wish_sio(s, json_get(auth, "pid"), json_get(auth, "offset"));
    if (!session_sign_in(s, readable ? view_of(token) : VIEW(TOKEN_UNREADABLE), &why))
        session_refuse(s, why, refuse_stream);
}

/* The client has logged out: nobody is to come back as this session. */
static void stream_disconnect(struct session *s, const struct sio_namespace *nsp)
{
    (void)nsp;
    if (s->state == SESSION_LIVE && session_is_recorded(s))
        inside_end(s);
    session_sign_out(s); /* the session stays open, even without any namespace */
}

static void stream_event(struct session *s, const struct sio_namespace *nsp, const struct sio_args *args,
                         const uint64_t *ack)
{
    struct view name, argument;
    struct arguments arguments = {.count = 0};
    struct json_iter it = json_iter(args->array);
    struct receipt receipt = {.wanted = ack != NULL, .ack = ack ? *ack : 0};
    (void)nsp;
    if (!json_next_element(&it, &name))
        return;
    while (arguments.count < PROFILE_ARGUMENTS_MAX && json_next_element(&it, &argument))
        arguments.items[arguments.count++] = argument;
    bool known = args->attachment_count ? client_binary_event(s, name, &receipt)
                                        : client_event(s, name, &arguments, &receipt);
    if (!known)
        log_debug("unknown_event", "session=%s bytes=%zu", s->id, args->array.n);
}

/* As the only argument of the answer. */
static void acknowledge(struct session *s, const struct receipt *receipt, struct view object)
{
    struct buf b;
    buf_init(&b, object.n + 2);
    buf_add_char(&b, '[');
    buf_add_view(&b, object);
    buf_add_char(&b, ']');
    sio_send_ack(s, &sio_stream, receipt->ack, &(struct sio_args){.array = buf_view(&b)});
    buf_free(&b);
}

static void refuse_event(struct session *s, const struct receipt *receipt, const char *code, const char *text)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, CONTROL_BYTES_MAX);
    jw_init(&w, &b);
    jw_begin(&w, '{');
    jw_key_bool(&w, "ok", false);
    jw_key(&w, "error");
    jw_begin(&w, '{');
    jw_key_text(&w, "code", code);
    jw_key_text(&w, "message", text);
    jw_end(&w, '}');
    jw_end(&w, '}');
    acknowledge(s, receipt, buf_view(&b));
    buf_free(&b);
}

const struct sio_namespace sio_stream = {"/", stream_presence, stream_connect, stream_disconnect,
                                         stream_event};

/* Where a new session begins; one that is recovered has the pid that it came with. */
static void send_connect(struct session *s, bool recovered)
{
    struct buf b;
    char text[PID_SIZE];
    struct pid pid = {.base = s->tenant->stream.at, .issued_ms = clock_wall_ms()};
    memcpy(pid.id, s->id, sizeof pid.id);
    if (!recovered && s->hub->policy->recovery)
        pid_write(&s->hub->pid_keys, s->claims, &pid, text);
    buf_init(&b, CONTROL_BYTES_MAX);
    sio_write_connect(&b, VIEW("/"), s->id,
                      !s->hub->policy->recovery ? NULL
                      : recovered               ? s->wish->pid_text
                                                : text);
    send_text(s, &b);
}

static void greet(struct session *s, bool recovered)
{
    char head[OFFSET_SIZE];
    struct buf b;
    struct json_writer w;
    const struct position *at = &s->tenant->stream.at;
    send_connect(s, recovered);
    offset_format(at->epoch, at->seq, head);
    buf_init(&b, CONTROL_BYTES_MAX);
    jw_init(&w, &b);
    jw_begin(&w, '{');
    jw_key_bool(&w, "recovered", recovered);
    jw_key_text(&w, "head", head);
    hello_write_rooms(&w, s);
    jw_end(&w, '}');
    session_send_event(s, "portalcast:hello", buf_view(&b));
    buf_free(&b);
    if (!recovered)
        tenant_send_latest(s->tenant, s);
    take_early(s);
}

/* Its only argument is the offset, which the client keeps. */
static void send_cursor(struct session *s, struct view offset)
{
    struct buf b;
    buf_init(&b, CONTROL_BYTES_MAX);
    buf_addf(&b, "42[\"portalcast:cursor\",%.*s]", VIEW_ARG(offset));
    send_text(s, &b);
}

/* Still held: the transport stays, and with another token it may try again. */
static void turn_away(struct session *s, enum refusal why)
{
    session_sign_out(s);
    refuse_stream(s, why);
    session_pump(s);
}

static void kick(struct session *s)
{
    if (s->state == SESSION_LIVE)
        session_send(s, frame_create(WS_TEXT, VIEW("41")));
    else if (s->state != SESSION_STRANGER)
        refuse_stream(s, REFUSAL_TOKEN_REVOKED);
}

/* --- packets --- */

static void on_packet(struct session *s, const struct sio_packet *p, const struct sio_parcel *parcel)
{
    const struct sio_namespace *nsp = sio_namespace_find(s->hub->policy->conformance, p->nsp);
    struct sio_args args = {p->payload, parcel->attachments, parcel->count};
    if (p->type == SIO_DISCONNECT) {
        sio_forget_calls(s, nsp);
        nsp->disconnect(s, nsp);
    } else if (!p->payload.n) {
        return; /* an event or an answer without arguments means nothing */
    } else if (p->type == SIO_EVENT || p->type == SIO_BINARY_EVENT) {
        nsp->event(s, nsp, &args, p->has_id ? &p->id : NULL);
    } else if (p->has_id) {
        sio_on_answer(s, nsp, p->id, &args);
    }
}

/* A whole packet. It was checked when its text came, and is read again here, now that it stays where it is.
 */
static void open_parcel(struct session *s, const struct sio_parcel *parcel)
{
    struct sio_packet packet;
    const struct sio_namespace *nsp = NULL;
    if (sio_parse((struct view){parcel->text, parcel->text_n}, &packet, NULL))
        nsp = sio_namespace_find(s->hub->policy->conformance, packet.nsp);
    if (nsp && nsp->presence(s, nsp) == SIO_IN) /* it may have been left by a packet before */
        on_packet(s, &packet, parcel);
}

/* What follows a CONNECT before its answer waits for it (in order), as far as that is bounded. */
static void keep_early(struct session *s, struct sio_parcel *parcel)
{
    struct sio_session *sio = sio_session_of(s);
    sio->early_bytes += parcel->bytes;
    sio->early_count++;
    *sio->last_early = parcel;
    sio->last_early = &parcel->next;
    if (sio->early_count > SIO_EARLY_MAX || sio->early_bytes > s->hub->policy->max_payload)
        session_close(s, CLOSE_PROTOCOL);
}

static void take_early(struct session *s)
{
    struct sio_parcel *next = s->sio ? s->sio->early : NULL;
    if (!next)
        return;
    s->sio->early = NULL;
    s->sio->last_early = &s->sio->early;
    s->sio->early_count = s->sio->early_bytes = 0;
    for (struct sio_parcel *p = next; p; p = next) {
        next = p->next;
        open_parcel(s, p);
        sio_parcel_destroy(p);
    }
}

static void on_connect(struct session *s, const struct sio_packet *p)
{
    const struct sio_namespace *nsp = sio_namespace_find(s->hub->policy->conformance, p->nsp);
    if (!nsp)
        refuse(s, p->nsp, "Invalid namespace", NULL);
    else if (nsp->presence(s, nsp) != SIO_OUT) /* connected, or being connected */
        session_close(s, CLOSE_PROTOCOL);
    else
        nsp->connect(s, nsp, p->payload);
}

/* A parcel that is complete is opened, or waits for the answer to CONNECT. Takes it. */
static void deliver(struct session *s, struct sio_parcel *parcel, const struct sio_namespace *nsp)
{
    if (nsp->presence(s, nsp) == SIO_PENDING) {
        keep_early(s, parcel);
        return;
    }
    open_parcel(s, parcel);
    sio_parcel_destroy(parcel);
}

static void on_text_packet(struct session *s, struct view text)
{
    struct sio_packet packet;
    struct err err;
    if ((s->sio && s->sio->arriving) || !sio_parse(text, &packet, &err)) {
        log_debug("bad_packet", "session=%s", s->id);
        session_close(s, CLOSE_PROTOCOL);
        return;
    }
    if (packet.type == SIO_CONNECT) {
        on_connect(s, &packet);
        return;
    }
    const struct sio_namespace *nsp = sio_namespace_find(s->hub->policy->conformance, packet.nsp);
    if (!nsp || nsp->presence(s, nsp) == SIO_OUT) {
        session_close(s, CLOSE_PROTOCOL);
    } else if (packet.attachments) {
        sio_session_of(s)->arriving = sio_parcel_create(text, packet.attachments);
    } else if (nsp->presence(s, nsp) == SIO_PENDING) {
        keep_early(s, sio_parcel_create(text, 0));
    } else {
        on_packet(s, &packet, &(struct sio_parcel){.text_n = text.n});
    }
}

static void on_binary(struct session *s, struct view bytes)
{
    struct sio_parcel *parcel = s->sio ? s->sio->arriving : NULL;
    struct sio_packet packet;
    if (!parcel || !sio_parcel_add(parcel, bytes, ATTACHMENT_PAYLOADS * s->hub->policy->max_payload)) {
        session_close(s, CLOSE_PROTOCOL);
        return;
    }
    if (parcel->count < parcel->due)
        return;
    s->sio->arriving = NULL;
    if (!sio_parse((struct view){parcel->text, parcel->text_n}, &packet, NULL)) {
        sio_parcel_destroy(parcel);
        return;
    }
    deliver(s, parcel, sio_namespace_find(s->hub->policy->conformance, packet.nsp));
}

static void on_base64(struct session *s, struct view text)
{
    unsigned char *bytes = xcalloc(text.n + 1, 1);
    size_t n;
    if (crypto_unbase64(text, bytes, &n))
        on_binary(s, (struct view){(const char *)bytes, n});
    else
        session_close(s, CLOSE_PROTOCOL);
    free(bytes);
}

static void on_message(struct session *s, struct view message, bool is_text)
{
    if (!is_text) {
        on_binary(s, message);
        return;
    }
    switch (message.n ? message.p[0] : 0) {
    case EIO_PONG:
        session_on_pong(s);
        return;
    case EIO_MESSAGE:
        on_text_packet(s, (struct view){message.p + 1, message.n - 1});
        return;
    case EIO_BINARY:
        on_base64(s, (struct view){message.p + 1, message.n - 1});
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
                            .upgrades = session_polls(s),
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
    .cursor = send_cursor,
    .turn_away = turn_away,
    .kick = kick,
    .acknowledge = acknowledge,
    .refuse = refuse_event,
};
