#include "shared/server.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/mem.h"
#include "shared/server_parts.h"
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    READ_BYTES = 16384,          /* of HTTP, in one system call */
    WS_READ_BYTES = 256,         /* held per WebSocket */
    LIBRARY_WRITE_BYTES = 65536, /* what it sends in one system call of what it was given to keep */
    NAME_MAX_BYTES = 64,         /* of a header that somebody asks for */
    CLEAN_LIST_MAX = 100,        /* bytes of a list header that the library's handshake can cope with */
    TEARDOWN_TURNS = 100
};

/* Links: what only the library can do. */

bool link_buffered(const struct conn *c)
{
    return lws_partial_buffered(c->wsi) != 0;
}

bool link_queue(struct conn *c, const void *bytes, size_t n)
{
    return lws_write(c->wsi, (unsigned char *)(uintptr_t)bytes, n, LWS_WRITE_RAW) >= 0;
}

void link_want_writable(struct conn *c)
{
    lws_callback_on_writable(c->wsi);
}

void link_no_timeout(struct conn *c)
{
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
}

void link_pause(struct conn *c)
{
    lws_rx_flow_control(c->wsi, 0);
}

void link_resume(struct conn *c)
{
    lws_rx_flow_control(c->wsi, 1);
}

void link_forget_head(struct conn *c)
{
    lws_http_headers_detach(c->wsi);
}

bool link_next_request(struct conn *c)
{
    return !lws_http_transaction_completed(c->wsi);
}

void link_kill(struct conn *c)
{
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    /* Its timers are looked at after its own events only, and none may come. */
    if (!c->server->is_kicked)
        lws_cancel_service(c->server->context);
    c->server->is_kicked = true;
}

/* Heads. */

static struct view copy_header(struct lws *wsi, enum lws_token_indexes token, char *out, size_t size)
{
    int n = lws_hdr_copy(wsi, out, (int)size, token);
    return view_trim((struct view){out, n > 0 ? (size_t)n : 0});
}

/* Also when its value is empty. */
static bool has_header(struct lws *wsi, enum lws_token_indexes token)
{
    char first[2];
    return lws_hdr_total_length(wsi, token) > 0 ||
           lws_hdr_copy_fragment(wsi, first, sizeof first, token, 0) >= 0;
}

static bool has_custom_header(struct lws *wsi, const char *name_and_colon)
{
    return lws_hdr_custom_length(wsi, name_and_colon, (int)strlen(name_and_colon)) >= 0;
}

struct view request_header(const struct request *r, const char *name)
{
    static const struct {
        const char *name;
        enum lws_token_indexes token;
    } known[] = {
        {"accept", WSI_TOKEN_HTTP_ACCEPT},
        {"accept-encoding", WSI_TOKEN_HTTP_ACCEPT_ENCODING},
        {"access-control-request-headers", WSI_TOKEN_HTTP_AC_REQUEST_HEADERS},
        {"authorization", WSI_TOKEN_HTTP_AUTHORIZATION},
        {"connection", WSI_TOKEN_CONNECTION},
        {"content-encoding", WSI_TOKEN_HTTP_CONTENT_ENCODING},
        {"content-length", WSI_TOKEN_HTTP_CONTENT_LENGTH},
        {"content-type", WSI_TOKEN_HTTP_CONTENT_TYPE},
        {"cookie", WSI_TOKEN_HTTP_COOKIE},
        {"host", WSI_TOKEN_HOST},
        {"if-match", WSI_TOKEN_HTTP_IF_MATCH},
        {"if-modified-since", WSI_TOKEN_HTTP_IF_MODIFIED_SINCE},
        {"if-none-match", WSI_TOKEN_HTTP_IF_NONE_MATCH},
        {"origin", WSI_TOKEN_ORIGIN},
        {"range", WSI_TOKEN_HTTP_RANGE},
        {"referer", WSI_TOKEN_HTTP_REFERER},
        {"sec-websocket-extensions", WSI_TOKEN_EXTENSIONS},
        {"sec-websocket-key", WSI_TOKEN_KEY},
        {"sec-websocket-protocol", WSI_TOKEN_PROTOCOL},
        {"sec-websocket-version", WSI_TOKEN_VERSION},
        {"upgrade", WSI_TOKEN_UPGRADE},
        {"user-agent", WSI_TOKEN_HTTP_USER_AGENT},
        {"x-forwarded-for", WSI_TOKEN_X_FORWARDED_FOR},
        {"x-real-ip", WSI_TOKEN_HTTP_X_REAL_IP},
    };
    const struct conn *c = r->head;
    char *out = c->server->header_value;
    for (size_t i = 0; i < countof(known); i++)
        if (!strcmp(known[i].name, name))
            return copy_header(c->wsi, known[i].token, out, SERVER_HEAD_MAX);
    char with_colon[NAME_MAX_BYTES];
    size_t n = strlen(name);
    if (n + 1 > sizeof with_colon)
        return VIEW("");
    memcpy(with_colon, name, n);
    with_colon[n] = ':';
    int length = lws_hdr_custom_copy(c->wsi, out, SERVER_HEAD_MAX, with_colon, (int)n + 1);
    return view_trim((struct view){out, length > 0 ? (size_t)length : 0});
}

