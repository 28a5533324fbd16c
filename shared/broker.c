#include "shared/broker.h"
#include "shared/broker_link.h"
#include "shared/clock.h"
#include "shared/mem.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

enum {
    OPEN_MS = 5000,  /* connect, log in, open the channel */
    CLOSE_MS = 1000, /* a polite good-bye */
    HEARTBEAT_S = 10
};

struct broker *broker_create(const char *url, const char *name, struct err *err)
{
    struct broker *b = xcalloc(1, sizeof *b);
    b->url = xstrdup(url);
    b->name = xstrdup(name);
    buf_init(&b->body, BROKER_BODY_MAX);
    struct amqp_connection_info where;
    amqp_default_connection_info(&where);
    if (amqp_parse_url(b->url, &where) != AMQP_STATUS_OK) {
        /* Not the URL itself: there is a password in it. */
        err_set(err, ERR_INVALID, "the broker's URL must look like amqp://user:password@host:5672/vhost");
        broker_destroy(b);
        return NULL;
    }
    b->host = where.host;
    b->port = where.port;
    b->user = where.user;
    b->password = where.password;
    b->tls = where.ssl;
    /* "amqp://host/" is meant as the default virtual host, not as one without a name. */
    b->vhost = where.vhost && *where.vhost ? where.vhost : "/";
    return b;
}

void broker_destroy(struct broker *b)
{
    if (!b)
        return;
    broker_close(b);
    buf_free(&b->body);
    free(b->url);
    free(b->name);
    free(b);
}

bool broker_is_open(const struct broker *b)
{
    return b->conn != NULL;
}

void broker_drop(struct broker *b)
{
    if (b->conn)
        amqp_destroy_connection(b->conn);
    b->conn = NULL;
    b->in = (struct broker_incoming){0};
    b->blocked = b->corked = false;
    buf_free(&b->body);
}

static struct timeval to_timeval(int64_t ms)
{
    int64_t positive = ms > 1 ? ms : 1;
    return (struct timeval){.tv_sec = positive / 1000, .tv_usec = positive % 1000 * 1000};
}

bool broker_fail_status(struct broker *b, int status, struct err *err)
{
    broker_drop(b);
    return err_set(err, status == AMQP_STATUS_TIMEOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE, "broker %s:%d: %s",
                   b->host, b->port, amqp_error_string2(status));
}

static struct view bytes_view(amqp_bytes_t bytes)
{
    return (struct view){bytes.bytes ? bytes.bytes : "", bytes.len};
}

bool broker_fail_method(struct broker *b, const amqp_method_t *method, struct err *err)
{
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = method->decoded;
        err_set(err, ERR_UNAVAILABLE, "broker closed the channel: %.*s", VIEW_ARG(bytes_view(m->reply_text)));
    } else if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = method->decoded;
        err_set(err, ERR_UNAVAILABLE, "broker closed the connection: %.*s",
                VIEW_ARG(bytes_view(m->reply_text)));
    } else {
        err_set(err, ERR_UNAVAILABLE, "broker answered with method 0x%08x", method->id);
    }
    broker_drop(b);
    return false;
}

static bool check_reply(struct broker *b, amqp_rpc_reply_t reply, const char *what, struct err *err)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        b->heard_ms = clock_mono_ms();
        return true;
    }
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        broker_fail_method(b, &reply.reply, err);
    else
        broker_fail_status(b, reply.library_error, err);
    return err_wrap(err, what);
}

static bool wait_socket(const struct broker *b, short events, int timeout_ms)
{
    struct pollfd fd = {.fd = amqp_get_sockfd(b->conn), .events = events};
    return poll(&fd, 1, timeout_ms) > 0;
}

/* Waits until the socket has room for a frame. */
static bool wait_room(struct broker *b, int timeout_ms)
{
    return wait_socket(b, POLLOUT, timeout_ms);
}

bool broker_is_silent(const struct broker *b)
{
    int64_t heartbeat_ms = 1000 * (int64_t)amqp_get_heartbeat(b->conn);
    return heartbeat_ms && clock_mono_ms() - b->heard_ms > heartbeat_ms + heartbeat_ms / 2 &&
           !wait_socket(b, POLLIN, 0);
}

bool broker_has_room(struct broker *b)
{
    return b->conn && wait_room(b, 0);
}

