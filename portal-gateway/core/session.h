/*
 * One browser: who it is, what it may hear, how far it has heard it, and when something is due.
 *
 * A session holds a cursor into its tenant's ring, not a queue of events: live, slow and catching-up sockets
 * are one code path (session_pump). Only its own frames (handshake, pings, answers) are queued, few of them.
 * What it is reached by is a link: a WebSocket, or polling (poll.h), which a WebSocket may take over from
 * (probe.h).
 *
 * Owner: its link, from the accepted handshake on; session_gone() in the link's close callback is its end.
 * Whoever wants one gone earlier calls session_close(). Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_SESSION_H
#define PORTAL_GATEWAY_CORE_SESSION_H

#include "portal-gateway/core/beat.h"
#include "portal-gateway/core/frame.h"
#include "portal-gateway/core/policy.h"
#include "portal-gateway/core/rate.h"
#include "portal-gateway/core/room.h"
#include "shared/list.h"
#include "shared/loop.h"
#include "shared/token.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct guest;
struct hub;
struct protocol;
struct receipt;
struct roster_row;
struct sio_session;
struct tenant;
struct wish;

#define SESSION_STATES(X)                                                                   \
    X(OPENING, "opening")       /* accepted; the link is not open yet */                    \
    X(STRANGER, "stranger")     /* open; nobody has said who this is */                     \
    X(HELD, "held")             /* known; what it needs to be live is not here yet */       \
    X(RECOVERING, "recovering") /* hears what it missed, before it is told that it is in */ \
    X(LIVE, "live")             /* hears the stream */                                      \
    X(CLOSING, "closing")       /* the link was asked to close */

enum session_state {
#define X(id, name) SESSION_##id,
    SESSION_STATES(X)
#undef X
};

/* id, name in log and metric, close code on /ws (RFC 6455, 7.4; 0: none), text for the peer.
 * Socket.IO is always closed without a code: its client then comes back by itself. */
#define CLOSE_REASONS(X)                                                               \
    X(PEER, "peer_gone", 0, "")                                                        \
    X(LEFT, "client_closed", 0, "")                                                    \
    X(TRANSPORT, "transport_error", 0, "")                                             \
    X(PING_TIMEOUT, "ping_timeout", 1001, "no pong in time")                           \
    X(CONNECT_TIMEOUT, "connect_timeout", 4408, "not signed in in time")               \
    X(UNAVAILABLE, "unavailable", 1001, "try again")                                   \
    X(TOKEN_REFUSED, "token_refused", 4401, "the token was refused")                   \
    X(TOKEN_EXPIRED, "token_expired", 4401, "the token has expired")                   \
    X(REVOKED, "revoked", 4401, "the token has been revoked")                          \
    X(TAKEN_OVER, "taken_over", 1001, "the session goes on elsewhere")                 \
    X(FORBIDDEN, "forbidden", 4403, "forbidden")                                       \
    X(SLOW, "slow_consumer", 4413, "too slow; reconnect and recover")                  \
    X(PROTOCOL, "protocol_error", 1008, "a message broke the protocol")                \
    X(LIMIT, "too_many_connections", 4429, "too many connections of this user")        \
    X(TENANT_LIMIT, "too_many_of_tenant", 4429, "too many connections of this tenant") \
    X(RATE, "rate", 4429, "too many messages")                                         \
    X(DRAIN, "drain", 1001, "going away")

enum close_reason {
#define X(id, name, code, text) CLOSE_##id,
    CLOSE_REASONS(X)
#undef X
        CLOSE_REASON_COUNT
};

/* Why somebody is not let in; the code and the text that he is told. For good: trying again with the same
 * token will not help. */
