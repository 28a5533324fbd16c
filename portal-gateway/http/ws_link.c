#include "portal-gateway/http/ws_link.h"
#include "shared/server.h"

static size_t write_frames(void *link, const struct iovec *frames, size_t n)
{
    return ws_write(link, frames, n);
}

static void close_link(void *link, int code, const char *reason)
{
    ws_close(link, code, reason);
}

const struct link_ops ws_link_ops = {.write = write_frames, .close = close_link};
