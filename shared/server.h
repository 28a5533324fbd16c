/*
 * HTTP/1.1 (RFC 9110, 9112) and WebSocket (RFC 6455) server on the loop. libwebsockets is spoken to in
 * server.c only.
 *
 * What it guarantees to the rooms above, whatever peers do: heads, bodies and messages are capped and have
 * deadlines; connections are taken in turns of addresses, and so many a second of one; a request is handed
 * over whole; a reply is written once; h2c and other upgrades, smuggling
 * shapes and CONNECT are refused; a client that goes away while its request is held is noticed within a
 * second. What it does not know: paths, tokens, sessions.
 * Pipelined requests are answered in order; one with a body that is pipelined behind another is refused with
 * 400, or left unread after a reply that says Connection: close.
 *
 * Thread: the loop's. Lifetime: a request lives until its reply or until on_gone; a ws until on_ws_close
 * returns. Others hold a request by id, because it may be gone when they come back.
 */
#ifndef SHARED_SERVER_H
#define SHARED_SERVER_H

#include "shared/address.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/loop.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct server;
struct ws;

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};

struct request {
    uint64_t id; /* never reused by this server */
    enum http_method method;
    struct view path;  /* percent-decoded, without the query; starts with '/' */
    struct view query; /* without '?'; the parameters that were sent, encoded anew; see request_query() */
    struct view body;
    const char *address; /* peer's IP in text form */
    void *head;          /* private to server.c */
};

/* The value of a header (name in lower case) in a buffer of the server's that the next call reuses; empty:
 * not there. Only while on_request or on_upgrade runs: long held requests forget their headers. */
struct view request_header(const struct request *r, const char *name);
/* The percent-decoded value of a query parameter, '+' as blank, last one wins; false: not there, or over
 * size. */
bool request_query(const struct request *r, const char *name, char *out, size_t size) MUSTCHECK;

struct reply_header {
    const char *name, *value;
};

struct reply {
    int status;
    const char *content_type; /* NULL: no body */
    struct view body;         /* copied, except where body_stays */
    bool body_stays;          /* it outlives the server; only from on_request on */
    const struct reply_header *headers;
    size_t header_count;
    bool close;   /* Connection: close */
    bool refuses; /* whatever its status says: it may wait as others that refuse, see server_reply() */
};

enum { SUBPROTOCOL_SIZE = 65 };

struct upgrade {
    char subprotocol[SUBPROTOCOL_SIZE]; /* to be answered; "": none */
    void *user;                         /* what ws_user() gives from then on */
    unsigned char kind; /* what ws_kind() gives: which kind of user that is, the handler's business */
};

struct server_handler {
    /* The head of a request with a body, before the body is read. True: on_request follows, or on_gone.
     * False: after having called server_reply(), which then says Connection: close; the body is not read.
     * Limits the body in the place of max_body. NULL: every body up to max_body is read. */
    bool (*on_head)(void *ctx, const struct request *r, uint64_t body_bytes);
    /* A whole request. One server_reply() must follow, now or later. */
    void (*on_request)(void *ctx, const struct request *r);
    /* The client of an unanswered request went away (server_reply() for it returns false from now on), or its
     * body did not come in time. Of requests that on_head or on_request was called for. */
    void (*on_gone)(void *ctx, uint64_t request_id);
    /* A WebSocket upgrade request. True: accepted as filled in. False: after having called server_reply().
     * NULL: every upgrade is answered 426. */
    bool (*on_upgrade)(void *ctx, const struct request *r, struct upgrade *answer);
    void (*on_ws_open)(void *ctx, struct ws *ws);
    /* A whole message, fragments joined; text is valid UTF-8. The view is valid during the call. */
    void (*on_ws_message)(void *ctx, struct ws *ws, struct view message, bool is_text);
    /* After ws_write() took less than it was given, and again when there is room. */
    void (*on_ws_writable)(void *ctx, struct ws *ws);
    /* The last word about ws, whoever closed. */
    void (*on_ws_close)(void *ctx, struct ws *ws);
    /* The peer answered a ping that had a payload (RFC 6455, 5.5.3); the library keeps empty pongs to itself.
     * NULL: not wanted. */
    void (*on_ws_pong)(void *ctx, struct ws *ws);
    /* Whether a page of the request's Origin may read what the server answers by itself: to a head that
     * breaks a rule, a body that is too large or does not come. Then the answer says so (CORS, Fetch
     * standard). NULL: no page may. */
    bool (*origin_may_read)(void *ctx, const struct request *r);
    /* Whether many stand behind that address, as behind a proxy's: they come and are refused as they like.
     * NULL: behind none. */
    bool (*is_many)(void *ctx, const struct address *peer);
};

