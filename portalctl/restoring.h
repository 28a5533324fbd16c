/*
 * Brings a backup into a store whose tenants of those names have no log yet.
 *
 * A tenant goes on where its copy was taken, under a new epoch: entry numbers and seqs go on upward, so that
 * orders (`ord`), revisions and what clients compare never step back, and the new epoch tells every gateway
 * and client that the history before is gone (design: "resync"). The documents come in as ordinary entries
 * without events, which are marked as published: nothing old is announced again. The figures are announced,
 * since no gateway can know them.
 *
 * Bodies of `latest` events hold no epoch (shared/event.c writes one only beside a seq), and their revisions
 * are below every new one; so they are restored as they are. The offset in a remembered answer
 * (Idempotency-Key) stays the old one, which is what that call was given.
 *
 * What is killed can be taken up again with the same file (restore_mark.h). Thread: the store handle's.
 */
#ifndef PORTALCTL_RESTORING_H
#define PORTALCTL_RESTORING_H

#include "portalctl/backup_contents.h"

struct restore {
    struct store *store; /* a writer's handle */
    FILE *in;            /* the file that the contents are of */
    struct backup_contents *contents;
    const char *only; /* this tenant alone, without the quarantine; NULL: all of it */
    void *ctx;
    /* A tenant is whole again; `at` has its new epoch. */
    void (*tenant_done)(void *ctx, const char *tenant_id, const struct head *at, uint64_t documents);
};

/* Whether all that is asked for can be restored; nothing is written. CONFLICT: a tenant has a log already, or
 * a channel belongs to another tenant; NOT_FOUND: the file has no such tenant. */
bool restore_check(const struct restore *r, struct err *err) MUSTCHECK;
/* CONFLICT: somebody else writes to the store. */
bool restore_run(const struct restore *r, struct err *err) MUSTCHECK;

#endif
