/*
 * How much of the loop a tenant may take with what its clients say, while other tenants are there: its share.
 *
 * What its clients' messages take is charged to it. Beyond the share its clients are read more slowly: who
 * says something more is not read for a while, and the network holds it back. Nothing is lost, and nobody is
 * cut for it (rate.h does that, for one client alone). Likewise its sessions come in so many a second; the
 * others are held. Those that come and are gone again at once cost what messages never would, so of them a
 * fifth of the rate may go on for good; a crowd that comes back and stays is not held up by that.
 * Thread: the loop's. Units: microseconds.
 */
#ifndef PORTAL_GATEWAY_CORE_PACE_H
#define PORTAL_GATEWAY_CORE_PACE_H

#include "shared/list.h"
#include "shared/loop.h"
#include <stdbool.h>
#include <stdint.h>

struct hub;
struct session;
struct tenant;

/* Of a tenant. */
struct pace {
    int64_t even_at_us;     /* when what it has used will be within its share */
    int64_t arrivals_at_us; /* likewise for the sessions that came in */
    int64_t brief_at_us;    /* and for those that did not stay */
    struct list slowed;     /* its sessions that are not read */
    struct list in_slowed;  /* in paces->slowed while there are such */
    struct list crowded;    /* in paces->crowded while somebody waits to come in */
};

/* Of the hub. */
struct paces {
    struct hub *hub;
    struct list slowed, crowded; /* tenants */
    struct loop_timer *timer;
    bool is_running;
};

void paces_init(struct paces *p, struct hub *h);
void paces_finish(struct paces *p);
void pace_init(struct pace *p);
void pace_finish(struct pace *p);

/* A message of that session took so long; afterwards it may be one that is not read. */
void pace_charge(struct session *s, int64_t used_us);
/* Whether the session may come in now; if not, tenant_open() is called when somebody may. */
bool pace_admits(struct session *s);
/* It leaves its tenant. */
void pace_forget(struct session *s);

#endif
