/*
 * A tenant that is present here: its stream, its rooms and its sessions.
 *
 * Comes with its first session, lingers after its last one (so that a reload finds it in place), and is
 * destroyed by the hub. Nothing in it is reachable from another tenant. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_TENANT_H
#define PORTAL_GATEWAY_CORE_TENANT_H

#include "portal-gateway/core/session.h"
#include "portal-gateway/core/stream.h"
#include "shared/list.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tenant {
    struct hub *hub;
    char id[TENANT_ID_MAX + 1];
    struct stream stream;
    struct room_index rooms;
    struct room *everyone; /* the implicit room, with a name that no event can give */
    struct list held;      /* sessions that wait for the stream to be in place */
    struct list dirty;     /* live sessions with something to send */
    struct list in_dirty;  /* in hub->dirty while there are such */
    size_t sessions;       /* held and live */
    uint64_t marked;       /* entries before that place have been told to their sessions */
    uint64_t aged;         /* entries before that place were there when old ones were last forgotten */
    uint64_t logged;       /* entries before that place have been logged as delivered */
    bool all_marked;       /* nobody was pumped since everyone was marked */
    bool bound;            /* the feed confirmed the binding */
    bool head_wanted, latest_wanted; /* to be asked for with the next request */
    bool head_asked;                 /* an answer is due */
    int64_t empty_since_ms;          /* 0: has sessions */
};

struct tenant *tenant_create(struct hub *hub, const char *id);
/* Without sessions. */
void tenant_destroy(struct tenant *t);
const char *tenant_id(const struct tenant *t);

/* Counts a verified session in: live at once when the stream is in place, else held. */
void tenant_add(struct tenant *t, struct session *s);
void tenant_remove(struct tenant *t, struct session *s);
/* The stream is in place: the held ones become live. */
void tenant_open(struct tenant *t);
/* Queues the newest `latest` values that the session may hear. */
void tenant_send_latest(struct tenant *t, struct session *s);
/* Tells the sessions concerned about what was appended to the ring since the last call; they are pumped by
 * tenant_flush(). */
void tenant_mark(struct tenant *t);
/* Drops the entries that were there at the last call already. */
void tenant_forget_old(struct tenant *t);
/* Puts a session at the end of those that have something to send. */
void tenant_requeue(struct tenant *t, struct session *s);
/* Pumps up to max sessions; true when there are more. */
bool tenant_flush(struct tenant *t, size_t max);

#endif