#define REFUSALS(X)                                                 \
    X(TOKEN_MISSING, "TOKEN_MISSING", "a token is required")        \
    X(TOKEN_INVALID, "TOKEN_INVALID", "the token is not valid")     \
    X(TOKEN_EXPIRED, "TOKEN_EXPIRED", "the token has expired")      \
    X(TOKEN_REVOKED, "TOKEN_REVOKED", "the token has been revoked") \
    X(TOKEN_FOREIGN, "TOKEN_FOREIGN", "the token is of another user or tenant")

enum refusal {
#define X(id, code, text) REFUSAL_##id,
    REFUSALS(X)
#undef X
};

/* What a session is reached by. */
struct link_ops {
    /* As ws_write(). When fewer than n are taken, session_on_writable() follows. */
    size_t (*write)(void *link, const struct iovec *frames, size_t n);
    /* All that there was to say has been written; not called any more once the session is closing. NULL: not
     * wanted. Who wants it gathers, and takes nothing while there is nobody to be answered: polling. */
    void (*flush)(void *link);
    /* Reads what the client says no more, or again. NULL: cannot. */
    void (*slow)(void *link, bool on);
    /* session_gone() follows, never from within. */
    void (*close)(void *link, int code, const char *reason);
};

/* When something is due, by what. Handled in session.c, a row each. */
#define SESSION_DUES(X)                            \
    X(CONNECT)       /* must be live by then */    \
    X(PING)          /* a ping is to be sent */    \
    X(PONG)          /* its answer must be here */ \
    X(TOKEN_WARNING) /* token_expiring */          \
    X(TOKEN_EXPIRY)                                \
    X(REFUSAL) /* is told that it is refused */    \
    X(STALL)   /* a blocked link must have taken something */

enum session_due {
#define X(id) DUE_##id,
    SESSION_DUES(X)
#undef X
        DUE_COUNT
};

enum {
    SESSION_ID_SIZE = 21,
    SECRET_ID_SIZE = SESSION_ID_SIZE + GATEWAY_TAG_CHARS,
    CONTROL_MAX = 320,         /* own frames waiting; a peer that makes more is cut */
    CONTROL_POLLED_MAX = 16384 /* ... one that polls: a single POST may ask for many answers */
};

/* A session that is further behind than the ring reaches: it reads the log (past.h). */
struct reading {
    struct position at; /* all up to there is heard or not for it */
};

struct session {
    /* What a delivery touches, together. */
    struct list queued; /* HELD: in tenant->held; with something to send: in tenant->dirty; waiting for the
                         * log: in tenant->past.waiting */
    enum session_state state;
    enum frame_form form; /* how events look to it */
    bool blocked;         /* the link took less than it was given and has not said that it has room */
    bool lagging;         /* was blocked and has not caught up: ephemeral events are skipped */
    bool pending;         /* there is something for it in the ring, from the cursor on */
    bool replaying; /* hears what it has missed: of what has no place in the sequence it gets the newest then
                     */
    bool began_polling; /* its first transport; a WebSocket may take over */
    uint64_t cursor;    /* while pending: all before this place is heard or not for it */
    uint64_t heard;     /* while pending: the same as a seq, at least */
    uint64_t told;      /* seq of the offset that the client has been given last */
    int64_t told_ms;
    struct reading *reading; /* NULL: in the ring */
    const struct link_ops *ops;
    void *link;
    struct tenant *tenant; /* from HELD on */
    struct hub *hub;
    struct frame **control; /* own frames, sent before events; one reference each */
    unsigned control_count, control_cap;
    size_t control_bytes;
    struct member member; /* its rooms */

