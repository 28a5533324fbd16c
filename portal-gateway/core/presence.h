/*
 * Who of a tenant is there: `presence_update` {userId, status}, live and as a snapshot for whoever connects.
 * Never stored: only the gateways know, each its own sessions for certain and the others' by leases.
 *
 * A gateway tells the others what changed at its side (gathered), and everything again every
 * PRESENCE_RENEW_MS; what is not renewed for PRESENCE_LEASE_MS has gone. One that has just come asks the
 * others. They speak by the inside event `portalcast:presence`.
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
/* About once a second. */
void presence_tick(struct presence *p, int64_t now_ms);

#endif
