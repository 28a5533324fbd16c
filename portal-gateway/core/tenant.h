/*
 * A tenant that is present here: its stream, its rooms and its sessions.
 *
 * Comes with its first session, lingers after its last one (so that a reload finds it in place), and is
 * destroyed by the hub. Nothing in it is reachable from another tenant. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_TENANT_H
#define PORTAL_GATEWAY_CORE_TENANT_H

#include "portal-gateway/core/pace.h"
#include "portal-gateway/core/past.h"
#include "portal-gateway/core/revoked.h"
#include "portal-gateway/core/roster.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/stream.h"
#include "shared/list.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct presence;
struct rights;
struct typing;

struct tenant {
    struct hub *hub;
    char id[TENANT_ID_MAX + 1];
    struct stream stream;
    struct presence *presence; /* NULL: off */
    struct room_index rooms;
    struct rights *rights; /* what is known of rooms that depend on data */
    struct typing *typing;
    struct room *everyone; /* the implicit room, with a name that no event can give */
    struct list held;      /* sessions that wait to be let in: for the stream to be in place, or a recovery */
    struct list dirty;     /* live and recovering sessions with something to send */
    struct list in_dirty;  /* in hub->dirty while there are such */
    size_t sessions;       /* held and live */
    uint64_t marked;       /* entries before that place have been told to their sessions */
    uint64_t aged;         /* entries before that place were there when old ones were last forgotten */
    uint64_t logged;       /* entries before that place have been logged as delivered */
    bool all_marked;       /* nobody was pumped since everyone was marked */
    bool bound;            /* the feed confirmed the binding */
    bool head_wanted, latest_wanted; /* to be asked for with the next request */
    bool head_asked;                 /* an answer is due */
    bool fences_due;                 /* what was said of taken-over sessions may have been lost */
    struct list thirsty;     /* in hub->thirsty while somebody waits for the log and nobody has asked */
    uint64_t joint_seen;     /* of the ring, when it was last looked at */
    bool rooms_doubted;      /* the stream has jumped over what may be recorded of sessions that are here */
    uint64_t doubted_from;   /* seq behind that jump */
    uint64_t heads_asked;    /* questions about its head so far */
    uint64_t heads_answered; /* the latest of them that was answered */
    uint64_t latest_due;     /* behind the answer to that one `latest` values are as new as the stream */
    bool latest_given_up;    /* nobody could say; newcomers are told what is known */
    bool latest_awaited;     /* by sessions */
    int64_t empty_since_ms;  /* 0: has sessions */
    struct past past;
    struct pace pace;
    struct roster roster;
    struct revoked revoked;
    struct map recoverable; /* public id -> session: live and recovering ones whose joins are recorded */
};

struct tenant *tenant_create(struct hub *hub, const char *id);
/* Without sessions. */
void tenant_destroy(struct tenant *t);
const char *tenant_id(const struct tenant *t);

/* Counts a verified session in: live at once when the stream is in place, else held. */
void tenant_add(struct tenant *t, struct session *s);
void tenant_remove(struct tenant *t, struct session *s);
/* Something has come that held sessions may have waited for: those that lack nothing become live. */
void tenant_open(struct tenant *t);
/* Wants to know its head soon, with the newest values. */
void tenant_want_head(struct tenant *t);
/* The implicit room and those of the token. */
void tenant_join_rooms(struct tenant *t, struct session *s, const struct since *since);
/* Held or recovering until now; greeted, not pumped yet. */
void tenant_make_live(struct tenant *t, struct session *s, bool recovered);
/* Somebody waits for the log. */
void tenant_want_past(struct tenant *t);
/* It needs the log where it stands: it is pumped again when that has come. */
void tenant_wait_for_past(struct tenant *t, struct session *s);
void tenant_ask_past(struct tenant *t);
/* A read of the log has been answered, or has failed (NULL). */
void tenant_take_past(struct tenant *t, struct replay *answer);
/* Ends whoever's token has been revoked by now. */
void tenant_end_revoked(struct tenant *t);
/* The stream has jumped, to the ring's joint; the rooms of who is here are to be read anew. */
void tenant_doubt_rooms(struct tenant *t);
/* Sees to it that they are. */
void tenant_settle_rooms(struct tenant *t);
/* About once a second. */
void tenant_tick(struct tenant *t);
/* From here on newcomers wait until the newest `latest` values have been asked for. */
void tenant_doubt_latest(struct tenant *t);
/* Queues the newest `latest` values that the session may hear; while they are being asked for, it has them
 * later: tenant_settle_latest(). */
void tenant_send_latest(struct tenant *t, struct session *s);
/* The same for one that goes on: elsewhere it may have heard newer ones. When it has missed nothing, they
 * came between two events of the stream, and are on their way here. It waits for an answer however long it
 * takes. */
void tenant_send_latest_again(struct tenant *t, struct session *s, bool missed_nothing);
void tenant_settle_latest(struct tenant *t);
/* Tells the sessions concerned about what was appended to the ring since the last call; they are pumped by
 * tenant_flush(). */
void tenant_mark(struct tenant *t);
/* The stream has begun another history, behind the ring's joint: where somebody joined says nothing there. */
void tenant_begin_history(struct tenant *t);
/* Drops the entries that were there at the last call already. */
void tenant_forget_old(struct tenant *t);
/* Puts a session at the end of those that have something to send. */
void tenant_requeue(struct tenant *t, struct session *s);
/* Pumps up to max sessions; true when there are more. */
bool tenant_flush(struct tenant *t, size_t max);

#endif