void broker_cork(struct broker *b, bool on)
{
    int value = on;
    if (b->corked == on)
        return;
    setsockopt(amqp_get_sockfd(b->conn), IPPROTO_TCP, TCP_CORK, &value, sizeof value);
    b->corked = on;
}

bool broker_ready_to_send(struct broker *b, struct err *err)
{
    if (!b->conn)
        return err_set(err, ERR_UNAVAILABLE, "not connected to the broker");
    bool has_room = wait_room(b, BROKER_CALL_MS);
    if (has_room && broker_is_silent(b))
        return broker_fail_status(b, AMQP_STATUS_HEARTBEAT_TIMEOUT, err);
    if (has_room)
        return true;
    broker_drop(b);
    return err_set(err, ERR_TIMEOUT, "the broker has read nothing for %d s", BROKER_CALL_MS / 1000);
}

/* --- opening and closing --- */

static bool open_socket(struct broker *b, int64_t deadline_ms, struct err *err)
{
    amqp_socket_t *socket = b->tls ? amqp_ssl_socket_new(b->conn) : amqp_tcp_socket_new(b->conn);
    if (!socket)
        return broker_fail_status(b, AMQP_STATUS_NO_MEMORY, err);
    if (b->tls) {
        const char *bundle = getenv("SSL_CERT_FILE");
        amqp_ssl_socket_set_verify_peer(socket, 1);
        amqp_ssl_socket_set_verify_hostname(socket, 1);
        amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
        int status =
            amqp_ssl_socket_set_cacert(socket, bundle ? bundle : "/etc/ssl/certs/ca-certificates.crt");
        if (status != AMQP_STATUS_OK)
            return broker_fail_status(b, status, err);
    }
    struct timeval left = to_timeval(deadline_ms - clock_mono_ms());
    int status = amqp_socket_open_noblock(socket, b->host, b->port, &left);
    if (status == AMQP_STATUS_SOCKET_ERROR) {
        broker_drop(b);
        return err_set(err, ERR_UNAVAILABLE, "no broker answers at %s:%d", b->host, b->port);
    }
    if (status != AMQP_STATUS_OK)
        return broker_fail_status(b, status, err);
    int size = BROKER_SEND_BUFFER;
    setsockopt(amqp_get_sockfd(b->conn), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return true;
}

static amqp_table_entry_t text_entry(const char *key, const char *text)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = amqp_cstring_bytes(text);
    return entry;
}

static amqp_table_entry_t bool_entry(const char *key)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    entry.value.value.boolean = 1;
    return entry;
}

static bool log_in(struct broker *b, int64_t deadline_ms, struct err *err)
{
    amqp_table_entry_t can[] = {bool_entry("consumer_cancel_notify"), bool_entry("connection.blocked"),
                                bool_entry("basic.nack"), bool_entry("publisher_confirms")};
    amqp_table_entry_t properties[] = {text_entry("connection_name", b->name),
                                       text_entry("product", "Portalcast"),
                                       {.key = amqp_cstring_bytes("capabilities")}};
    properties[2].value.kind = AMQP_FIELD_KIND_TABLE;
    properties[2].value.value.table = (amqp_table_t){countof(can), can};
    amqp_table_t client = {countof(properties), properties};

    struct timeval left = to_timeval(deadline_ms - clock_mono_ms());
    amqp_set_handshake_timeout(b->conn, &left);
    amqp_set_rpc_timeout(b->conn, &left);
    amqp_rpc_reply_t reply =
        amqp_login_with_properties(b->conn, b->vhost, 0, BROKER_FRAME_MAX, HEARTBEAT_S, &client,
                                   AMQP_SASL_METHOD_PLAIN, b->user, b->password);
    if (!check_reply(b, reply, "log in", err))
        return false;
    left = to_timeval(deadline_ms - clock_mono_ms());
    amqp_set_rpc_timeout(b->conn, &left);
    amqp_channel_open(b->conn, BROKER_CHANNEL);
    return check_reply(b, amqp_get_rpc_reply(b->conn), "open a channel", err);
}

