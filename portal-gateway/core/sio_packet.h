/*
 * Engine.IO v4 and Socket.IO v5 packets: pure functions between bytes and structs.
 *
 * Grammar: type [ count "-" ] [ "/" nsp "," ] [ id ] [ JSON ], as socket.io-parser 4.2 reads it; what it
 * refuses is refused here, because either ends the session. Thread: any.
 */
#ifndef PORTAL_GATEWAY_CORE_SIO_PACKET_H
#define PORTAL_GATEWAY_CORE_SIO_PACKET_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

/* The first character of an Engine.IO packet on a text frame. */
enum eio_type {
    EIO_OPEN = '0',
    EIO_CLOSE = '1',
    EIO_PING = '2',
    EIO_PONG = '3',
    EIO_MESSAGE = '4',
    EIO_UPGRADE = '5',
    EIO_NOOP = '6',
    EIO_BINARY = 'b' /* base64 follows; a message */
};

enum sio_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR,
    SIO_BINARY_EVENT,
    SIO_BINARY_ACK
};

enum { SIO_ATTACHMENTS_MAX = 10 };

struct sio_packet {
    enum sio_type type;
    unsigned attachments; /* binary messages that follow */
    struct view nsp;      /* "/" where none is given */
    bool has_id;
    uint64_t id;         /* up to 2^53 - 1 */
    struct view payload; /* checked JSON; empty: none */
};

/* Whether the placeholders in a payload name binary values that there are: {"_placeholder":true,"num":n} with
 * n below the count. */
bool sio_placeholders_fit(struct view payload, unsigned attachments) MUSTCHECK;

/* Reads what a client sent behind the '4'. The views point into the text. MALFORMED: no packet, or one that
 * only servers send. An event or ack without payload is read, and means nothing. */
bool sio_parse(struct view text, struct sio_packet *out, struct err *err) MUSTCHECK;

/* 0{"sid",...}: the handshake. */
struct eio_open {
    const char *sid;
    bool upgrades; /* whether a WebSocket may be tried */
    int64_t ping_interval_ms, ping_timeout_ms;
    size_t max_payload;
};
void eio_write_open(struct buf *out, const struct eio_open *open);
/* A packet with arguments; id NULL: none. `attachments` is written for binary types. */
void sio_write_packet(struct buf *out, enum sio_type type, struct view nsp, const uint64_t *id,
                      struct view array, unsigned attachments);
/* 40{"sid","pid"?}; pid NULL: none. */
void sio_write_connect(struct buf *out, struct view nsp, const char *sid, const char *pid);
/* 44{"message","data":{"code"}?}; code NULL: none. */
void sio_write_connect_error(struct buf *out, struct view nsp, const char *message, const char *code);

#endif
