/*
 * What an operator wants to know of a tenant, and of a store, at a glance. A few bounded reads each, whatever
 * the store holds. Thread: the store handle's.
 */
#ifndef PORTALCTL_TENANT_STATS_H
#define PORTALCTL_TENANT_STATS_H

#include "shared/clock.h"
#include "state-manager/core/store.h"

struct tenant_stats {
    char tenant_id[TENANT_ID_MAX + 1];
    char offset[OFFSET_SIZE];
    uint64_t unpublished;         /* entries */
    uint64_t entries;             /* kept in the log */
    char oldest[CLOCK_ISO_SIZE];  /* first event that is kept; "": unknown */
    int64_t open, waiting, today; /* the figures */
    char active[CLOCK_ISO_SIZE];  /* of the newest conversation; "": there is none */
    bool unfinished;              /* a restore of it was interrupted */
};

bool tenant_stats_read(struct store *s, const char *tenant_id, const struct head *head, int64_t now_wall_ms,
                       struct tenant_stats *out, struct err *err) MUSTCHECK;

enum { COUNTED_MAX = 10000 };

struct store_stats { /* counted up to COUNTED_MAX */
    uint64_t channels;
    uint64_t waiting;    /* in the quarantine, for a channel */
    uint64_t unreadable; /* in it for another reason */
};

bool store_stats_read(struct store *s, struct store_stats *out, struct err *err) MUSTCHECK;

#endif