    const struct protocol *protocol;
    struct list in_hub;
    struct list in_slowed;    /* in its tenant's pace.slowed while it is not read */
    int64_t admitted_ms;      /* monotonic; counted among its tenant's arrivals since; 0: not yet */
    struct list in_strangers; /* of the hub, in that state */
    struct words *words;      /* that wait for their turn (strangers.h); NULL: none */
    enum refusal refusal;     /* while that is due, and how it is told */
    void (*tell_refusal)(struct session *s, enum refusal why);
    struct session *next_by_sid;    /* in its bucket of hub->sids */
    enum close_reason reason;       /* once closing */
    char secret_id[SECRET_ID_SIZE]; /* Engine.IO's: the gateway's tag, then 120 random bits; never shown to
                                     * others, never logged */
    char id[SESSION_ID_SIZE];       /* public */
    char *token;                    /* as it came with the upgrade; NULL: none did */
    struct claims *claims;          /* until live; NULL for a stranger */
    char *sub;                      /* the user; NULL for a stranger */
    char *jti;                      /* of its token; NULL: it has none */
    char *who;               /* its token's claims (claims_write()), where profiles ask for them; else NULL */
    int64_t issued_ms;       /* its token, wall clock; 0: nobody knows */
    struct wish *wish;       /* to be recovered, until live; NULL: none */
    int64_t generation;      /* of the fence; 0: its pid was never redeemed */
    struct sio_session *sio; /* of Socket.IO, when it has something to keep; NULL: nothing */
    struct guest *guest;     /* of its address; NULL: not counted */
    struct list calls;       /* of its client's that wait for their answer: client_event.c */
    struct position left_at; /* where its newest leave is recorded */
    bool rooms_doubted;      /* a row that knew less than that has been put off: session_correct_rooms() */
    struct bucket messages, bytes; /* what the client says */
    bool present;                  /* counted in its tenant's presence */
    bool awaits_latest;            /* values that stand before this place: they are being asked for */
    uint64_t latest_before;
    uint64_t came_with;  /* seq, of one that is recovered */
    uint64_t latest_due; /* question about the head that has to be answered; 0: a newcomer, who need not wait
                            for it */
    int64_t expires_wall_ms;
    int64_t due[DUE_COUNT]; /* monotonic ms; 0: not */
    int64_t armed_ms;       /* when the timer fires; 0: it does not */
    struct loop_timer *timer;
};

/* `token`: borrowed, from the upgrade request, or NULL. */
struct session *session_create(struct hub *hub, const struct protocol *protocol, const char *token);
void session_on_open(struct session *s, const struct link_ops *ops, void *link);
void session_on_message(struct session *s, struct view message, bool is_text);
/* What it said, in its turn. */
void session_hear(struct session *s, struct view message, bool is_text);
void session_on_writable(struct session *s);
void session_on_pong(struct session *s);
/* Goes on with another link, first with what is queued. The old one is the caller's to end. */
void session_move(struct session *s, const struct link_ops *ops, void *link);
/* Whether it is reached by polling at present. */
static inline bool session_polls(const struct session *s)
{
    return s->ops && s->ops->flush;
}
/* The link is gone: releases everything. */
void session_gone(struct session *s);

void session_set_state(struct session *s, enum session_state state);
/* Sends what is queued of its own, then closes the link. Once; later calls do nothing. */
void session_close(struct session *s, enum close_reason reason);
/* Arms (0: disarms) one deadline. */
void session_set_due(struct session *s, enum session_due which, int64_t at_ms);

/* Queues an own frame, taking the reference; session_pump() sends it. */
void session_send(struct session *s, struct frame *frame);
/* As an event of our own ("portalcast:hello", "token_expiring"), with the offset of what was sent so far. */
void session_send_event(struct session *s, const char *type, struct view data);
/* Where this client stands once it has read all that was sent to it. */
struct position session_position(const struct session *s);
/* Writes own frames, then the events from its cursor on, in as few writes as the link takes. pump.c. */
void session_pump(struct session *s);
/* An event for it stands at that place of the ring; `heard`: the seq before it. Returns whether it has to be
 * pumped and was not marked yet. */
bool session_mark(struct session *s, uint64_t place, uint64_t heard);
/* The client has been given the offset of the stream as it stands. */
void session_told(struct session *s);
/* They are not needed any more: it is live, or nobody. The wish goes with them. */
void session_forget_claims(struct session *s);
/* It is in the ring (again). */
void session_end_reading(struct session *s);

