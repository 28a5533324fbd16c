/*
 * What the relay sends: a lane's next entries of the log, the enriched inbound messages beside them, and the
 * newest figures. Every message is noted in the window until the broker has confirmed it.
 *
 * Thread: the relay's. Lifetime: embedded in the relay, which owns what it points to.
 */
#ifndef STATE_MANAGER_OUTBOX_PUBLISHER_H
#define STATE_MANAGER_OUTBOX_PUBLISHER_H

#include "shared/broker.h"
#include "state-manager/core/store.h"
#include "state-manager/outbox/lanes.h"
#include "state-manager/outbox/window.h"

/* What is read of the log: one entry. */
struct reading_entry {
    uint64_t n;
    struct view events, changes; /* into the buffer that it was read to */
};

struct publisher {
    char *exchange;
    struct store *store;
    struct broker *broker;
    struct window window;
    bool enriches;    /* the queue for inbound messages is ours to fill */
    bool stuffed;     /* the socket was full */
    bool unread;      /* it was the store that failed last, not the broker */
    struct buf batch; /* bodies read from the log, one after the other */
    /* The last entry that went out in part only, so that it is not read once more for each part. */
    struct {
        const struct lane *lane;
        uint64_t after; /* its lane's `sent` */
        struct reading_entry entry;
        struct buf bytes;
    } kept;
};

/* Who waited for room in the socket would not hear why there is none. */
bool publisher_has_room(struct publisher *p);
/* The lane's next entries, as many as there is room for. False: the broker or the store failed. */
bool publish_lane(struct publisher *p, struct lane *lane, struct err *err) MUSTCHECK;
/* The newest figures, if they have changed and the last announcement is a second old. */
bool publish_figures(struct publisher *p, struct lane *lane, int64_t now, struct err *err) MUSTCHECK;

#endif
