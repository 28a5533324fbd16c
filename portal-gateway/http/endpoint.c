#include "portal-gateway/core/meters.h"
#include "portal-gateway/http/endpoint_parts.h"
#include "portal-gateway/http/ws_link.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/origin.h"
#include <stdlib.h>
#include <string.h>

enum {
    REPLY_HEADERS_MAX = 12,
    ORIGIN_SIZE = 256,
    HEAD_TIMEOUT_MS = 10000,
    BODY_TIMEOUT_MS = 30000,
    SPARE_CONNECTIONS = 256, /* beside the sessions: health, metrics, the page */
    MAX_BODY = 1 << 16
};

#define PAGE_POLICY                                                                                         \
    "default-src 'self'; connect-src 'self' http: https: ws: wss:; img-src 'self' data:; base-uri 'none'; " \
    "form-action 'none'; frame-ancestors 'none'"

/* --- answering --- */

/* The origin of a browser that may read the answer; "" when there is none. */
static bool origin_of(const struct endpoint *e, const struct request *r, char out[static ORIGIN_SIZE])
{
    out[0] = 0;
    if (!view_copy(request_header(r, "origin"), out, ORIGIN_SIZE) || !*out)
        return false;
    return origin_allowed(e->options.allowed_origins, view_of(out)) ||
           origin_is_own(view_of(out), request_header(r, "host"));
}

void answer_with(struct endpoint *e, const struct request *r, int status, const char *type, struct view body,
                 const struct reply_header *extra, size_t count)
{
    char origin[ORIGIN_SIZE];
    struct reply_header headers[REPLY_HEADERS_MAX] = {
        {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}, {"Vary", "Origin"}};
    size_t n = 3;
    if (origin_of(e, r, origin)) {
        headers[n++] = (struct reply_header){"Access-Control-Allow-Origin", origin};
        headers[n++] = (struct reply_header){"Access-Control-Allow-Credentials", "true"};
    }
    for (size_t i = 0; i < count && n < REPLY_HEADERS_MAX; i++) {
        if (strcmp(extra[i].name, headers[0].name) == 0)
            headers[0] = extra[i];
        else
            headers[n++] = extra[i];
    }
    struct reply reply = {.status = status,
                          .content_type = type,
                          .body = body,
                          .headers = headers,
                          .header_count = n,
                          /* a WebSocket client has no use for a connection without one */
                          .close = request_header(r, "upgrade").n > 0};
    server_reply(e->server, r->id, &reply);
}

void answer(struct endpoint *e, const struct request *r, int status, const char *type, struct view body)
{
    answer_with(e, r, status, type, body, NULL, 0);
}

void answer_error(struct endpoint *e, const struct request *r, int status, const char *code,
                  const char *message)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_addf(&b, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"details\":{}}}", code, message);
    answer(e, r, status, "application/json", buf_view(&b));
    buf_free(&b);
}

static void preflight(struct endpoint *e, const struct request *r)
{
    char asked[512] = "";
    if (!view_copy(request_header(r, "access-control-request-headers"), asked, sizeof asked))
        asked[0] = 0;
    const struct reply_header extra[] = {
        {"Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE"},
        {"Access-Control-Allow-Headers", asked},
        {"Vary", "Access-Control-Request-Headers"},
    };
    answer_with(e, r, 204, NULL, (struct view){"", 0}, extra, countof(extra));
}

/* --- what may come in --- */

bool upgrade_allowed(struct endpoint *e, const struct request *r)
{
    static const struct reply_header later[] = {{"Retry-After", "5"}};
    char origin[ORIGIN_SIZE];
    if (!origin_of(e, r, origin) && request_header(r, "origin").n) {
        meter_add(ORIGIN_REFUSED, 1);
        log_warn("origin_refused", "origin=\"%s\" path=\"%.*s\"", origin, VIEW_ARG(r->path));
        answer_error(e, r, 403, "FORBIDDEN_ORIGIN", "this web origin may not connect");
        return false;
    }
    if (e->draining || hub_session_count(e->options.hub) >= e->options.max_connections) {
        answer_with(e, r, 503, "text/plain", VIEW("try again"), later, countof(later));
        return false;
    }
    return true;
}

void token_of(const struct request *r, char out[static TOKEN_MAX_BYTES + 1])
{
    struct view header = request_header(r, "authorization");
    bool bearer = header.n > 7 && view_is_nocase((struct view){header.p, 7}, "bearer ");
    bool found =
        bearer ? view_copy(view_trim((struct view){header.p + 7, header.n - 7}), out, TOKEN_MAX_BYTES + 1)
               : request_query(r, "token", out, TOKEN_MAX_BYTES + 1);
    if (!found)
        out[0] = 0;
}

/* --- /ws --- */

static void plain_request(struct endpoint *e, const struct request *r)
{
    static const struct reply_header extra[] = {{"Upgrade", "websocket"}};
    answer_with(e, r, 426, "text/plain", VIEW("this is a WebSocket endpoint"), extra, countof(extra));
}

/* "portalcast, <jwt>": the way for browsers, which cannot set headers. Returns whether portalcast was
 * offered. */
static bool token_of_subprotocol(const struct request *r, char out[static TOKEN_MAX_BYTES + 1])
{
    struct view rest = request_header(r, "sec-websocket-protocol"), word;
    bool offered = false;
    while (rest.n && view_split(&rest, ',', &word)) {
        word = view_trim(word);
        if (view_is(word, "portalcast"))
            offered = true;
        else if (!view_copy(word, out, TOKEN_MAX_BYTES + 1))
            out[0] = 0;
    }
    return offered;
}