static const struct {
    enum http_method method;
    enum lws_token_indexes target;
} methods[] = {
    [LWSHUMETH_GET] = {HTTP_GET, WSI_TOKEN_GET_URI},
    [LWSHUMETH_POST] = {HTTP_POST, WSI_TOKEN_POST_URI},
    [LWSHUMETH_OPTIONS] = {HTTP_OPTIONS, WSI_TOKEN_OPTIONS_URI},
    [LWSHUMETH_PUT] = {HTTP_PUT, WSI_TOKEN_PUT_URI},
    [LWSHUMETH_PATCH] = {HTTP_PATCH, WSI_TOKEN_PATCH_URI},
    [LWSHUMETH_DELETE] = {HTTP_DELETE, WSI_TOKEN_DELETE_URI},
    [LWSHUMETH_CONNECT] = {HTTP_OTHER, WSI_TOKEN_CONNECT},
    [LWSHUMETH_HEAD] = {HTTP_HEAD, WSI_TOKEN_HEAD_URI},
};

/* The library cuts path and query at & and ;, and has decoded them: this puts the pieces together again. */
static void collect_pieces(struct conn *c, enum lws_token_indexes token, struct buf *out,
                           void (*add)(struct buf *, struct view))
{
    char *piece = c->server->header_value;
    for (int i = 0, n; (n = lws_hdr_copy_fragment(c->wsi, piece, SERVER_HEAD_MAX, token, i)) >= 0; i++) {
        if (i)
            buf_add_char(out, '&');
        add(out, (struct view){piece, (size_t)n});
    }
}

static void add_plain(struct buf *out, struct view piece)
{
    buf_add_view(out, piece);
}

/* Starts the exchange of the request whose head the library has parsed; false: not a request that it can be
 * about. */
static bool begin_exchange(struct conn *c)
{
    char *target;
    int target_length, method = lws_http_get_uri_and_method(c->wsi, &target, &target_length);
    if (method < 0 || (size_t)method >= countof(methods))
        return false;
    struct buf *text = &c->server->scratch;
    buf_clear(text);
    collect_pieces(c, methods[method].target, text, add_plain);
    size_t path_bytes = text->len;
    if (lws_hdr_total_length(c->wsi, WSI_TOKEN_HTTP_URI_ARGS) > 0)
        collect_pieces(c, WSI_TOKEN_HTTP_URI_ARGS, text, http_query_add);
    struct view path = {text->data, path_bytes};
    if (text->overflow || !path_bytes || path.p[0] != '/' || memchr(path.p, 0, path.n))
        return false;
    exchange_create(c, methods[method].method, path,
                    (struct view){text->data + path_bytes, text->len - path_bytes});
    return true;
}

struct head_texts {
    char version[16], host[300], length[64], connection[300];
};

static struct http_head read_head(const struct conn *c, struct head_texts *texts)
{
    struct lws *wsi = c->wsi;
    return (struct http_head){
        .method = c->exchange->request.method,
        .version = copy_header(wsi, WSI_TOKEN_HTTP, texts->version, sizeof texts->version),
        .host = copy_header(wsi, WSI_TOKEN_HOST, texts->host, sizeof texts->host),
        .length = copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, texts->length, sizeof texts->length),
        .connection = copy_header(wsi, WSI_TOKEN_CONNECTION, texts->connection, sizeof texts->connection),
        .has_expect = has_header(wsi, WSI_TOKEN_HTTP_EXPECT),
        .has_length = has_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH),
        .has_encoding = has_header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING),
        .has_odd_framing =
            has_custom_header(wsi, "content-length :") || has_custom_header(wsi, "content-length\t:") ||
            has_custom_header(wsi, "transfer-encoding :") || has_custom_header(wsi, "transfer-encoding\t:"),
    };
}

