/*
 * The middle of the gateway: which tenants are present, what is asked of the feed for them, and in which turn
 * their sockets are written to.
 *
 * A tenant is bound with its first session; the binding is confirmed, then the head is asked for, then its
 * stream delivers. Every new binding (also after a reconnect of the feed) and every few seconds the heads are
 * asked again. While the broker or the state-manager is away, live sessions keep what they have and new ones
 * are held until their connect timeout. Events of one drain are appended first, then each socket concerned is
 * pumped once, tenants in turn. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_HUB_H
#define PORTAL_GATEWAY_CORE_HUB_H

#include "portal-gateway/core/asks.h"
#include "portal-gateway/core/guests.h"
#include "portal-gateway/core/letters.h"
#include "portal-gateway/core/pace.h"
#include "portal-gateway/core/peers.h"
#include "portal-gateway/core/policy.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/sid_index.h"
#include "portal-gateway/core/strangers.h"
#include "shared/list.h"
#include "shared/loop.h"
#include "shared/map.h"
#include "shared/metrics.h"
#include "shared/token.h"

/* What the hub needs from outside; answers come as letters. */
struct upstream {
    void *ctx;
    void (*bind)(void *ctx, const char *tenant_id);
    void (*unbind)(void *ctx, const char *tenant_id);
    void (*bind_all)(void *ctx);
    /* Takes the heads. */
    void (*ask_heads)(void *ctx, struct heads *heads);
    void (*ask_replay)(void *ctx, const char *tenant_id, const struct position *after);
    /* The same for those who read the log below the ring. */
    void (*ask_past)(void *ctx, const char *tenant_id, const struct position *after);
    /* A question of somebody's (asks.h); the text is copied. */
    void (*ask)(void *ctx, const char *tenant_id, uint64_t token, struct view request);
    /* Publishes an event body on the exchange, once and without a receipt: what may get lost. Copied. */
    void (*publish)(void *ctx, const char *tenant_id, const char *type, struct view body);
    /* Tells the other gateways about us; sees to it that we hear them. NULL: there are none. */
    void (*beat)(void *ctx, enum beat_state state);
    void (*hear_beats)(void *ctx);
};

/* Counted per pump, added to the meters per turn. */
struct tally {
    uint64_t deliveries, frames, writes, skipped;
};

struct hub {
    struct loop *loop;
    const struct policy *policy;
    const struct token_rules *rules;
    struct mailbox *inbox; /* letters of kind struct news */
    struct upstream upstream;
    struct map tenants;    /* id -> struct tenant */
    struct list sessions;  /* all, by in_hub */
    struct list strangers; /* those who have not signed in, in the order of their arrival */
    size_t stranger_count;
    struct bucket refusals; /* of tokens */
    size_t session_count;
    size_t most_sessions; /* since memory was given back; and how many the last upkeep saw */
    size_t last_sessions;
    struct peers peers;    /* the other gateways; and our own tag */
    struct sid_index sids; /* of Socket.IO sessions that are not closing */
    struct guests guests;
    struct asks asks;
    struct paces paces;
    struct strangers turns;           /* of who has not signed in */
    struct peer_keys pid_keys;        /* pids are signed with */
    int64_t generation;               /* the latest of any session, ours or heard */
    struct list thirsty;              /* tenants whose log has to be asked for */
    struct list dirty;                /* tenants with sessions to pump */
    struct frame *sio_ping, *ws_ping; /* shared by all */
    struct tally tally;
    bool gathering, all_bound;
    size_t heads_out; /* requests for heads that are not answered yet; more wait for them, and go together */
    bool ask_soon;    /* a tenant wants its head, not only as a retry */
    bool ask_all;     /* the state-manager can be reached again */
    bool watching_holes;
    bool doubting;                                 /* doubt_timer runs */
    bool feed_up, rpc_up, heads_once, heads_fresh; /* fresh: the last request was answered */
    int64_t heads_at_ms;                           /* of the next request for all heads */
    int64_t beat_at_ms;                            /* of our next heartbeat */
    int64_t forget_at_ms;                          /* of the next time that rings forget what is old */
    struct loop_timer *gather_timer, *upkeep_timer, *hole_timer, *doubt_timer;
    struct loop_wake *wake; /* letters have come, or a flush goes on */
};

struct hub *hub_create(struct loop *loop, const struct policy *policy, const struct token_rules *rules);
/* Every session must be gone. NULL-safe. */
void hub_destroy(struct hub *h);
/* The keys that all gateways share: without them a pid is good at the gateway that gave it. Before the first
 * session. */
void hub_share_pids(struct hub *h, const struct peer_keys *keys);
/* Once, before the first session. */
void hub_connect(struct hub *h, const struct upstream *upstream);
/* Where the feed's threads put their letters. */
struct mailbox *hub_inbox(struct hub *h);

/* Sees to it that the tenant's hole, if it has one, is asked for in time. */
void hub_watch_hole(struct hub *h, struct tenant *t);

/* Has the heads that are wanted asked for within 50 ms, one request for all who come until then. */
void hub_ask_in_company(struct hub *h);

/* Tells the other gateways about us, while they may hear it. */
void hub_beat(struct hub *h, enum beat_state state);

/* The next session that is taken over here is of a later one. */
void hub_hear_generation(struct hub *h, int64_t generation);

/* What gateways say to each other may have been lost until now. */
void hub_doubt_fences(struct hub *h);

/* For session.c. */
void hub_add(struct hub *h, struct session *s);
void hub_remove(struct hub *h, struct session *s);
void hub_admit(struct hub *h, struct session *s);
/* One stranger more: when there are too many, the oldest one goes. */
void hub_add_stranger(struct hub *h, struct session *s);
void hub_forget_stranger(struct hub *h, struct session *s);
void hub_count_close(struct hub *h, enum close_reason reason);
/* It cannot be found by its secret id any more. */
void hub_forget_sid(struct hub *h, struct session *s);
/* The session with that secret id that is open; NULL: none. */
struct session *hub_find(const struct hub *h, struct view sid);

size_t hub_session_count(const struct hub *h);
/* Whether it serves: consuming, and the state-manager has answered once. */
bool hub_is_ready(const struct hub *h);
/* The last words, once the sessions are gone: we are not there any more. */
void hub_leave(struct hub *h);
/* Closes up to max sessions. */
void hub_drain(struct hub *h, size_t max);

extern struct metric close_meters[CLOSE_REASON_COUNT];

#endif
