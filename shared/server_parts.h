/*
 * What the parts of server.h share; nobody else includes this. server.c holds the library: its
 * callbacks, its sockets, its way of reading heads. server_http.c holds requests from their head to the last
 * byte of their reply (server_exchange.c finds them again), server_ws.c WebSockets from the 101 to their end,
 * server_visit.c who comes and how often, server_gate.c who has something to ask, server_leave.c how many go
 * at once, server_net.c system calls.
 *
 * The library reads and parses; replies and frames are written to the socket past it, because its own way of
 * writing copies, splits and waits. It takes over again with the rest of a frame that the kernel took only a
 * part of (link_queue), so that its pongs never land inside.
 *
 * Thread: the loop's. Owner: the server owns conns; a conn is freed when the library has let go of its
 * socket, which is at the earliest after the callback in which it ended.
 */
#ifndef SHARED_SERVER_PARTS_H
#define SHARED_SERVER_PARTS_H

#include "shared/buf.h"
#include "shared/http_text.h"
#include "shared/list.h"
#include "shared/map.h"
#include "shared/server.h"
#include <netinet/in.h>

enum {
    SERVER_HEAD_MAX = 16384,      /* bytes of request line and headers */
    SERVER_TICK_MS = 100,         /* how late a deadline may be noticed */
    SERVER_IDLE_TICK_MS = 1000,   /* as above, between requests */
    SERVER_KEEP_ALIVE_MS = 65000, /* between two requests; longer than most clients keep theirs */
    SERVER_SEND_TICK_MS = 20      /* as above, while a reply waits for room in its socket */
};

enum conn_state {
    CONN_IDLE,       /* between requests; deadline */
    CONN_READING,    /* a body is on its way; deadline */
    CONN_HELD,       /* the handler has the request */
    CONN_PARKED,     /* ... for longer: the kernel does not report the socket, the tick looks after it */
    CONN_SENDING,    /* the kernel took only a part of the reply; the tick goes on with it; deadline */
    CONN_LINGERING,  /* refused: what still comes in is dropped, so that the refusal arrives; deadline */
    CONN_WS,         /* open; in a list and under a deadline while a message is incomplete */
    CONN_WS_CLOSING, /* a close frame was sent or answered; deadline */
    CONN_CUT         /* ended; the library is told, or knows */
};

/* How much of a socket is kept from the library and the loop while a reply is due. */
enum quiet { QUIET_NOT, QUIET_PAUSED, QUIET_SILENT };

struct ws {
    void *user;
    unsigned char kind;
};

struct conn {
    struct list node; /* in the server's list of that state */
    int64_t since;    /* when it got there, or made progress there */
    struct server *server;
    struct lws *wsi;
    int fd;
    enum conn_state state;
    enum quiet quiet;
    bool dispatching;  /* the handler is being called for it: server_reply() leaves the rest to the caller */
    bool is_upgrading; /* accepted by the handler, 101 not sent yet */
    bool is_open;      /* on_ws_open was called */
    bool is_ended;     /* all was said about it */
    bool wants_writable;
    bool is_text;              /* the incomplete message */
    struct exchange *exchange; /* NULL: none */
    struct visitor *visitor;
    struct ws ws;
    struct buf message;     /* an incomplete WebSocket message */
    size_t dropped;         /* bytes that came after its end */
    char *subprotocol;      /* until the 101 is sent */
    struct list in_leaving; /* of the server */
    char address[INET6_ADDRSTRLEN];
};

/* A request and its reply. */
struct exchange {
    struct conn *conn;
    struct request request;
    struct buf body;
    struct buf rest; /* of the reply, what the kernel did not take at once */
    size_t rest_sent;
    struct view later; /* ... and of a body that stays, which is sent after that */
    size_t expected;   /* bytes of body; while lingering, bytes dropped */
    bool is_shown;     /* the handler knows it */
    bool is_answered;
    bool close, says_keep_alive; /* Connection: of the reply */
    bool promises_body;
    bool is_urgent;      /* what refuses it goes out at once */
    bool is_late;        /* its reply waits in `rest` for its time */
    struct list in_late; /* of the server */
    int64_t due_us;
    char text[]; /* path and query */
};

struct slot {
    struct exchange *exchange;
    uint32_t next_free;
};

/* A socket that the library does not have yet. */
struct arrival {
    struct list node; /* in the server's unheard, or its visitor's arrivals */
    int fd;
    struct visitor *visitor;
    struct server *server;
    int64_t since; /* as of loop_now_ms() */
    size_t seen;   /* bytes that are there, and are not enough */
};

