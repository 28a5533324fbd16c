/*
 * Going on where a client left off (wire spec, 4; design of /ws): what it asks for, whether that can be, and
 * the change from the session that comes to the one that was.
 *
 * A Socket.IO client brings its pid and perhaps an offset, a client of /ws an offset and the rooms that it
 * was in. A recovered session is in the same rooms and hears what it missed out of the ring or, below it, the
 * log (pump.c). Everything that does not hold - a foreign or ended pid, another history, events that are
 * gone, too many - makes an ordinary new session, and says so.
 *
 * A Socket.IO client gets CONNECT behind what it missed, as with the reference, if that is so little that it
 * arrives as a whole or not at all. Else CONNECT comes first: the official client keeps what comes before it
 * in a buffer that outlives the connection, and does not count it as heard, so that a link which breaks in
 * between would make it hear that part twice.
 *
 * Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_RECOVERY_H
#define PORTAL_GATEWAY_CORE_RECOVERY_H

#include "portal-gateway/core/pid.h"
#include "portal-gateway/core/rights.h"
#include "portal-gateway/core/session.h"
#include "shared/view.h"
#include <stdbool.h>

/* Why somebody is not recovered; name in the log, and as the reason of a `resync`. */
#define LOSSES(X)                         \
    X(FOREIGN_PID, "foreign_pid")         \
    X(OLD_PID, "old_pid")                 \
    X(ENDED, "ended")                     \
    X(REVOKED, "revoked")                 \
    X(ANOTHER_HISTORY, "another_history") \
    X(BEYOND_THE_HEAD, "beyond_the_head") \
    X(EVENTS_GONE, "events_gone")         \
    X(TOO_MUCH, "too_much")

enum loss {
#define X(id, name) LOSS_##id,
    LOSSES(X)
#undef X
};

/* A room that a client of /ws was in, and whether it may be. */
struct wished_room {
    struct rights_wait wait;
    struct session *session;
    char *name;
    enum { ROOM_UNKNOWN, ROOM_ASKED, ROOM_GRANTED, ROOM_DENIED } right;
};

/* What a client wants to go on from. Lifetime: until its session is live. */
struct wish {
    char pid_text[PID_SIZE]; /* Socket.IO; as it came, for the answer must hold the very same */
    struct pid pid;          /* read and found good */
    struct position offset;
    bool has_offset, is_unreadable;
    struct wished_room *rooms; /* /ws */
    bool asking;               /* about them, just now: answers may come from within */
    size_t room_count;
    struct position from; /* once it is decided */
    uint64_t bytes;       /* of the events that were sent again so far */
    bool wants_log;       /* waits for the log behind `from` */
    uint64_t
        heads_due; /* the question about the head whose answer counts; 0: it has not been beyond the stream */
};

/* Keeps the wish with the session, if it is one. `pid`, `offset`: JSON values; an offset alone is none for
 * Socket.IO. */
void recovery_wish_sio(struct session *s, struct view pid, struct view offset);
void recovery_wish_ws(struct session *s, struct view offset, struct view rooms);
void recovery_forget(struct session *s);

enum recovery { RECOVERY_NONE, RECOVERY_WAIT, RECOVERY_GRANTED };

/* A held session whose tenant's stream is in place: whether its wish is granted, or what has to come first
 * (then that has been asked for, and the tenant tries again). */
enum recovery recovery_decide(struct session *s);
/* Granted: whoever still holds the session here ends. */
void recovery_displace(struct session *s);
/* It becomes the session that it was, and hears on from there. */
void recovery_begin(struct session *s);
/* A new session after all: the rooms that it names it is in from now on. */
void recovery_join_wished(struct session *s, const struct since *since);
/* It has heard everything that it missed, or has caught up from below the ring: live, with the newest values.
 */
void recovery_complete(struct session *s);
/* What it missed turns out to be gone or too much: it goes on at the head, as a new one. */
void recovery_fail(struct session *s, enum loss why);

#endif
