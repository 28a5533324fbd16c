/*
 * What a backup holds, found out by reading all of it once: whether it is whole, whose tenants it has and
 * where each stands. Thread: one.
 */
#ifndef PORTALCTL_BACKUP_CONTENTS_H
#define PORTALCTL_BACKUP_CONTENTS_H

#include "portalctl/backup_file.h"

/* What restore_check() found in the store. */
enum backup_tenant_state {
    TENANT_NEW,
    TENANT_BEGUN, /* a restore of this file was interrupted */
    TENANT_DONE   /* restored from this file, and nothing has happened since */
};

struct backup_tenant {
    char id[TENANT_ID_MAX + 1];
    struct head head;
    enum backup_tenant_state state;
};

struct backup_owner { /* of a channel */
    char channel_id[CHANNEL_ID_SIZE], tenant_id[TENANT_ID_MAX + 1];
};

struct backup_contents {
    struct backup_tenant *tenants;
    struct backup_owner *channels;
    size_t tenant_count, channel_count;
    char digest[BACKUP_DIGEST_SIZE];
};

/* Reads from the beginning to the end. */
bool backup_contents_read(FILE *in, struct backup_contents *out, struct err *err) MUSTCHECK;
void backup_contents_free(struct backup_contents *c);
struct backup_tenant *backup_contents_find(const struct backup_contents *c, const char *tenant_id);

#endif
