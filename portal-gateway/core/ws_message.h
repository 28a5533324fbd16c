/*
 * The JSON messages of the plain WebSocket endpoint /ws: pure functions between bytes and structs. Thread:
 * any.
 */
#ifndef PORTAL_GATEWAY_CORE_WS_MESSAGE_H
#define PORTAL_GATEWAY_CORE_WS_MESSAGE_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/event.h"
#include "shared/token.h"
#include "shared/view.h"

/* What clients send, by "type". */
#define WS_MESSAGE_TYPES(X) \
    X(AUTH, "auth")         \
    X(JOIN, "join")         \
    X(LEAVE, "leave")       \
    X(EMIT, "emit")         \
    X(REFRESH, "refresh")   \
    X(PING, "ping")

enum ws_message_type {
#define X(id, name) WS_MESSAGE_##id,
    WS_MESSAGE_TYPES(X)
#undef X
        WS_MESSAGE_UNKNOWN
};

enum {
    WS_MESSAGE_ID_MAX = 128,   /* bytes of an id, as JSON */
    WS_MESSAGE_ROOMS_MAX = 100 /* that a client can name when it signs in */
};

struct ws_message {
    enum ws_message_type type;
    struct view id;                      /* JSON string or number as the client gave it; empty: none */
    char token[TOKEN_MAX_BYTES + 1];     /* auth, refresh; "" when it is missing; auth: or
                                          * TOKEN_UNREADABLE */
    char room[EVENT_ROOM_BYTES_MAX + 1]; /* join, leave */
    struct view offset;                  /* auth: JSON, unchecked; empty: none */
    struct view rooms;                   /* auth: JSON array of rooms' names, checked; empty: none */
    struct view event, data;             /* emit: a JSON string; any JSON, empty: none */
};

/* MALFORMED: not a JSON object with a string "type"; INVALID: a member breaks its rule. */
bool ws_message_parse(struct view text, struct ws_message *out, struct err *err) MUSTCHECK;

/* {"type":"error","id"?,"code","message"}; id empty: none. */
void ws_message_write_error(struct buf *out, struct view id, const char *code, const char *message);
/* {"type":"ack","id","data"} */
void ws_message_write_ack(struct buf *out, struct view id, struct view data);

#endif