/* The rooms that the token gives. */
void session_join_token_rooms(struct session *s, const struct claims *claims, const struct since *since);
/* Another token: leaves what it does not give any more, is in what it gives besides from now on. */
void session_change_token_rooms(struct session *s, const struct claims *claims);
/* Rooms that the client asked for, its right to them checked; a live session.
 * Is in from now on, respectively not any more. False: it was (not) in already. */
bool session_join(struct session *s, struct view room);
bool session_join_since(struct session *s, struct view room, const struct since *since);
bool session_leave(struct session *s, struct view room);
bool session_is_in(const struct session *s, struct view room);
/* Its record of a join stands at that offset ("<epoch>-<seq>"): it is in from there on; from now on when the
 * stream has passed that already. False: that is no offset. */
bool session_joined_at(struct session *s, struct view room, const char *offset) MUSTCHECK;
/* Its record of a leave stands at that offset. */
void session_left_at(struct session *s, struct view offset);
/* What is recorded of it has been read anew, because the stream has jumped over some of that: it is in the
 * rooms that are recorded. It is told when it may have missed something of one. A row from before its newest
 * leave is put off until the stream has come to that. */
void session_correct_rooms(struct session *s, const struct roster_row *row);
/* Somebody tries a door that is not his: says so in the log. The name is a stranger's, of any length. */
void session_log_refused_room(const struct session *s, const char *room, const char *code);
/* Whether its joins and leaves have to be recorded in the stream, so that a recovery knows of them:
 * Socket.IO. They are in place once the stream has passed the record (inside.h). */
bool session_is_recorded(const struct session *s);

const char *refusal_code(enum refusal why);
const char *refusal_text(enum refusal why);

/* The claims of a token that holds (the caller's: claims_release(), free()); NULL: *why says what to tell. */
struct claims *session_verify(struct session *s, struct view token, enum refusal *why) MUSTCHECK;
/* What holds of a token from now on: until when, and whether it is among those that are revoked. */
void session_take_token(struct session *s, const struct claims *claims);
/* Verifies the token (empty: the one of the upgrade) and asks the hub to let the session in. False: *why says
 * what to tell. sign_in.c. */
bool session_sign_in(struct session *s, struct view token, enum refusal *why) MUSTCHECK;
/* Has a stranger told that it is refused: at once, or a second later when many have been refused lately, for
 * who is refused comes again at once. It is not heard until then. */
void session_refuse(struct session *s, enum refusal why, void (*tell)(struct session *s, enum refusal why));
/* Leaves the tenant and is a stranger again; the link stays. */
void session_sign_out(struct session *s);

/* What a protocol does with a session: protocol_sio.c, protocol_ws.c. Every function may close it. */
struct protocol {
    const char *name;
    bool close_codes; /* whether its peers are shown the code of the reason */
    void (*on_open)(struct session *s);
    void (*on_message)(struct session *s, struct view message, bool is_text);
    /* It has just become live; the wish, if any, is still there, and so are the claims. */
    void (*greet)(struct session *s, bool recovered);
    void (*ping)(struct session *s);
    /* The event `portalcast:cursor`: a JSON string, where the stream stands. */
    void (*cursor)(struct session *s, struct view offset);
    /* Its tenant does not let it in; it stays a stranger, or is closed. */
    void (*turn_away)(struct session *s, enum refusal why);
    /* The server ends it for good: the client is told not to come back by itself. */
    void (*kick)(struct session *s);
    /* The answer to what its client said (client_event.h), a JSON object; why it is refused. */
    void (*acknowledge)(struct session *s, const struct receipt *receipt, struct view object);
    void (*refuse)(struct session *s, const struct receipt *receipt, const char *code, const char *text);
};

extern const struct protocol protocol_sio, protocol_eio, protocol_ws;

#endif