static bool plain_upgrade(struct endpoint *e, const struct request *r, struct upgrade *up)
{
    char token[TOKEN_MAX_BYTES + 1] = "";
    if (!upgrade_allowed(e, r))
        return false;
    if (token_of_subprotocol(r, token))
        up->subprotocol = "portalcast";
    if (!*token)
        token_of(r, token);
    up->user = session_create(e->options.hub, &protocol_ws, token);
    return true;
}

/* --- the page --- */

static void page(struct endpoint *e, const struct request *r)
{
    const struct asset *a = assets_find(e->options.assets, r->path);
    if (!a) {
        answer_error(e, r, 404, "NOT_FOUND", "no such path");
        return;
    }
    const struct reply_header extra[] = {
        {"Cache-Control", "no-cache"}, {"ETag", a->etag}, {"Content-Security-Policy", PAGE_POLICY}};
    if (view_is(request_header(r, "if-none-match"), a->etag))
        answer_with(e, r, 304, NULL, (struct view){"", 0}, extra, countof(extra));
    else
        answer_with(e, r, 200, a->type, (struct view){a->bytes, a->n}, extra, countof(extra));
}

/* --- routing --- */

static const struct route {
    const char *path;
    bool prefix;     /* everything below, too */
    bool any_method; /* else GET and HEAD */
    void (*request)(struct endpoint *e, const struct request *r);
    bool (*upgrade)(struct endpoint *e, const struct request *r, struct upgrade *up);
} routes[] = {
    {"/socket.io", false, true, socketio_request, socketio_upgrade},
    {"/socket.io/", true, true, socketio_request, socketio_upgrade},
    {"/engine.io", false, true, socketio_request, socketio_upgrade},
    {"/engine.io/", true, true, socketio_request, socketio_upgrade},
    {"/ws", false, false, plain_request, plain_upgrade},
    {"/healthz", false, false, status_healthz, NULL},
    {"/readyz", false, false, status_readyz, NULL},
    {"/metrics", false, false, status_metrics, NULL},
    {"/", true, false, page, NULL},
};

static const struct route *find_route(struct view path)
{
    for (size_t i = 0; i < countof(routes); i++)
        if (view_is(path, routes[i].path) || (routes[i].prefix && view_starts(path, routes[i].path)))
            return &routes[i];
    return &routes[countof(routes) - 1];
}

static void on_request(void *ctx, const struct request *r)
{
    static const struct reply_header allow[] = {{"Allow", "GET, HEAD, OPTIONS"}};
    struct endpoint *e = ctx;
    const struct route *route = find_route(r->path);
    if (r->method == HTTP_OPTIONS)
        preflight(e, r);
    else if (route->any_method || r->method == HTTP_GET || r->method == HTTP_HEAD)
        route->request(e, r);
    else
        answer_with(e, r, 405, "text/plain", VIEW("method not allowed"), allow, countof(allow));
}

static bool on_upgrade(void *ctx, const struct request *r, struct upgrade *up)
{
    struct endpoint *e = ctx;
    const struct route *route = find_route(r->path);
    if (route->upgrade)
        return route->upgrade(e, r, up);
    answer_error(e, r, 404, "NOT_FOUND", "no WebSocket here");
    return false;
}

static void on_ws_open(void *ctx, struct ws *ws)
{
    (void)ctx;
    session_on_open(ws_user(ws), &ws_link_ops, ws);
}

static void on_ws_message(void *ctx, struct ws *ws, struct view message, bool is_text)
{
    (void)ctx;
    session_on_message(ws_user(ws), message, is_text);
}

static void on_ws_writable(void *ctx, struct ws *ws)
{
    (void)ctx;
    session_on_writable(ws_user(ws));
}

static void on_ws_close(void *ctx, struct ws *ws)
{
    (void)ctx;
    session_gone(ws_user(ws));
}

static void on_ws_pong(void *ctx, struct ws *ws)
{
    (void)ctx;
    session_on_pong(ws_user(ws));
}

static void on_gone(void *ctx, uint64_t request_id)
{
    (void)ctx; /* every request is answered at once; a held poll would end here */
    (void)request_id;
}

static const struct server_handler handler = {
    .on_request = on_request,
    .on_gone = on_gone,
    .on_upgrade = on_upgrade,
    .on_ws_open = on_ws_open,
    .on_ws_message = on_ws_message,
    .on_ws_writable = on_ws_writable,
    .on_ws_close = on_ws_close,
    .on_ws_pong = on_ws_pong,
};

/* --- life --- */

struct endpoint *endpoint_create(struct loop *loop, const struct endpoint_options *options, struct err *err)
{
    struct endpoint *e = xcalloc(1, sizeof *e);
    e->options = *options;
    struct server_options server = {.host = options->host,
                                    .port = options->port,
                                    .max_body = MAX_BODY,
                                    .max_message = options->hub->policy->max_payload,
                                    .max_connections = options->max_connections + SPARE_CONNECTIONS,
                                    .head_timeout_ms = HEAD_TIMEOUT_MS,
                                    .body_timeout_ms = BODY_TIMEOUT_MS,
                                    .server_name = "portalcast",
                                    .handler = &handler,
                                    .ctx = e};
    e->server = server_create(loop, &server, err);
    if (e->server)
        return e;
    free(e);
    return NULL;
}

void endpoint_destroy(struct endpoint *e)
{
    if (!e)
        return;
    server_destroy(e->server);
    free(e);
}

int endpoint_port(const struct endpoint *e)
{
    return server_port(e->server);
}

void endpoint_stop_accepting(struct endpoint *e)
{
    e->draining = true;
    server_stop_listening(e->server);
}
