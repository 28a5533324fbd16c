#include "portal-gateway/http/relay_head.h"
#include "portal-gateway/core/peer_keys.h"

/* What an answer may depend on, or a log may want to say. */
static const char *const passed_on[] = {
    "host",         "origin",          "user-agent",        "cookie",
    "content-type", "accept-encoding", "x-forwarded-proto", "authorization"};
static const char *const of_upgrades[] = {"sec-websocket-key", "sec-websocket-version",
                                          "sec-websocket-protocol", "sec-websocket-extensions"};

/* A head that is put together anew must not get lines that nobody has checked. */
static bool is_one_line(struct view value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < ' ' && value.p[i] != '\t')
            return false;
    return true;
}

static void pass_on(struct buf *out, const struct request *r, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct view value = request_header(r, names[i]);
        if (value.n && is_one_line(value))
            buf_addf(out, "%s: %.*s\r\n", names[i], VIEW_ARG(value));
    }
}

static void add_addresses(struct buf *out, const struct request *r)
{
    struct view before = request_header(r, "x-forwarded-for");
    bool any = before.n && is_one_line(before);
    buf_addf(out, "x-forwarded-for: %.*s%s%s\r\n", any ? (int)before.n : 0, any ? before.p : "",
             any ? ", " : "", r->address);
}

void relay_head_write(struct buf *out, const struct request *r, bool is_upgrade, const char *pass)
{
    /* What stands behind the prefix says nothing to anybody. */
    buf_addf(out, "%s /%s/?%.*s HTTP/1.1\r\n", r->method == HTTP_POST ? "POST" : "GET",
             view_starts(r->path, "/engine.io") ? "engine.io" : "socket.io", VIEW_ARG(r->query));
    pass_on(out, r, passed_on, countof(passed_on));
    add_addresses(out, r);
    buf_addf(out, PEER_PASS_HEADER ": %s\r\n", pass);
    if (is_upgrade) {
        pass_on(out, r, of_upgrades, countof(of_upgrades));
        buf_add_text(out, "connection: Upgrade\r\nupgrade: websocket\r\n");
    }
    if (r->method == HTTP_POST)
        buf_addf(out, "content-length: %zu\r\n", r->body.n);
    buf_add_text(out, "\r\n");
}