struct server {
    struct loop *loop;
    struct server_options options; /* host and server_name are copies */
    struct lws_context *context;
    struct lws_vhost *vhost;
    int port;
    size_t sockets;           /* not yet closed */
    size_t live;              /* not yet ended */
    size_t files;             /* that may be open, but for a few */
    bool is_kicked;           /* link_kill() has asked the library to look at its timers */
    int spare_fd;             /* stands in for a socket that was taken from the library */
    struct conn *adopting;    /* the conn whose socket is being handed over to a new one */
    struct visitor *arriving; /* whose socket is being handed to the library */
    int listen_fd;
    struct loop_watch *listener;  /* NULL: it listens no more */
    struct loop_timer *admission; /* when the next of those who wait may come in */
    struct loop_job *admit_job;
    struct map visitors;        /* by site */
    struct list queues, absent; /* of visitors: who have somebody waiting; who have nobody here */
    size_t present;             /* visitors with connections, or sockets that wait */
    size_t arrivals;            /* sockets that are not handed to the library yet */
    size_t queued;              /* of them, those that could be */
    struct list unheard;        /* of them, the others, by age */
    int gate_fd;                /* an epoll set that tells which of those have something to say */
    struct loop_watch *gate;
    struct loop_timer *gate_timer;
    int64_t swept_us;
    int leave_fd;        /* an epoll set that tells which WebSockets have hung up */
    struct list leaving; /* conns of which the loop does not hear yet that they have */
    struct loop_job *leave_job;
    struct list late; /* exchanges whose replies wait */
    struct loop_timer *late_timer;
    struct loop_timer *tick;
    int tick_ms; /* 0: the timer stands still */
    int64_t looked_at_parked;
    struct list idle, reading, held, parked, sending, lingering, closing; /* each in order of `since` */
    struct slot *slots;
    uint32_t slot_count, first_free;
    uint64_t serial;
    struct buf scratch; /* a head: used and left within one call */
    char header_value[SERVER_HEAD_MAX];
    char date[HTTP_DATE_SIZE];
    int64_t date_second;
    struct pollfd *polls;
    size_t poll_capacity;
};

static inline struct conn *conn_of(const struct ws *ws)
{
    return container_of(ws, struct conn, ws);
}

/* server.c: what only the library can do. */

/* Whether the library still has bytes to send. */
bool link_buffered(const struct conn *c);
/* Gives bytes to the library, to be sent after what it has. */
bool link_queue(struct conn *c, const void *bytes, size_t n) MUSTCHECK;
void link_want_writable(struct conn *c);
/* No deadline of the library's. */
void link_no_timeout(struct conn *c);
/* Stops reading and starts it again, and the loop's reports with it. */
void link_pause(struct conn *c);
void link_resume(struct conn *c);
/* Forgets the headers of the request, which are 16 KB. */
void link_forget_head(struct conn *c);
/* Goes on with the next request; false: the connection has to end. */
bool link_next_request(struct conn *c) MUSTCHECK;
/* Ends the connection in the next turn of the loop. */
void link_kill(struct conn *c);

/* server_net.c: what is asked of the system. */

/* The socket under a new number. What the library is left with is an empty shell: closing the socket itself
 * would shut it down for both. -1: none. */
int net_take_socket(struct conn *c);

/* Sets the limit of open files to what is needed, as far as that is allowed, and lowers *max_connections to
 * what fits in there, which is returned. */
size_t net_cap_connections(size_t *max_connections);
/* A socket that listens there, or -1 and why not. */
int net_listen(const char *host, int port, struct err *err) MUSTCHECK;
int net_port(int fd);
/* In text form; "" when the peer has gone. */
void net_peer_address(int fd, char out[static INET6_ADDRSTRLEN]);

/* server_visit.c: who comes from where, and how often. */

void visit_init(struct server *s);
/* Who has come by now is let in all the same. */
void visit_stop_listening(struct server *s);
/* Who waits is not let in any more. */
void visit_close_waiting(struct server *s);
void visit_finish(struct server *s);
/* The head of its first request is there. */
void visit_on_head(struct arrival *a);
/* It has gone, or did not say anything in time. Frees it. */
void visit_on_silence(struct arrival *a);
/* A connection of its has gone; NULL: nobody's. */
void visit_end(struct server *s, struct visitor *v);
/* Whether a reply has to wait; http_send_late() follows in its time, unless the exchange ends before. */
bool visit_delays(struct exchange *x, const struct reply *reply) MUSTCHECK;

/* server_gate.c: sockets wait until they have something to ask. */

void gate_init(struct server *s);
void gate_finish(struct server *s);
/* visit_on_head() or visit_on_silence() follows. */
void gate_wait(struct arrival *a);
/* Ends all that wait. */
void gate_close(struct server *s);

/* server_leave.c: many who go at once. */

void leave_init(struct server *s);
void leave_finish(struct server *s);
/* A WebSocket has opened; it has ended. */
void leave_watch(struct conn *c);
void leave_end(struct conn *c);
/* Ends the connection soon. */
void conn_cut(struct conn *c);

/* server.c */

/* Takes the socket. */
void link_adopt(struct server *s, int fd);

/* server_exchange.c */

/* The exchange that begins; the conn owns it. */
struct exchange *exchange_create(struct conn *c, enum http_method method, struct view path,
                                 struct view query);
void exchange_destroy(struct exchange *x); /* NULL-safe; on_gone when the handler waits for it */
struct exchange *exchange_find(const struct server *s, uint64_t id); /* NULL: gone */

/* server_http.c */

void http_send_late(struct exchange *x);

/* Each returns whether the connection goes on. */
bool http_on_head(struct conn *c, const struct http_head *head);
bool http_on_body(struct conn *c, struct view chunk);
bool http_on_body_end(struct conn *c);
/* Answers in the handler's place and lets the connection end. */
bool http_refuse(struct conn *c, int status);

void conn_enter(struct conn *c, enum conn_state state);
void server_start_tick(struct server *s, int every_ms);
void server_init_requests(struct server *s);
void server_finish_requests(struct server *s);

/* server_ws.c */

void ws_on_open(struct conn *c);
/* A piece of a message; `to_come` bytes of its frame follow. */
void ws_on_piece(struct conn *c, struct view piece, bool is_first, bool is_last, bool is_text,
                 size_t to_come);
void ws_on_writable(struct conn *c);
void ws_on_pong(struct conn *c);
/* The peer said it closes, and why: a code and a reason, as they came; false: so did we, done. */
bool ws_on_peer_close(struct conn *c, struct view close);
void ws_on_message_timeout(struct conn *c);

#endif
