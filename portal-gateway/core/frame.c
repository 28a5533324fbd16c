#include "portal-gateway/core/frame.h"
#include "shared/buf.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_MAX = 2 * EVENT_BODY_MAX }; /* an event body and what is put around it */

/* Of an unmasked frame. */
static size_t header_bytes(const unsigned char *frame)
{
    unsigned n = frame[1] & 127;
    return n < 126 ? 2 : n == 126 ? 4 : 10;
}

static struct frame *create(const unsigned char *header, size_t n, struct view payload)
{
    struct frame *f = xcalloc(1, sizeof *f + n + payload.n);
    f->refs = f->count = 1;
    f->header = (unsigned char)n;
    f->len = n + payload.n;
    memcpy(f->bytes, header, n);
    if (payload.n)
        memcpy(f->bytes + n, payload.p, payload.n);
    return f;
}

struct frame *frame_create(enum ws_opcode opcode, struct view payload)
{
    unsigned char header[WS_HEADER_MAX];
    return create(header, ws_frame_header(header, opcode, payload.n), payload);
}

struct frame *frame_of_many(struct view frames, unsigned count)
{
    struct frame *f = create((const unsigned char *)"", 0, frames);
    f->header = (unsigned char)header_bytes(f->bytes);
    f->count = count;
    return f;
}

static void write_offset(struct buf *b, const struct position *at)
{
    char offset[OFFSET_SIZE];
    offset_format(at->epoch, at->seq, offset);
    buf_add_char(b, '"');
    buf_add_text(b, offset);
    buf_add_char(b, '"');
}

static void write_stem(struct buf *b, enum frame_form form, const char *type, struct view data)
{
    buf_add_text(b, form == FRAME_WS ? "{\"type\":\"event\",\"event\":" : "42[");
    json_put_string(b, view_of(type));
    buf_add_text(b, form == FRAME_WS ? ",\"data\":" : ",");
    buf_add_view(b, data);
}

static void write_tail(struct buf *b, enum frame_form form, const struct position *at, struct view room)
{
    if (form != FRAME_SIO_BARE) {
        buf_add_text(b, form == FRAME_WS ? ",\"offset\":" : ",");
        write_offset(b, at);
    }
    if (form == FRAME_WS && room.n) {
        buf_add_text(b, ",\"room\":");
        buf_add_view(b, room);
    }
    buf_add_char(b, form == FRAME_WS ? '}' : ']');
}

void frame_stem(struct buf *out, enum frame_form form, const char *type, struct view data)
{
    buf_init(out, PAYLOAD_MAX);
    write_stem(out, form, type, data);
}

void frame_tail(struct buf *out, enum frame_form form, const struct position *at, struct view room)
{
    buf_init(out, PAYLOAD_MAX);
    write_tail(out, form, at, room);
}

void frame_add_joined(struct buf *frames, struct view stem, struct view tail)
{
    unsigned char header[WS_HEADER_MAX];
    buf_add(frames, header, ws_frame_header(header, WS_TEXT, stem.n + tail.n));
    buf_add_view(frames, stem);
    buf_add_view(frames, tail);
}

static struct frame *finished(struct buf *b)
{
    struct frame *f = frame_create(WS_TEXT, buf_view(b));
    buf_free(b);
    return f;
}

struct frame *frame_of_event(enum frame_form form, const char *type, struct view data,
                             const struct position *at, struct view room)
{
    struct buf b;
    frame_stem(&b, form, type, data);
    write_tail(&b, form, at, room);
    return finished(&b);
}

struct frame *frame_of_resync(enum frame_form form, const char *reason, const struct position *at)
{
    char offset[OFFSET_SIZE];
    struct buf data, b;
    struct json_writer w;
    offset_format(at->epoch, at->seq, offset);
    buf_init(&data, 256);
    jw_init(&w, &data);
    jw_begin(&w, '{');
    if (form == FRAME_WS)
        jw_key_text(&w, "type", "resync");
    jw_key_text(&w, "reason", reason);
    if (form == FRAME_WS)
        jw_key_text(&w, "offset", offset);
    jw_end(&w, '}');
    if (form == FRAME_WS)
        return finished(&data);
    frame_stem(&b, form, "resync", buf_view(&data));
    write_tail(&b, form, at, (struct view){NULL, 0});
    buf_free(&data);
    return finished(&b);
}

bool position_read(struct view offset, struct position *out)
{
    char text[OFFSET_SIZE];
    return json_type(offset) == JSON_STRING && json_copy_string(offset, text, sizeof text) &&
           offset_parse(view_of(text), out->epoch, &out->seq);
}

struct frame *frame_ref(struct frame *f)
{
    f->refs++;
    return f;
}

void frame_unref(struct frame *f)
{
    if (f && !--f->refs)
        free(f);
}

struct view frame_payload(const struct frame *f)
{
    return (struct view){(const char *)f->bytes + f->header, f->len - f->header};
}

struct view frame_next(struct view *frames, bool *is_text)
{
    const unsigned char *f = (const unsigned char *)frames->p;
    size_t header = header_bytes(f), n = f[1] & 127;
    if (header > 2)
        for (size_t i = n = 0; i < header - 2; i++)
            n = n << 8 | f[2 + i];
    *is_text = (f[0] & 15) == WS_TEXT;
    struct view payload = {frames->p + header, n};
    *frames = (struct view){payload.p + n, frames->n - header - n};
    return payload;
}