struct server_options {
    const char *host;
    int port;               /* 0: any free one, see server_port() */
    size_t max_body;        /* bytes; more is 413; see on_head */
    size_t max_message;     /* bytes of a WebSocket message; more is close 1009 */
    size_t max_connections; /* more are closed on accept */
    int64_t arrival_rate;   /* connections a second of one address (of IPv6: its /64); more wait; 0: any */
    /* NULL, or where it stands how many files the caller has open beside, in great numbers: connections are
     * closed on accept too when the process may open hardly any more. */
    const size_t *other_files;
    int head_timeout_ms;     /* request line and headers */
    int body_timeout_ms;     /* whole body */
    const char *server_name; /* Server: header */
    const struct server_handler *handler;
    void *ctx;
};

struct server *server_create(struct loop *loop, const struct server_options *options, struct err *err);
/* No new connections; those that are stay. */
void server_stop_listening(struct server *s);
/* Closes everything; on_ws_close and on_gone are called for what lives. NULL-safe. */
void server_destroy(struct server *s);
int server_port(const struct server *s);
size_t server_connections(const struct server *s);
/* Of them, those that have asked for nothing yet. */
size_t server_waiting(const struct server *s);
/* Whether the process may open some files more, see other_files. */
bool server_may_open_files(const struct server *s);

/* Answers a request. What refuses it (4xx, or `refuses`) waits up to 2 s when the same address was refused
 * many times: who is refused goes on at once, and that costs others. False: its client is gone (on_gone
 * follows, where it was not called yet), or it has been answered. Content-Length, Date and Server are added.
 */
bool server_reply(struct server *s, uint64_t request_id, const struct reply *reply);
/* Cuts the connection of a request that is not answered, from the loop's next turn; on_gone follows. */
void server_abort(struct server *s, uint64_t request_id);
/* Only while on_upgrade runs, which then returns false: takes the connection away from the server, as if the
 * request had been answered. Returns the socket, the caller's from now on; -1: none. */
int server_take_socket(struct server *s, uint64_t request_id) MUSTCHECK;

void *ws_user(const struct ws *ws);
unsigned ws_kind(const struct ws *ws);
/* It belongs to somebody else from now on. */
void ws_set_user(struct ws *ws, void *user, unsigned char kind);
const char *ws_address(const struct ws *ws);

/* The header of an unmasked, final frame (RFC 6455, 5.2); returns its length, 2 to 10. */
enum ws_opcode { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
enum { WS_HEADER_MAX = 10 };
size_t ws_frame_header(unsigned char out[static WS_HEADER_MAX], enum ws_opcode opcode,
                       uint64_t payload_bytes);

/*
 * Writes frames, each iov one whole frame, header included, in one system call. Returns how many were taken:
 * a frame that the kernel took only a part of counts as taken, the server keeps its rest and sends that
 * first. When fewer than count are taken, on_ws_writable follows. The bytes are borrowed during the call
 * only. At most 64 iovs are used.
 */
size_t ws_write(struct ws *ws, const struct iovec *frames, size_t count);
/* Asks for on_ws_writable when the socket has room. */
void ws_want_writable(struct ws *ws);
/* Reads nothing from it any more, or goes on. What had been read stays, unparsed; that the peer goes away is
 * noticed only while it is read. */
void ws_pause(struct ws *ws, bool on);
/* Close handshake: no more messages come in; on_ws_close follows, at the latest after a few seconds. Code 0:
 * a close frame without one. */
void ws_close(struct ws *ws, int code, const char *reason);
/* Cuts the connection without a handshake, from the loop's next turn; on_ws_close follows. */
void ws_abort(struct ws *ws);

#endif
