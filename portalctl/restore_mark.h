/*
 * Whether a tenant is restored whole. A restore is many entries; its first one leaves a mark, its last one
 * sets it to done, so that what was interrupted is known for it and can be taken up with the same file.
 *
 * The mark is a document: the answer to a command whose key is "restore". Keys of callers hold a "|"
 * (core/command.c), so nobody else can have this one. Thread: the store handle's.
 */
#ifndef PORTALCTL_RESTORE_MARK_H
#define PORTALCTL_RESTORE_MARK_H

#include "portalctl/backup_file.h"

struct restore_mark {
    bool found, unfinished;
    char digest[BACKUP_DIGEST_SIZE]; /* of the backup that it came from */
};

bool restore_mark_read(struct store *s, const char *tenant_id, struct restore_mark *out,
                       struct err *err) MUSTCHECK;
/* Fills a change whose document is written to `doc`. */
void restore_mark_write(const struct restore_mark *mark, int64_t now_wall_ms, struct buf *doc,
                        struct change *out);
bool restore_mark_is(const struct change *change);

#endif