bool broker_open(struct broker *b, bool confirms, struct err *err)
{
    broker_drop(b);
    int64_t deadline_ms = clock_mono_ms() + OPEN_MS;
    b->confirms = confirms;
    b->published = 0;
    b->conn = amqp_new_connection();
    if (!b->conn)
        return err_set(err, ERR_INTERNAL, "out of memory");
    if (!open_socket(b, deadline_ms, err) || !log_in(b, deadline_ms, err))
        return false;
    struct timeval call = to_timeval(BROKER_CALL_MS);
    amqp_set_rpc_timeout(b->conn, &call);
    if (confirms) {
        amqp_confirm_select(b->conn, BROKER_CHANNEL);
        return check_reply(b, amqp_get_rpc_reply(b->conn), "confirms", err);
    }
    return true;
}

void broker_close(struct broker *b)
{
    /* A blocked or stuck broker would not read the good-bye. */
    if (b->conn && !b->blocked && wait_room(b, 0)) {
        struct timeval soon = to_timeval(CLOSE_MS);
        broker_cork(b, false);
        amqp_set_rpc_timeout(b->conn, &soon);
        amqp_connection_close(b->conn, AMQP_REPLY_SUCCESS);
    }
    broker_drop(b);
}

/* --- synchronous calls --- */

static bool call(struct broker *b, amqp_method_number_t request, amqp_method_number_t answer, void *fields,
                 const char *what, struct err *err)
{
    if (!broker_ready_to_send(b, err))
        return false;
    broker_cork(b, false);
    amqp_simple_rpc_decoded(b->conn, BROKER_CHANNEL, request, answer, fields);
    return check_reply(b, amqp_get_rpc_reply(b->conn), what, err);
}

bool broker_declare_exchange(struct broker *b, const char *name, const char *type, struct err *err)
{
    amqp_exchange_declare_t m = {
        .exchange = amqp_cstring_bytes(name), .type = amqp_cstring_bytes(type), .durable = 1};
    return call(b, AMQP_EXCHANGE_DECLARE_METHOD, AMQP_EXCHANGE_DECLARE_OK_METHOD, &m, "declare exchange",
                err);
}

static amqp_table_entry_t number_entry(const char *key, int64_t number)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_I64;
    entry.value.value.i64 = number;
    return entry;
}

bool broker_declare_queue(struct broker *b, const struct broker_queue *queue, struct err *err)
{
    amqp_table_entry_t entries[3];
    int count = 0;
    if (queue->max_length)
        entries[count++] = number_entry("x-max-length", queue->max_length);
    if (queue->max_bytes)
        entries[count++] = number_entry("x-max-length-bytes", queue->max_bytes);
    if (count)
        entries[count++] = text_entry("x-overflow", "drop-head");
    amqp_queue_declare_t m = {.queue = amqp_cstring_bytes(queue->name),
                              .durable = queue->durable,
                              .exclusive = queue->exclusive,
                              .arguments = {count, entries}};
    return call(b, AMQP_QUEUE_DECLARE_METHOD, AMQP_QUEUE_DECLARE_OK_METHOD, &m, "declare queue", err);
}

bool broker_bind(struct broker *b, const char *queue, const char *exchange, const char *key, struct err *err)
{
    amqp_queue_bind_t m = {.queue = amqp_cstring_bytes(queue),
                           .exchange = amqp_cstring_bytes(exchange),
                           .routing_key = amqp_cstring_bytes(key)};
    return call(b, AMQP_QUEUE_BIND_METHOD, AMQP_QUEUE_BIND_OK_METHOD, &m, "bind", err);
}

bool broker_unbind(struct broker *b, const char *queue, const char *exchange, const char *key,
                   struct err *err)
{
    amqp_queue_unbind_t m = {.queue = amqp_cstring_bytes(queue),
                             .exchange = amqp_cstring_bytes(exchange),
                             .routing_key = amqp_cstring_bytes(key)};
    return call(b, AMQP_QUEUE_UNBIND_METHOD, AMQP_QUEUE_UNBIND_OK_METHOD, &m, "unbind", err);
}

bool broker_consume(struct broker *b, const char *queue, int prefetch, struct err *err)
{
    amqp_basic_qos_t qos = {.prefetch_count = (uint16_t)prefetch};
    amqp_basic_consume_t m = {.queue = amqp_cstring_bytes(queue), .no_ack = prefetch == 0};
    b->no_ack = m.no_ack;
    if (prefetch && !call(b, AMQP_BASIC_QOS_METHOD, AMQP_BASIC_QOS_OK_METHOD, &qos, "prefetch", err))
        return false;
    return call(b, AMQP_BASIC_CONSUME_METHOD, AMQP_BASIC_CONSUME_OK_METHOD, &m, "consume", err);
}