static bool on_http_head(struct conn *c)
{
    struct head_texts texts;
    if (c->state != CONN_IDLE || c->exchange || !begin_exchange(c))
        return false;
    struct http_head head = read_head(c, &texts);
    return http_on_head(c, &head);
}

/* Upgrades. */

/* 0, or the status to refuse it with. */
static int check_upgrade(struct conn *c, struct view upgrade)
{
    struct head_texts texts;
    char version[8], key[64];
    uint64_t body_bytes;
    struct http_head head = read_head(c, &texts);
    int status = http_head_check(&head, 0, &body_bytes);
    if (status)
        return status;
    if (!view_is_nocase(upgrade, "websocket") || head.method != HTTP_GET || !http_is_1_1(head.version) ||
        !http_list_has(head.connection, "upgrade"))
        return 400;
    if (!c->server->options.handler->on_upgrade ||
        !view_is(copy_header(c->wsi, WSI_TOKEN_VERSION, version, sizeof version), "13"))
        return 426;
    return copy_header(c->wsi, WSI_TOKEN_KEY, key, sizeof key).n == 24 ? 0 : 400;
}

/*
 * The library closes an upgrade without a word when it does not know the subprotocol, or when a list in the
 * head is longer than 128 bytes, which a token in the subprotocol always is; and there is no way to take a
 * header away. So the socket goes to a new connection of the library's that begins with a head in which there
 * is nothing to stumble over.
 */
