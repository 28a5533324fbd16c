/*
 * What one polling request carries: Engine.IO packets joined by the byte 0x1e, a text packet as it is, a
 * binary one as 'b' and base64. Pure functions between bytes and packets; the same 'b' text stands on the
 * WebSocket of a client that cannot take binary frames. Thread: any.
 */
#ifndef PORTAL_GATEWAY_CORE_EIO_PAYLOAD_H
#define PORTAL_GATEWAY_CORE_EIO_PAYLOAD_H

#include "shared/buf.h"
#include "shared/view.h"
#include <stdbool.h>

enum eio_found {
    EIO_FOUND, /* a packet */
    EIO_ENDED, /* no more */
    EIO_BROKEN /* an empty packet, an unknown type, bad base64 or UTF-8; nothing behind it counts */
};

/* Reads packet by packet. */
struct eio_payload {
    struct view rest;
    bool is_done;
    struct buf bytes; /* of the last binary packet */
};

/* The text is borrowed until eio_payload_finish(). */
void eio_payload_init(struct eio_payload *p, struct view text);
void eio_payload_finish(struct eio_payload *p);
/* *packet: text with its type in front, or naked bytes; valid until the next call. */
enum eio_found eio_payload_next(struct eio_payload *p, struct view *packet, bool *is_text);

/* Appends a packet, behind the separator when it is not the first. */
bool eio_payload_add(struct buf *out, struct view packet, bool is_text);
/* Appends 'b' and base64. */
bool eio_add_binary(struct buf *out, struct view bytes);
/* The bytes behind a 'b'; *out is emptied first. False: no base64 with padding. */
bool eio_read_binary(struct view base64, struct buf *out);

#endif
