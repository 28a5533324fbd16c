#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/probe.h"
#include "portal-gateway/http/endpoint_parts.h"
#include "portal-gateway/http/relay.h"
#include "portal-gateway/http/ws_link.h"
#include "shared/etag.h"
#include "shared/http_text.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/origin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPLY_HEADERS_MAX = 12,
    HEAD_TIMEOUT_MS = 10000,
    BODY_TIMEOUT_MS = 30000,
    SESSION_CONNECTIONS = 2, /* a GET is held while a POST comes */
    SPARE_CONNECTIONS = 256, /* beside the sessions: health, metrics, the page */
    MAX_BODY = 1 << 16       /* where no body is wanted */
};

#define PAGE_POLICY                                                                                         \
    "default-src 'self'; connect-src 'self' http: https: ws: wss:; img-src 'self' data:; base-uri 'none'; " \
    "form-action 'none'; frame-ancestors 'none'"

/* --- answering --- */

bool origin_of(const struct endpoint *e, const struct request *r, char out[static ORIGIN_SIZE])
{
    if (view_copy(request_header(r, "origin"), out, ORIGIN_SIZE) && *out &&
        (origin_allowed(e->options.allowed_origins, view_of(out)) ||
         origin_is_own(view_of(out), request_header(r, "host"))))
        return true;
    out[0] = 0;
    return false;
}

static bool send_answer(struct endpoint *e, uint64_t request_id, const char *origin, struct reply *reply,
                        const struct reply_header *extra, size_t count)
{
    struct reply_header headers[REPLY_HEADERS_MAX] = {
        {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}, {"Vary", "Origin"}};
    size_t n = 3;
    if (*origin) {
        headers[n++] = (struct reply_header){"Access-Control-Allow-Origin", origin};
        headers[n++] = (struct reply_header){"Access-Control-Allow-Credentials", "true"};
    }
    for (size_t i = 0; i < count && n < REPLY_HEADERS_MAX; i++) {
        if (strcmp(extra[i].name, headers[0].name) == 0)
            headers[0] = extra[i];
        else
            headers[n++] = extra[i];
    }
    reply->headers = headers;
    reply->header_count = n;
    return server_reply(e->server, request_id, reply);
}

static void answer_request(struct endpoint *e, const struct request *r, struct reply *reply,
                           const struct reply_header *extra, size_t count)
{
    char origin[ORIGIN_SIZE];
    origin_of(e, r, origin);
    /* A WebSocket client has no use for a connection without one. */
    reply->close = request_header(r, "upgrade").n > 0;
    send_answer(e, r->id, origin, reply, extra, count);
}

void answer_with(struct endpoint *e, const struct request *r, int status, const char *type, struct view body,
                 const struct reply_header *extra, size_t count)
{
    struct reply reply = {.status = status, .content_type = type, .body = body};
    answer_request(e, r, &reply, extra, count);
}