static void adopt_with_clean_head(struct conn *c)
{
    struct server *s = c->server;
    char host[300], key[64], head[600];
    struct view h = copy_header(c->wsi, WSI_TOKEN_HOST, host, sizeof host);
    struct view k = copy_header(c->wsi, WSI_TOKEN_KEY, key, sizeof key);
    int n = snprintf(head, sizeof head,
                     "GET / HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %.*s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     VIEW_ARG(h), VIEW_ARG(k));
    int fd = net_take_socket(c);
    if (fd < 0)
        return;
    s->adopting = c;
    lws_adopt_socket_vhost_readbuf(s->vhost, fd, head, (size_t)n);
    s->adopting = NULL;
}

static bool ask_handler(struct conn *c)
{
    struct server *s = c->server;
    struct exchange *x = c->exchange;
    struct upgrade answer = {0};
    x->is_shown = x->is_urgent = true;
    c->dispatching = true;
    bool accepted = s->options.handler->on_upgrade(s->options.ctx, &x->request, &answer);
    c->dispatching = false;
    if (!accepted) {
        if (!x->is_answered)
            http_refuse(c, 403);
        else if (x->rest.len && !link_queue(c, x->rest.data, x->rest.len))
            log_debug("upgrade_refusal_lost", "bytes=%zu", x->rest.len);
        return false;
    }
    x->is_answered = true;
    c->is_upgrading = true;
    c->ws = (struct ws){.user = answer.user, .kind = answer.kind};
    if (*answer.subprotocol && lws_hdr_total_length(c->wsi, WSI_TOKEN_PROTOCOL) > 0)
        c->subprotocol = xstrdup(answer.subprotocol);
    return true;
}

static bool on_upgrade(struct conn *c)
{
    char text[16];
    if (c->is_upgrading)
        return true; /* with a clean head */
    /* CVE-2025-11677: after a word that it does not know, and a keep-alive request, the library comes here
     * with a head that it has freed. Then there is nothing to be read, and nothing to be answered. */
    if (!lws_hdr_total_length(c->wsi, WSI_TOKEN_UPGRADE) || c->exchange || !begin_exchange(c))
        return false;
    struct view upgrade = copy_header(c->wsi, WSI_TOKEN_UPGRADE, text, sizeof text);
    int status = check_upgrade(c, upgrade);
    if (status) {
        c->exchange->promises_body = false;
        http_refuse(c, status);
        return false;
    }
    if (!ask_handler(c))
        return false;
    bool is_offered = lws_hdr_total_length(c->wsi, WSI_TOKEN_PROTOCOL) > 0;
    bool is_clean = !is_offered && lws_hdr_total_length(c->wsi, WSI_TOKEN_EXTENSIONS) <= CLEAN_LIST_MAX &&
                    lws_hdr_total_length(c->wsi, WSI_TOKEN_CONNECTION) <= CLEAN_LIST_MAX;
    exchange_destroy(c->exchange);
    if (!is_clean)
        adopt_with_clean_head(c);
    return is_clean;
}

static bool add_subprotocol(const struct conn *c, struct lws_process_html_args *args)
{
    if (!c->is_upgrading || !c->subprotocol)
        return true;
    int n = snprintf(args->p, (size_t)args->max_len, "Sec-WebSocket-Protocol: %s\r\n", c->subprotocol);
    if (n < 0 || n >= args->max_len)
        return false;
    args->p += n;
    return true;
}

/* Connections, from accept to close. */

void link_adopt(struct server *s, int fd)
{
    lws_adopt_socket_vhost(s->vhost, fd);
}

static void on_new_connection(struct lws *wsi)
{
    struct server *s = lws_context_user(lws_get_context(wsi));
    struct conn *c = xcalloc(1, sizeof *c);
    list_init(&c->node);
    list_init(&c->in_leaving);
    c->server = s;
    c->wsi = wsi;
    c->fd = lws_get_socket_fd(wsi);
    c->visitor = s->arriving;
    s->arriving = NULL;
    net_peer_address(c->fd, c->address);
    s->sockets++;
    s->live++;
    if (s->adopting) {
        struct conn *from = s->adopting;
        c->is_upgrading = true;
        c->ws = from->ws;
        c->visitor = from->visitor;
        from->visitor = NULL;
        c->subprotocol = from->subprotocol;
        from->subprotocol = NULL;
        from->is_upgrading = false;
    }
    lws_set_wsi_user(wsi, c);
}

/* The last event of a conn for the rooms above; the library may still hold it for a turn. */
static void on_ended(struct conn *c)
{
    if (c->is_ended)
        return;
    c->is_ended = true;
    conn_enter(c, CONN_CUT);
    if (c->is_open)
        leave_end(c);
    c->server->live--;
    buf_free(&c->message);
    free(c->subprotocol);
    c->subprotocol = NULL;
    exchange_destroy(c->exchange);
    const struct server_handler *handler = c->server->options.handler;
    /* Accepted, and gone before the 101: what the handler keeps for it has to be given back all the same. */
    if (c->is_upgrading)
        handler->on_ws_open(c->server->options.ctx, &c->ws);
    if (c->is_upgrading || c->is_open)
        handler->on_ws_close(c->server->options.ctx, &c->ws);
}

static void on_destroyed(struct conn *c)
{
    on_ended(c);
    visit_end(c->server, c->visitor);
    c->server->sockets--;
    free(c);
}

static void on_ws_data(struct conn *c, const char *bytes, size_t n)
{
    struct lws *wsi = c->wsi;
    ws_on_piece(c, (struct view){n ? bytes : "", n}, lws_is_first_fragment(wsi), lws_is_final_fragment(wsi),
                !lws_frame_is_binary(wsi), lws_remaining_packet_payload(wsi));
}

/* Events of a conn; false ends it. */
static bool on_http_event(struct conn *c, enum lws_callback_reasons reason, void *in, size_t n)
{
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade(c);
    case LWS_CALLBACK_ADD_HEADERS:
        return add_subprotocol(c, in);
    case LWS_CALLBACK_HTTP:
        return on_http_head(c);
    case LWS_CALLBACK_HTTP_BODY:
        return http_on_body(c, (struct view){in, n});
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return http_on_body_end(c);
    case LWS_CALLBACK_RAW_ADOPT: /* CONNECT */
    case LWS_CALLBACK_RAW_RX:
        return false;
    default:
        return true;
    }
}

static bool on_ws_event(struct conn *c, enum lws_callback_reasons reason, void *in, size_t n)
{
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        free(c->subprotocol);
        c->subprotocol = NULL;
        ws_on_open(c);
        return true;
    case LWS_CALLBACK_RECEIVE:
        on_ws_data(c, in, n);
        return true;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        ws_on_writable(c);
        return true;
    case LWS_CALLBACK_RECEIVE_PONG:
        ws_on_pong(c);
        return true;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return ws_on_peer_close(c, (struct view){in, n});
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL: /* it closes by itself, after an error in the framing */
        ws_on_peer_close(c, VIEW(""));
        return true;
    default:
        return true;
    }
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
    struct server *s = lws_context_user(lws_get_context(wsi));
    struct conn *c = user;
    switch ((int)reason) {
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        s->is_kicked = false;
        return 0;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        on_new_connection(wsi);
        return 0;
    default:
        break;
    }
    if (!c)
        return reason == LWS_CALLBACK_RAW_ADOPT ? -1 : 0;
    switch ((int)reason) {
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_CLOSED:
        on_ended(c);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        on_destroyed(c);
        return 0;
    default:
        return on_http_event(c, reason, in, n) && on_ws_event(c, reason, in, n) ? 0 : -1;
    }
}

