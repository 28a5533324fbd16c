#include "portal-gateway/core/frame.h"
#include "shared/buf.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_MAX = 2 * EVENT_BODY_MAX }; /* an event body and what is put around it */

struct frame *frame_create(enum ws_opcode opcode, struct view payload)
{
    unsigned char header[WS_HEADER_MAX];
    size_t n = ws_frame_header(header, opcode, payload.n);
    struct frame *f = xcalloc(1, sizeof *f + n + payload.n);
    f->refs = 1;
    f->header = (unsigned char)n;
    f->len = n + payload.n;
    memcpy(f->bytes, header, n);
    if (payload.n)
        memcpy(f->bytes + n, payload.p, payload.n);
    return f;
}

static void write_sio(struct buf *b, const char *type, struct view data, const char *offset)
{
    buf_add_text(b, "42[");
    json_put_string(b, view_of(type));
    buf_add_char(b, ',');
    buf_add_view(b, data);
    if (offset)
        buf_addf(b, ",\"%s\"", offset);
    buf_add_char(b, ']');
}

static void write_ws(struct buf *b, const char *type, struct view data, const char *offset, struct view room)
{
    struct json_writer w;
    jw_init(&w, b);
    jw_begin(&w, '{');
    jw_key_text(&w, "type", "event");
    jw_key_text(&w, "event", type);
    jw_key_raw(&w, "data", data);
    jw_key_text(&w, "offset", offset);
    if (room.n)
        jw_key_raw(&w, "room", room);
    jw_end(&w, '}');
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
    char offset[OFFSET_SIZE];
    struct buf b;
    offset_format(at->epoch, at->seq, offset);
    buf_init(&b, PAYLOAD_MAX);
    if (form == FRAME_WS)
        write_ws(&b, type, data, offset, room);
    else
        write_sio(&b, type, data, form == FRAME_SIO ? offset : NULL);
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
    buf_init(&b, 512);
    write_sio(&b, "resync", buf_view(&data), form == FRAME_SIO ? offset : NULL);
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

struct view frame_open(const void *bytes, size_t len, bool *is_text)
{
    const unsigned char *f = bytes;
    size_t header = (f[1] & 127) == 126 ? 4 : (f[1] & 127) == 127 ? 10 : 2;
    *is_text = (f[0] & 15) == WS_TEXT;
    return (struct view){(const char *)f + header, len - header};
}
