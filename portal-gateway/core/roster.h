/*
 * What is recorded of a tenant's Socket.IO sessions: which rooms they have joined, each since which place of
 * the stream, and which may never be recovered again. Read from the state-manager when the first one wants to
 * be recovered, all of the tenant's together, and from then on kept up by the stream itself (inside.h).
 *
 * Thread: the loop's. Lifetime: of its tenant.
 */
#ifndef PORTAL_GATEWAY_CORE_ROSTER_H
#define PORTAL_GATEWAY_CORE_ROSTER_H

#include "portal-gateway/core/asks.h"
#include "portal-gateway/core/frame.h"
#include "shared/map.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

struct tenant;

struct roster_room {
    char *name;
    struct position joined;
};

struct roster_row {
    struct position changed;
    bool ended;
    size_t count, cap;
    struct roster_room *rooms;
};

/* What the stream said while it was being read. */
struct roster_news {
    struct roster_news *next;
    struct position at;
    size_t n;
    char data[];
};

enum roster_state { ROSTER_UNREAD, ROSTER_READING, ROSTER_READ };

struct roster {
    struct tenant *tenant;
    enum roster_state state;
    struct map rows; /* pid -> struct roster_row */
    struct roster_news *news, **last_news;
    size_t news_count;
    struct ask ask;
};

void roster_init(struct roster *r, struct tenant *t);
void roster_finish(struct roster *r);
/* Begins to read it, unless that is done or under way. tenant_open() follows. */
void roster_want(struct roster *r);
/* What it knows does not hold any more: events of the stream were lost. */
void roster_forget(struct roster *r);
/* NULL: nothing is recorded of that one. */
const struct roster_row *roster_find(const struct roster *r, struct view pid);
/* Its end is about to be recorded. */
void roster_end(struct roster *r, struct view pid);
/* The data of a `portalcast:session` at that place of the stream. */
void roster_apply(struct roster *r, struct view data, const struct position *at);

#endif
