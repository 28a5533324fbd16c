/*
 * Who of a tenant is present, as one gateway knows it: its own sessions for certain, those of other gateways
 * by leases.
 *
 * A person is present while a session of his is here or a gateway holds him; a holding ends by word, or when
 * it was not renewed for the lease. Whoever was last held stays for ATTENDANCE_GRACE_MS, so that a reload is
 * no coming and going; one whose lease ran out has had his time. His status is the newest that any of his
 * holders knows of, so that all gateways come to the same.
 *
 * Bounded: of those who are one too many nothing is told nor said; they move up when others go. Pure: time is
 * handed in. Thread: the owner's (presence.c).
 */
#ifndef PORTAL_GATEWAY_CORE_ATTENDANCE_H
#define PORTAL_GATEWAY_CORE_ATTENDANCE_H

#include "portal-gateway/core/beat.h"
#include "shared/compiler.h"
#include "shared/list.h"
#include "shared/map.h"
#include "shared/token.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATTENDANCE_GRACE_MS = 5000,
    ATTENDANCE_HOLDERS_MAX = 64 /* gateways that one person is on */
};

/* status, name */
#define PRESENCE_STATUSES(X) \
    X(OFFLINE, "offline")    \
    X(ONLINE, "online")      \
    X(AWAY, "away")          \
    X(BUSY, "busy")

enum presence_status {
#define X(id, name) PRESENCE_##id,
    PRESENCE_STATUSES(X)
#undef X
};

const char *presence_status_name(enum presence_status status);
/* False: no such name. */
bool presence_status_parse(struct view name, enum presence_status *out) MUSTCHECK;

/* What a user has said last, never offline, and when: wall clock, or one more than what he had said before;
 * 0: nothing yet, so online. */
struct claim {
    enum presence_status status;
    int64_t set_ms;
};

struct attendance {
    struct map people;    /* sub -> struct person */
    struct list changed;  /* people of whom there may be something to tell the sockets here */
    struct list unsaid;   /* ... and the other gateways */
    size_t max, admitted; /* people that are told and said */
    size_t waiting;       /* present, and one too many */
    size_t told;          /* whom the sockets here know as present */
    int64_t lease_ms;
};

void attendance_init(struct attendance *r, size_t max_people, int64_t lease_ms);
void attendance_finish(struct attendance *r);

/* A session here begins, ends. */
void attendance_arrive(struct attendance *r, const char *sub);
void attendance_depart(struct attendance *r, const char *sub, int64_t now_ms);
/* He says so himself, by a session here. */
void attendance_set(struct attendance *r, const char *sub, enum presence_status status, int64_t wall_ms);

/* Another gateway says that he is there, with the newest claim that it knows of; that he is not any more. */
void attendance_hold(struct attendance *r, const char *gateway, const char *sub, const struct claim *claim,
                     int64_t now_ms);
void attendance_unhold(struct attendance *r, const char *gateway, const char *sub, const struct claim *claim,
                       int64_t now_ms);
/* That gateway goes. */
void attendance_release(struct attendance *r, const char *gateway, int64_t now_ms);
/* All leases begin anew. */
void attendance_excuse(struct attendance *r, int64_t now_ms);
/* Ends what has run out: the grace, and (if we hear the others) leases; admits those who wait. */
void attendance_age(struct attendance *r, int64_t now_ms, bool hearing);
/* The sockets know of nobody any more. */
void attendance_repeat(struct attendance *r);

struct attendance_change {
    char sub[TOKEN_NAME_MAX + 1];
    enum presence_status status;
};

/* The next thing that the sockets have to be told; counts as told. */
bool attendance_next_change(struct attendance *r, int64_t now_ms, struct attendance_change *out);

struct attendance_saying {
    const char *sub; /* valid until the next call */
    struct claim claim;
    bool here;
};

/* The next thing that the other gateways have to be told; counts as said. */
bool attendance_next_unsaid(struct attendance *r, struct attendance_saying *out);
/* Walks those who are here, as map_next(). */
bool attendance_next_here(const struct attendance *r, size_t *at, struct attendance_saying *out);

#endif
