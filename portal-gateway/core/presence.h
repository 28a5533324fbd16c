/*
 * Who of a tenant is there: `presence_update` {userId, status}, live and as a snapshot for whoever connects.
 * Never stored: only the gateways know, each its own sessions for certain and the others' by leases
 * (attendance.h).
 *
 * What changed is told to the sockets here as a `latest` event, and said to the other gateways by the inside
 * event `portalcast:presence`; both gathered for PRESENCE_GATHER_MS, and for the sockets longer the more of
 * them there are, so that a thousand who come at once are no million of writes:
 *
 *   {"gateway":"<tag>","kind":"delta","users":[["u1","away",1795269600000],["u2","online",0,false]]}
 *
 * A user is named with his status, since when he says so (wall clock; 0: never said) and, when he is not at
 * that gateway any more, false. Kinds: "delta" names those who changed, "all" everybody, three times a lease;
 * "ask" does too, and the others answer it with "all"; "leaving": nobody is there any more.
 *
 * Our own messages come round. As long as they do not, nothing is concluded from the silence of others.
 *
 * Where presence is off there is none: every function takes NULL for that.
 *
 * Owner: its tenant. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_PRESENCE_H
#define PORTAL_GATEWAY_CORE_PRESENCE_H

#include "shared/compiler.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

struct presence;
struct tenant;

enum {
    PRESENCE_GATHER_MS = 500,
    PRESENCE_TOLD_AT_ONCE = 64, /* changes in one go: what a socket gets in one write; ... */
    PRESENCE_SOCKETS = 100,     /* ... for each so many of them it is gathered once more, ... */
    PRESENCE_SLOWEST = 10,      /* ... up to so often, and then as many times more are told */
    PRESENCE_SAID_AT_ONCE = 200 /* people in one message */
};

/* NULL: it is off, by profile or settings. */
struct presence *presence_create(struct tenant *t);
void presence_destroy(struct presence *p);
/* A session of that user became live here, or was the user's here until now. */
void presence_arrive(struct presence *p, const char *sub);
void presence_depart(struct presence *p, const char *sub);
/* The user says so: online, away or busy. False: none of them. */
bool presence_set(struct presence *p, const char *sub, struct view status) MUSTCHECK;
/* What a gateway (perhaps this one) said: the data of portalcast:presence. */
void presence_hear(struct presence *p, struct view data);
/* The tenant's binding has been confirmed (again): what was said meanwhile may have been missed. */
void presence_bound(struct presence *p);
/* The stream began anew and has forgotten its latest values. */
void presence_repeat(struct presence *p);
/* This gateway ends: tells the others that nobody is here any more, and is silent from now on. */
void presence_leave(struct presence *p);
/* About once a second. Time never goes back behind what was handed in here. */
void presence_tick(struct presence *p, int64_t now_ms);

#endif
