/*
 * Immutable bytes that many sockets share: a whole WebSocket frame (RFC 6455, 5.2), header included; or some
 * of text, one behind the other, that go out together.
 *
 * Reference-counted: whoever keeps a frame holds a reference. An event is framed once per form, when the
 * first socket needs it. Pings are framed once for all. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_FRAME_H
#define PORTAL_GATEWAY_CORE_FRAME_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/event.h"
#include "shared/server.h"
#include "shared/view.h"
#include <stddef.h>

/* How an event looks on the wire. */
enum frame_form {
    FRAME_SIO,      /* 42["<type>",<data>,"<offset>"] */
    FRAME_SIO_BARE, /* 42["<type>",<data>]: recovery is off */
    FRAME_WS,       /* {"type":"event","event":..,"data":..,"offset":..,"room"?:..} */
    FRAME_FORMS
};

/* Where a tenant's stream stands: the last event in order. Epoch "": no history yet. */
struct position {
    char epoch[EPOCH_MAX + 1];
    uint64_t seq;
};

/* An offset, as a JSON string. */
bool position_read(struct view offset, struct position *out) MUSTCHECK;

struct frame {
    unsigned refs;
    unsigned count;       /* of frames in it */
    unsigned char header; /* bytes before the payload, of the first */
    size_t len;           /* of all */
    unsigned char bytes[];
};

/* All return one reference. */
struct frame *frame_create(enum ws_opcode opcode, struct view payload);
/* Of `count` whole frames of text. */
struct frame *frame_of_many(struct view frames, unsigned count);
/* `room` (a JSON string) is shown by FRAME_WS only; empty: the whole tenant. */
struct frame *frame_of_event(enum frame_form form, const char *type, struct view data,
                             const struct position *at, struct view room);
/* "Reload: there is no way from where you were to where the stream is now." */
struct frame *frame_of_resync(enum frame_form form, const char *reason, const struct position *at);

/* The same in two parts, for who makes many: what is said of the event, and where the stream stands. The
 * caller frees both (buf_free()); together they are a frame. */
void frame_stem(struct buf *out, enum frame_form form, const char *type, struct view data);
void frame_tail(struct buf *out, enum frame_form form, const struct position *at, struct view room);
void frame_add_joined(struct buf *frames, struct view stem, struct view tail);

struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame *f); /* NULL-safe */
/* What is behind the header of a single one: all that a transport without frames would send. */
struct view frame_payload(const struct frame *f);
/* Takes the first off such bytes, which are not empty: its payload. */
struct view frame_next(struct view *frames, bool *is_text);

#endif
