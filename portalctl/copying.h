/*
 * Copies a store that is in use into a backup, without holding it up: short reads, page by page.
 *
 * How a copy that takes an hour is still the state of one moment, tenant by tenant: head() gives n0; then all
 * documents are walked, each as it is when its page is read, so some are older and some newer; then the log
 * entries n0+1 ... n1 follow. Every change in an entry carries the whole document after it, so applying them
 * in order, whatever was met before, ends at exactly the state of entry n1. (Nothing else writes documents.
 * Those that retention drops meanwhile may come back with the copy; they are as old then as before.)
 * The log is caught up with during the walk, too, or retention might pass us by while we read.
 *
 * The order of the parts: the quarantine first, since what is delivered out of it meanwhile is then found in
 * both (messages are known by their ids); the channels last, so that a restore ends with them and no webhook
 * is delivered to half a tenant.
 *
 * Thread: the store handle's.
 */
#ifndef PORTALCTL_COPYING_H
#define PORTALCTL_COPYING_H

#include "portalctl/backup_file.h"

struct copy_hooks {
    void *ctx;
    /* A tenant's copy is complete. */
    void (*tenant_done)(void *ctx, const char *tenant_id, const struct head *at, uint64_t documents);
    /* Asked between two pages; true ends the copy with an error. */
    bool (*is_stopped)(void);
};

/* All but the last line of the file. UNAVAILABLE: a log was trimmed while we read; try again. */
bool copy_store(struct store *from, struct backup_writer *to, const struct copy_hooks *hooks,
                struct err *err) MUSTCHECK;

#endif
