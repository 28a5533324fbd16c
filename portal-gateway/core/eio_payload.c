#include "portal-gateway/core/eio_payload.h"
#include "portal-gateway/core/sio_packet.h"
#include "shared/crypto.h"
#include <string.h>

enum { SEPARATOR = 0x1e, CHUNK = 3 << 10 /* bytes encoded at a time, a multiple of three */ };

void eio_payload_init(struct eio_payload *p, struct view text)
{
    *p = (struct eio_payload){.rest = text};
    buf_init(&p->bytes, text.n + 1);
}

void eio_payload_finish(struct eio_payload *p)
{
    buf_free(&p->bytes);
}

static struct view take(struct eio_payload *p)
{
    struct view packet = p->rest;
    const char *end = packet.n ? memchr(packet.p, SEPARATOR, packet.n) : NULL;
    p->is_done = !end;
    if (end) {
        packet.n = (size_t)(end - packet.p);
        p->rest = (struct view){end + 1, p->rest.n - packet.n - 1};
    }
    return packet;
}

enum eio_found eio_payload_next(struct eio_payload *p, struct view *packet, bool *is_text)
{
    if (p->is_done)
        return EIO_ENDED;
    *packet = take(p);
    char type = packet->n ? packet->p[0] : 0;
    *is_text = type != EIO_BINARY;
    bool ok = type >= EIO_OPEN && type <= EIO_NOOP && view_is_utf8(*packet);
    if (type == EIO_BINARY) {
        ok = eio_read_binary((struct view){packet->p + 1, packet->n - 1}, &p->bytes);
        *packet = buf_view(&p->bytes);
    }
    if (ok)
        return EIO_FOUND;
    p->is_done = true;
    return EIO_BROKEN;
}

bool eio_payload_add(struct buf *out, struct view packet, bool is_text)
{
    if (out->len)
        buf_add_char(out, SEPARATOR);
    return is_text ? buf_add_view(out, packet) : eio_add_binary(out, packet);
}

bool eio_add_binary(struct buf *out, struct view bytes)
{
    char text[CHUNK / 3 * 4 + 1];
    buf_add_char(out, EIO_BINARY);
    for (size_t at = 0; at < bytes.n; at += CHUNK) {
        size_t n = bytes.n - at < CHUNK ? bytes.n - at : CHUNK;
        buf_add(out, text, crypto_base64((const unsigned char *)bytes.p + at, n, text));
    }
    return !out->overflow;
}

bool eio_read_binary(struct view base64, struct buf *out)
{
    unsigned char bytes[CHUNK];
    size_t n, step = CHUNK / 3 * 4;
    buf_clear(out);
    for (size_t at = 0; at < base64.n; at += step) {
        struct view piece = {base64.p + at, base64.n - at < step ? base64.n - at : step};
        bool is_last = at + piece.n == base64.n;
        if (!crypto_unbase64(piece, bytes, &n) || (!is_last && n < CHUNK))
            return false;
        buf_add(out, bytes, n);
    }
    return !out->overflow;
}