/* The server. */

/* The library says what peers do wrong, at length and with their data; nobody is to be able to fill the log
 * that way. */
static void on_library_log(int level, const char *line)
{
    int n = (int)strcspn(line, "\n");
    log_debug("libwebsockets", "level=%d text=\"%.*s\"", level, n, line);
}

static bool open_library(struct server *s)
{
    static const struct lws_protocols protocols[] = {
        {.name = "http",
         .callback = on_event,
         .rx_buffer_size = WS_READ_BYTES,
         .tx_packet_size = LIBRARY_WRITE_BYTES},
        {0},
    };
    static const lws_retry_bo_t no_pings = {0};
    void *loops[] = {loop_native(s->loop)};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .alpn = "http/1.1",
        .options =
            LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_VALIDATE_UTF8,
        .user = s,
        .max_http_header_data = SERVER_HEAD_MAX,
        .pt_serv_buf_size = READ_BYTES,
        .foreign_loops = loops,
        .pcontext = &s->context,
        .keepalive_timeout = SERVER_KEEP_ALIVE_MS / 1000,
        /* A head has this long in all, from accept or from its first byte on; a piece of a body as below. */
        .timeout_secs_ah_idle = (unsigned)(s->options.head_timeout_ms + 999) / 1000,
        .timeout_secs = (unsigned)(s->options.body_timeout_ms + 999) / 1000 + 1,
        .retry_and_idle_policy = &no_pings,
    };
    s->context = lws_create_context(&info);
    s->vhost = s->context ? lws_create_vhost(s->context, &info) : NULL;
    return s->vhost != NULL;
}

struct server *server_create(struct loop *loop, const struct server_options *options, struct err *err)
{
    int fd = net_listen(options->host, options->port, err);
    if (fd < 0)
        return NULL;
    struct server *s = xcalloc(1, sizeof *s);
    s->listen_fd = fd;
    s->port = net_port(fd);
    s->loop = loop;
    s->options = *options;
    s->options.host = xstrdup(options->host);
    s->options.server_name = options->server_name ? xstrdup(options->server_name) : NULL;
    s->spare_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->files = net_cap_connections(&s->options.max_connections);
    server_init_requests(s);
    visit_init(s);
    lws_set_log_level(LLL_ERR | LLL_WARN, on_library_log);
    if (!open_library(s)) {
        err_set(err, ERR_UNAVAILABLE, "cannot serve %s port %d: libwebsockets or its libuv plugin refuses",
                options->host, options->port);
        server_destroy(s);
        return NULL;
    }
    return s;
}

void server_stop_listening(struct server *s)
{
    visit_stop_listening(s);
}

/* The library lets go of its handles in several turns of the loop; where it is told to end once more in
 * between, as 4.1.6 needs, it frees itself at the end. */
static void close_library(struct server *s)
{
    lws_context_destroy(s->context);
    for (int turn = 0; s->context && turn < TEARDOWN_TURNS; turn++) {
        loop_turn(s->loop);
        if (s->context && turn % 10 == 9)
            lws_context_destroy(s->context);
    }
    if (s->context)
        log_error("server_not_closed", "sockets=%zu", s->sockets);
}

void server_destroy(struct server *s)
{
    if (!s)
        return;
    visit_stop_listening(s);
    visit_close_waiting(s);
    if (s->context)
        close_library(s);
    visit_finish(s);
    server_finish_requests(s);
    if (s->spare_fd >= 0)
        close(s->spare_fd);
    free((char *)(uintptr_t)s->options.host);
    free((char *)(uintptr_t)s->options.server_name);
    free(s);
}

int server_port(const struct server *s)
{
    return s->port;
}

size_t server_connections(const struct server *s)
{
    return s->live + s->arrivals;
}

size_t server_waiting(const struct server *s)
{
    return s->arrivals;
}
