#include "portal-gateway/http/ws_link.h"
#include "portal-gateway/core/eio_payload.h"
#include "shared/server.h"

enum { ENCODED_MAX = 1 << 29 };

static size_t write_frames(void *link, const struct iovec *frames, size_t n)
{
    return ws_write(link, frames, n);
}

/* One at a time: such clients are few, and so are binary frames. */
static size_t write_base64(void *link, const struct iovec *frames, size_t n)
{
    size_t taken = 0;
    for (bool went = true; went && taken < n; taken += went) {
        bool is_text;
        struct view frame = {frames[taken].iov_base, frames[taken].iov_len};
        struct view payload = frame_next(&frame, &is_text);
        if (is_text) {
            went = ws_write(link, &frames[taken], 1) == 1;
            continue;
        }
        struct buf b;
        buf_init(&b, ENCODED_MAX);
        eio_add_binary(&b, payload);
        struct frame *f = frame_create(WS_TEXT, buf_view(&b));
        went = ws_write(link, &(struct iovec){f->bytes, f->len}, 1) == 1;
        frame_unref(f);
        buf_free(&b);
    }
    return taken;
}

static void close_link(void *link, int code, const char *reason)
{
    ws_close(link, code, reason);
}

static void slow(void *link, bool on)
{
    ws_pause(link, on);
}

const struct link_ops ws_link_ops = {.write = write_frames, .slow = slow, .close = close_link};
const struct link_ops ws_link_base64_ops = {.write = write_base64, .slow = slow, .close = close_link};
