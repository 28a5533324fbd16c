/*
 * The plain WebSocket protocol of /ws: JSON text messages, no SDK. What each does to a session.
 *
 * The token comes with the upgrade or in the first message; who is refused is told why and closed with 4401.
 * Later mistakes are answered and cost nothing else.
 */
#include "portal-gateway/core/client_event.h"
#include "portal-gateway/core/hello.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/recovery.h"
#include "portal-gateway/core/tenant.h"
#include "portal-gateway/core/ws_message.h"
#include "shared/json.h"

enum { CONTROL_BYTES_MAX = 64 * 1024 };

static void send_error(struct session *s, struct view id, const char *code, const char *message)
{
    struct buf b;
    buf_init(&b, CONTROL_BYTES_MAX);
    ws_message_write_error(&b, id, code, message);
    session_send(s, frame_create(WS_TEXT, buf_view(&b)));
    buf_free(&b);
}

static void turn_away(struct session *s, enum refusal why)
{
    send_error(s, (struct view){NULL, 0}, refusal_code(why), refusal_text(why));
    session_close(s, why == REFUSAL_TOKEN_REVOKED   ? CLOSE_REVOKED
                     : why == REFUSAL_TOKEN_EXPIRED ? CLOSE_TOKEN_EXPIRED
                                                    : CLOSE_TOKEN_REFUSED);
}

static void sign_in(struct session *s, struct view token)
{
    enum refusal why;
    if (session_sign_in(s, token, &why))
        return;
    session_refuse(s, why, turn_away);
}

static void on_open(struct session *s)
{
    s->form = FRAME_WS;
    if (s->token)
        sign_in(s, (struct view){NULL, 0});
}

/* A recovered one is told first where what follows begins, then gets what it missed. */
static void greet(struct session *s, bool recovered)
{
    struct buf b;
    char offset[OFFSET_SIZE];
    const struct position *at = recovered ? &s->wish->from : &s->tenant->stream.at;
    struct json_writer w;
    offset_format(at->epoch, at->seq, offset);
    buf_init(&b, CONTROL_BYTES_MAX);
    jw_init(&w, &b);
    jw_begin(&w, '{');
    jw_key_text(&w, "type", "ready");
    jw_key_text(&w, "sid", s->id);
    jw_key_text(&w, "offset", offset);
    jw_key_bool(&w, "recovered", recovered);
    hello_write_rooms(&w, s);
    jw_end(&w, '}');
    session_send(s, frame_create(WS_TEXT, buf_view(&b)));
    buf_free(&b);
    if (!recovered) /* else behind what it missed */
        tenant_send_latest(s->tenant, s);
}

static void send_cursor(struct session *s, struct view offset)
{
    session_send_event(s, "portalcast:cursor", offset);
}

/* The close code says it. */
static void kick(struct session *s)
{
    (void)s;
}

static void on_auth(struct session *s, const struct ws_message *m)
{
    if (s->state == SESSION_STRANGER) {
        recovery_wish_ws(s, m->offset, m->rooms);
        sign_in(s, view_of(m->token));
    } else
        send_error(s, m->id, "CONFLICT", "signed in already");
}

/* What a client says before it is told that it is in. */
static bool is_in(struct session *s, const struct ws_message *m)
{
    if (s->state == SESSION_LIVE)
        return true;
    if (s->state == SESSION_HELD)
        send_error(s, m->id, "UNAVAILABLE", "not ready yet");
    else
        send_error(s, m->id, "UNAUTHENTICATED", "sign in first");
    return false;
}

static struct receipt receipt_of(const struct ws_message *m)
{
    return (struct receipt){.wanted = m->id.n > 0, .id = m->id};
}

static void on_join(struct session *s, const struct ws_message *m)
{
    struct receipt receipt = receipt_of(m);
    if (is_in(s, m))
        client_join(s, view_of(m->room), &receipt);
}

static void on_leave(struct session *s, const struct ws_message *m)
{
    struct receipt receipt = receipt_of(m);
    if (is_in(s, m))
        client_leave(s, view_of(m->room), &receipt);
}

static void on_emit(struct session *s, const struct ws_message *m)
{
    struct receipt receipt = receipt_of(m);
    struct arguments arguments = {.items = {m->data}, .count = m->data.n > 0};
    if (is_in(s, m) && !client_event(s, m->event, &arguments, &receipt))
        send_error(s, m->id, "UNKNOWN_EVENT", "nothing here knows this event");
}

static void on_refresh(struct session *s, const struct ws_message *m)
{
    struct receipt receipt = receipt_of(m);
    if (is_in(s, m))
        client_refresh(s, view_of(m->token), &receipt);
}

static void on_ping(struct session *s, const struct ws_message *m)
{
    (void)m;
    session_send(s, frame_create(WS_TEXT, VIEW("{\"type\":\"pong\"}")));
}

static void on_unknown(struct session *s, const struct ws_message *m)
{
    send_error(s, m->id, "UNKNOWN_TYPE", "nothing here knows this type of message");
}

static void (*const handlers[])(struct session *, const struct ws_message *) = {
    [WS_MESSAGE_AUTH] = on_auth,       [WS_MESSAGE_JOIN] = on_join,       [WS_MESSAGE_LEAVE] = on_leave,
    [WS_MESSAGE_EMIT] = on_emit,       [WS_MESSAGE_REFRESH] = on_refresh, [WS_MESSAGE_PING] = on_ping,
    [WS_MESSAGE_UNKNOWN] = on_unknown,
};

static void on_message(struct session *s, struct view message, bool is_text)
{
    struct ws_message m;
    struct err err = {0};
    if (!is_text) {
        session_close(s, CLOSE_PROTOCOL);
        return;
    }
    if (ws_message_parse(message, &m, &err))
        handlers[m.type](s, &m);
    else
        send_error(s, m.id, err_code_name(err.code), err.text);
}

static void ping(struct session *s)
{
    session_send(s, frame_ref(s->hub->ws_ping));
}

static void acknowledge(struct session *s, const struct receipt *receipt, struct view object)
{
    struct buf b;
    buf_init(&b, object.n + CONTROL_BYTES_MAX);
    ws_message_write_ack(&b, receipt->id, object);
    session_send(s, frame_create(WS_TEXT, buf_view(&b)));
    buf_free(&b);
}

static void refuse(struct session *s, const struct receipt *receipt, const char *code, const char *text)
{
    send_error(s, receipt->id, code, text);
}

const struct protocol protocol_ws = {
    .name = "ws",
    .close_codes = true,
    .on_open = on_open,
    .on_message = on_message,
    .greet = greet,
    .ping = ping,
    .cursor = send_cursor,
    .turn_away = turn_away,
    .kick = kick,
    .acknowledge = acknowledge,
    .refuse = refuse,
};