void answer_held(struct endpoint *e, uint64_t request_id, const char *origin, int status, const char *type,
                 struct view body)
{
    struct reply reply = {.status = status, .content_type = type, .body = body};
    send_answer(e, request_id, origin, &reply, NULL, 0);
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

void answer_asset(struct endpoint *e, const struct request *r, const struct asset *a,
                  const struct reply_header *extra, size_t count)
{
    struct view tag = {a->etag + 1, strlen(a->etag) - 2};
    struct reply reply = {
        .status = 200, .content_type = a->type, .body = {a->bytes, a->n}, .body_stays = true};
    if (etag_is_listed(request_header(r, "if-none-match"), tag))
        reply = (struct reply){.status = 304};
    answer_request(e, r, &reply, extra, count);
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

bool origin_is_refused(const struct endpoint *e, const struct request *r)
{
    char origin[ORIGIN_SIZE];
    if (origin_of(e, r, origin) || !request_header(r, "origin").n)
        return false;
    struct view refused = request_header(r, "origin");
    meter_add(ORIGIN_REFUSED, 1);
    log_warn("origin_refused", "origin=\"%.*s\" path=\"%.*s\"", VIEW_ARG(refused), VIEW_ARG(r->path));
    return true;
}

bool origin_may_connect(struct endpoint *e, const struct request *r)
{
    if (!origin_is_refused(e, r))
        return true;
    answer_error(e, r, 403, "FORBIDDEN_ORIGIN", "this web origin may not connect");
    return false;
}

static struct address client_of(const struct endpoint *e, const struct request *r)
{
    return address_of_client(e->options.proxies, view_of(r->address), request_header(r, "x-forwarded-for"));
}

static bool has_room_for_address(const struct endpoint *e, const struct request *r)
{
    const struct hub *h = e->options.hub;
    if (!h->policy->connections_per_address)
        return true;
    struct address client = client_of(e, r);
    return guests_count(&h->guests, &client) < h->policy->connections_per_address;
}

static bool try_later(struct endpoint *e, const struct request *r, int status, const char *why)
{
    static const struct reply_header later[] = {{"Retry-After", "5"}};
    answer_with(e, r, status, "text/plain", view_of(why), later, countof(later));
    return false;
}

bool session_may_open(struct endpoint *e, const struct request *r)
{
    if (e->draining || hub_session_count(e->options.hub) >= e->options.max_connections)
        return try_later(e, r, 503, "try again");
    if (has_room_for_address(e, r))
        return true;
    meter_add(ADDRESS_REFUSED, 1);
    return try_later(e, r, 429, "too many connections of this address");
}

struct session *session_open(struct endpoint *e, const struct request *r, const struct protocol *protocol,
                             const char *token)
{
    struct hub *h = e->options.hub;
    struct session *s = session_create(h, protocol, token);
    if (h->policy->connections_per_address) {
        struct address client = client_of(e, r);
        s->guest = guests_enter(&h->guests, &client);
    }
    return s;
}

static void copy_token(struct view given, char out[static TOKEN_MAX_BYTES + 1])
{
    if (!view_copy(given, out, TOKEN_MAX_BYTES + 1))
        memcpy(out, TOKEN_UNREADABLE, sizeof TOKEN_UNREADABLE);
}

void token_of(const struct request *r, char out[static TOKEN_MAX_BYTES + 1])
{
    struct view header = request_header(r, "authorization");
    if (header.n > 7 && view_is_nocase((struct view){header.p, 7}, "bearer "))
        copy_token(view_trim((struct view){header.p + 7, header.n - 7}), out);
    else if (!request_query(r, "token", out, TOKEN_MAX_BYTES + 1))
        copy_token(http_query_has(r->query, "token") ? VIEW(TOKEN_UNREADABLE) : VIEW(""), out);
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
        else
            copy_token(word, out);
    }
    return offered;
}

static bool plain_upgrade(struct endpoint *e, const struct request *r, struct upgrade *up)
{
    char token[TOKEN_MAX_BYTES + 1] = "";
    if (!origin_may_connect(e, r) || !session_may_open(e, r))
        return false;
    if (token_of_subprotocol(r, token))
        snprintf(up->subprotocol, sizeof up->subprotocol, "portalcast");
    if (!*token)
        token_of(r, token);
    up->user = session_open(e, r, &protocol_ws, token);
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
    answer_asset(e, r, a, extra, countof(extra));
}

/* --- routing --- */

static const struct route {
    const char *path;
    bool prefix;     /* everything below, too */
    bool any_method; /* else GET and HEAD */
    /* Whether a body is wanted; NULL: it is, up to MAX_BODY. */
    bool (*head)(struct endpoint *e, const struct request *r, uint64_t body_bytes);
    void (*request)(struct endpoint *e, const struct request *r);
    bool (*upgrade)(struct endpoint *e, const struct request *r, struct upgrade *up);
} routes[] = {
    {"/socket.io", false, true, socketio_head, socketio_request, socketio_upgrade},
    {"/socket.io/", true, true, socketio_head, socketio_request, socketio_upgrade},
    {"/engine.io", false, true, socketio_head, socketio_request, socketio_upgrade},
    {"/engine.io/", true, true, socketio_head, socketio_request, socketio_upgrade},
    {"/ws", false, false, NULL, plain_request, plain_upgrade},
    {"/healthz", false, false, NULL, status_healthz, NULL},
    {"/readyz", false, false, NULL, status_readyz, NULL},
    {"/metrics", false, false, NULL, status_metrics, NULL},
    {"/", true, false, NULL, page, NULL},
};

static const struct route *find_route(struct view path)
{
    for (size_t i = 0; i < countof(routes); i++)
        if (view_is(path, routes[i].path) || (routes[i].prefix && view_starts(path, routes[i].path)))
            return &routes[i];
    return &routes[countof(routes) - 1];
}

static bool on_head(void *ctx, const struct request *r, uint64_t body_bytes)
{
    struct endpoint *e = ctx;
    const struct route *route = find_route(r->path);
    if (route->head && r->method != HTTP_OPTIONS)
        return route->head(e, r, body_bytes);
    if (body_bytes <= MAX_BODY)
        return true;
    answer(e, r, 413, NULL, VIEW(""));
    return false;
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

/* --- WebSockets, by what they stand for --- */

static void on_ws_open(void *ctx, struct ws *ws)
{
    (void)ctx;
    switch ((enum visitor)ws_kind(ws)) {
    case VISITOR_SESSION:
        session_on_open(ws_user(ws), &ws_link_ops, ws);
        break;
    case VISITOR_SESSION_BASE64:
        session_on_open(ws_user(ws), &ws_link_base64_ops, ws);
        break;
    case VISITOR_PROBE:
        probe_on_open(ws_user(ws), ws);
        break;
    case VISITOR_SURPLUS:
        ws_close(ws, 0, "");
        break;
    }
}

static bool is_session(const struct ws *ws)
{
    return ws_kind(ws) == VISITOR_SESSION || ws_kind(ws) == VISITOR_SESSION_BASE64;
}

static void on_probe_message(struct ws *ws, struct view message, bool is_text)
{
    struct probe *probe = ws_user(ws);
    struct session *moved = probe_on_message(probe, message, is_text);
    if (!moved)
        return;
    ws_set_user(ws, moved, VISITOR_SESSION);
    probe_gone(probe);
}

static void on_ws_message(void *ctx, struct ws *ws, struct view message, bool is_text)
{
    (void)ctx;
    if (is_session(ws))
        session_on_message(ws_user(ws), message, is_text);
    else if (ws_kind(ws) == VISITOR_PROBE)
        on_probe_message(ws, message, is_text);
}

static void on_ws_writable(void *ctx, struct ws *ws)
{
    (void)ctx;
    if (is_session(ws))
        session_on_writable(ws_user(ws));
}

static void on_ws_close(void *ctx, struct ws *ws)
{
    (void)ctx;
    if (is_session(ws))
        session_gone(ws_user(ws));
    else if (ws_kind(ws) == VISITOR_PROBE)
        probe_gone(ws_user(ws));
}

static void on_ws_pong(void *ctx, struct ws *ws)
{
    (void)ctx;
    if (is_session(ws))
        session_on_pong(ws_user(ws));
}

static void on_gone(void *ctx, uint64_t request_id)
{
    struct endpoint *e = ctx;
    polls_on_gone(e->polls, request_id);
    if (e->relay)
        relay_on_gone(e->relay, request_id);
}

static bool origin_may_read(void *ctx, const struct request *r)
{
    char origin[ORIGIN_SIZE];
    return origin_of(ctx, r, origin);
}

/* A proxy, or another gateway, which relays. */
static bool is_many(void *ctx, const struct address *peer)
{
    const struct endpoint *e = ctx;
    return networks_have(e->options.proxies, peer) || peers_have(&e->options.hub->peers, peer);
}

static const struct server_handler handler = {
    .on_head = on_head,
    .on_request = on_request,
    .on_gone = on_gone,
    .on_upgrade = on_upgrade,
    .on_ws_open = on_ws_open,
    .on_ws_message = on_ws_message,
    .on_ws_writable = on_ws_writable,
    .on_ws_close = on_ws_close,
    .on_ws_pong = on_ws_pong,
    .origin_may_read = origin_may_read,
    .is_many = is_many,
};

/* --- polling --- */

static bool reply_to_poll(void *ctx, uint64_t request, const char *origin, int status, const char *type,
                          struct view body)
{
    struct reply reply = {.status = status, .content_type = type, .body = body};
    return send_answer(ctx, request, origin, &reply, NULL, 0);
}

static void abort_poll(void *ctx, uint64_t request)
{
    server_abort(((struct endpoint *)ctx)->server, request);
}

/* --- life --- */

struct endpoint *endpoint_create(struct loop *loop, const struct endpoint_options *options, struct err *err)
{
    struct endpoint *e = xcalloc(1, sizeof *e);
    e->options = *options;
    struct server_options server = {.host = options->host,
                                    .port = options->port,
                                    .max_message = options->hub->policy->max_payload,
                                    .max_connections =
                                        SESSION_CONNECTIONS * options->max_connections + SPARE_CONNECTIONS,
                                    .arrival_rate = options->arrival_rate,
                                    .head_timeout_ms = HEAD_TIMEOUT_MS,
                                    .body_timeout_ms = BODY_TIMEOUT_MS,
                                    .server_name = "portalcast",
                                    .handler = &handler,
                                    .other_files = &e->other_files,
                                    .ctx = e};
    struct poll_out out = {.ctx = e, .reply = reply_to_poll, .abort = abort_poll};
    e->polls = polls_create(loop, &out);
    e->server = server_create(loop, &server, err);
    if (e->server) {
        e->relay = relay_create(loop, e);
        return e;
    }
    polls_destroy(e->polls);
    free(e);
    return NULL;
}

void endpoint_destroy(struct endpoint *e)
{
    if (!e)
        return;
    relay_destroy(e->relay);
    e->relay = NULL;
    server_destroy(e->server);
    polls_destroy(e->polls);
    free(e);
}

int endpoint_port(const struct endpoint *e)
{
    return server_port(e->server);
}

size_t endpoint_tunnels(const struct endpoint *e)
{
    return relay_tunnels(e->relay);
}

void endpoint_drain_tunnels(struct endpoint *e, size_t max)
{
    relay_drain(e->relay, max);
}

void endpoint_stop_accepting(struct endpoint *e)
{
    e->draining = true;
    server_stop_listening(e->server);
}
