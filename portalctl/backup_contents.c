#include "portalctl/backup_contents.h"
#include "shared/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more; grows by doubling. */
static void *grown(void *items, size_t count, size_t size)
{
    bool full = count == 0 || (count >= 16 && (count & (count - 1)) == 0);
    return full ? xrealloc(items, (count < 16 ? 16 : count * 2) * size) : items;
}

static void add_tenant(struct backup_contents *c, const struct backup_record *record)
{
    c->tenants = grown(c->tenants, c->tenant_count, sizeof *c->tenants);
    struct backup_tenant *t = &c->tenants[c->tenant_count++];
    *t = (struct backup_tenant){.head = record->head};
    memcpy(t->id, record->tenant_id, sizeof t->id);
}

static void add_channel(struct backup_contents *c, const struct channel *channel)
{
    c->channels = grown(c->channels, c->channel_count, sizeof *c->channels);
    struct backup_owner *o = &c->channels[c->channel_count++];
    memcpy(o->channel_id, channel->phone_number_id, sizeof o->channel_id);
    memcpy(o->tenant_id, channel->tenant_id, sizeof o->tenant_id);
}

bool backup_contents_read(FILE *in, struct backup_contents *out, struct err *err)
{
    struct backup_record record = {0};
    *out = (struct backup_contents){0};
    if (fseek(in, 0, SEEK_SET))
        return err_set(err, ERR_UNAVAILABLE, "read the backup: %s", strerror(errno));
    struct backup_reader *reader = backup_reader_create(in);
    bool ok = true;
    while (ok && record.kind != BACKUP_END) {
        ok = backup_read(reader, &record, err);
        if (ok && record.kind == BACKUP_HEAD)
            add_tenant(out, &record);
        if (ok && record.kind == BACKUP_CHANNEL)
            add_channel(out, &record.channel);
    }
    memcpy(out->digest, record.digest, sizeof out->digest);
    backup_reader_destroy(reader);
    if (!ok)
        backup_contents_free(out);
    return ok;
}

void backup_contents_free(struct backup_contents *c)
{
    free(c->tenants);
    free(c->channels);
    *c = (struct backup_contents){0};
}

struct backup_tenant *backup_contents_find(const struct backup_contents *c, const char *tenant_id)
{
    for (size_t i = 0; i < c->tenant_count; i++)
        if (!strcmp(c->tenants[i].id, tenant_id))
            return &c->tenants[i];
    return NULL;
}
