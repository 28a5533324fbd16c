#include "portalctl/restoring.h"
#include "portalctl/restore_mark.h"
#include "shared/clock.h"
#include "shared/map.h"
#include "shared/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_DOCUMENTS = ENTRY_COMMANDS_MAX,
    BATCH_BYTES = ENTRY_BYTES_MAX / 2, /* one document may go over it */
    EPOCH_BYTES = 4,
    KEY_ROOM = 1 + DOC_KEY_MAX
};

/* --- what may be restored --------------------------------------------------------------------------------
 */

static bool on_any_entry(void *ctx, const struct log_entry *entry)
{
    (void)entry;
    *(bool *)ctx = true;
    return false;
}

/* A tenant that has a log is ours only if it stands where we put it: restored from this very file, in part or
 * whole, and without an event since. Before a restore's first entry there is no mark, but a tenant without
 * any entry is nobody else's. */
static bool find_state(const struct restore *r, struct backup_tenant *t, const struct head *now, bool *ours,
                       struct err *err)
{
    struct restore_mark mark;
    bool has_entries = false;
    *ours = false;
    if (now->seq != t->head.seq || now->n < t->head.n)
        return true;
    if (!restore_mark_read(r->store, t->id, &mark, err) ||
        !r->store->ops->read_log(r->store, t->id, LOG_BY_ENTRY, 0, false, on_any_entry, &has_entries, err))
        return false;
    bool same_file = mark.found && !strcmp(mark.digest, r->contents->digest);
    *ours = has_entries ? same_file : now->n == t->head.n;
    t->state = has_entries && !mark.unfinished ? TENANT_DONE : TENANT_BEGUN;
    return true;
}

static bool refuse_tenant(const struct backup_tenant *t, struct err *err)
{
    return err_set(err, ERR_CONFLICT,
                   "tenant %s has a history in this store already: restore into another store, or other "
                   "tenants with --tenant",
                   t->id);
}

static bool check_tenant(const struct restore *r, struct backup_tenant *t, struct err *err)
{
    struct head now;
    bool ours;
    t->state = TENANT_NEW;
    if (!r->store->ops->head(r->store, t->id, &now, err))
        return false;
    if (!*now.epoch)
        return true;
    if (!find_state(r, t, &now, &ours, err))
        return false;
    return ours || refuse_tenant(t, err);
}

static bool is_wanted(const struct restore *r, const char *tenant_id)
{
    return !r->only || !strcmp(r->only, tenant_id);
}

static bool check_channel(const struct restore *r, const struct backup_owner *owner, bool *missing,
                          struct err *err)
{
    struct channel there;
    bool found;
    if (!r->store->ops->channel_get(r->store, view_of(owner->channel_id), &there, &found, err))
        return false;
    *missing |= !found;
    return !found || !strcmp(there.tenant_id, owner->tenant_id) ||
           err_set(err, ERR_CONFLICT, "channel %s belongs to tenant %s in this store, to %s in the backup",
                   owner->channel_id, there.tenant_id, owner->tenant_id);
}

bool restore_check(const struct restore *r, struct err *err)
{
    const struct backup_contents *c = r->contents;
    const struct backup_tenant *done = NULL;
    bool something_left = false;
    if (r->only && !backup_contents_find(c, r->only))
        return err_set(err, ERR_NOT_FOUND, "the backup has no tenant %s", r->only);
    for (size_t i = 0; i < c->tenant_count; i++) {
        struct backup_tenant *t = &c->tenants[i];
        if (!is_wanted(r, t->id))
            continue;
        if (!check_tenant(r, t, err))
            return false;
        if (t->state == TENANT_DONE)
            done = t;
        else
            something_left = true;
    }
    for (size_t i = 0; i < c->channel_count; i++)
        if (is_wanted(r, c->channels[i].tenant_id) &&
            !check_channel(r, &c->channels[i], &something_left, err))
            return false;
    return something_left || !done || refuse_tenant(done, err);
}

/* --- one tenant ------------------------------------------------------------------------------------------
 */

/* Entries in the making. A document stands in an entry once: a store without transactions tells by the entry
 * which of two versions is newer. */
struct bringing {
    const struct restore *restore;
    const struct backup_tenant *tenant; /* NULL: of one that is not to be brought */
    struct head head;
    uint64_t documents;
    bool marked, has_figures;
    struct buf mark;
    struct map keys; /* kind and key -> anything */
    size_t count, bytes;
    struct change changes[BATCH_DOCUMENTS + 1]; /* one for the mark; texts are owned, but for the mark's */
};

static struct view copy_text(struct view text)
{
    return (struct view){xstrndup(text.p, text.n), text.n};
}

static void drop_change(struct change *c)
{
    free((char *)c->key.p);
    free((char *)c->place.parent.p);
    free((char *)c->place.state.p);
    free((char *)c->place.owner.p);
    free((char *)c->doc.p);
}

static void drop_changes(struct bringing *b)
{
    for (size_t i = 0; i < b->count; i++)
        drop_change(&b->changes[i]);
    b->count = b->bytes = 0;
    map_free(&b->keys);
}

static bool commit(struct bringing *b, bool last, struct err *err)
{
    struct store *s = b->restore->store;
    int64_t now = clock_wall_ms();
    size_t count = b->count;
    if (last || !b->marked) {
        struct restore_mark mark = {.unfinished = !last};
        memcpy(mark.digest, b->restore->contents->digest, sizeof mark.digest);
        restore_mark_write(&mark, now, &b->mark, &b->changes[count++]);
    }
    struct entry e = {.tenant_id = b->tenant->id,
                      .epoch = b->head.epoch,
                      .n = b->head.n + 1,
                      .first_seq = b->head.seq + 1,
                      .last_seq = b->head.seq,
                      .at_wall_ms = now,
                      .changes = b->changes,
                      .change_count = count,
                      .events = VIEW("[]"),
                      .figures_changed = last && b->has_figures};
    struct entry *one = &e;
    if (!s->ops->commit(s, &one, 1, err))
        return false;
    if (e.result != COMMIT_DONE)
        return err_set(err, ERR_CONFLICT,
                       "somebody writes to tenant %s: end every state-manager of this store", b->tenant->id);
    b->marked = true;
    b->head.n++;
    drop_changes(b);
    return true;
}

static bool begin_tenant(struct bringing *b, const char *tenant_id, struct err *err)
{
    const struct restore *r = b->restore;
    unsigned char random[EPOCH_BYTES];
    bool taken;
    b->tenant = is_wanted(r, tenant_id) ? backup_contents_find(r->contents, tenant_id) : NULL;
    if (b->tenant && b->tenant->state == TENANT_DONE)
        b->tenant = NULL;
    if (!b->tenant)
        return true;
    b->documents = 0;
    b->marked = b->has_figures = false;
    if (b->tenant->state == TENANT_BEGUN)
        return r->store->ops->head(r->store, tenant_id, &b->head, err);
    b->head = b->tenant->head;
    crypto_random(random, sizeof random);
    crypto_hex(random, sizeof random, b->head.epoch);
    if (!r->store->ops->adopt(r->store, tenant_id, &b->head, &taken, err))
        return false;
    return taken || err_set(err, ERR_CONFLICT, "tenant %s was made by somebody else meanwhile", tenant_id);
}

/* Entries without events have nothing to publish. */
static bool end_tenant(struct bringing *b, struct err *err)
{
    struct store *s = b->restore->store;
    if (!b->tenant)
        return true;
    if ((b->count && !commit(b, false, err)) || !commit(b, true, err))
        return false;
    struct mark mark = {.tenant_id = b->tenant->id, .published = b->head.n};
    if (!s->ops->mark(s, &mark, 1, err))
        return false;
    if (b->restore->tenant_done)
        b->restore->tenant_done(b->restore->ctx, b->tenant->id, &b->head, b->documents);
    b->tenant = NULL;
    return true;
}

static struct view key_of(const struct change *c, char room[static KEY_ROOM])
{
    room[0] = (char)('A' + (int)c->kind);
    memcpy(room + 1, c->key.p, c->key.n);
    return (struct view){room, c->key.n + 1};
}

static bool add_document(struct bringing *b, const struct change *c, struct err *err)
{
    char room[KEY_ROOM];
    struct view key = key_of(c, room);
    if (restore_mark_is(c)) /* of a restore before that backup */
        return true;
    bool full = b->count == BATCH_DOCUMENTS || b->bytes + c->doc.n > BATCH_BYTES;
    if (b->count && (full || map_get(&b->keys, key)) && !commit(b, false, err))
        return false;
    map_put(&b->keys, key, b);
    b->changes[b->count++] =
        (struct change){.kind = c->kind,
                        .key = copy_text(c->key),
                        .place = {copy_text(c->place.parent), c->place.rank, c->place.ord,
                                  copy_text(c->place.state), copy_text(c->place.owner)},
                        .doc = copy_text(c->doc)};
    b->bytes += c->doc.n;
    b->documents++;
    b->has_figures |= c->kind == DOC_FIGURES;
    return true;
}

static bool add_documents(struct bringing *b, const struct backup_record *record, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && b->tenant && i < record->change_count; i++)
        ok = add_document(b, &record->changes[i], err);
    return ok;
}

/* --- all of it -------------------------------------------------------------------------------------------
 */

static bool bring(struct bringing *b, const struct backup_record *record, struct err *err)
{
    const struct restore *r = b->restore;
    switch (record->kind) {
    case BACKUP_QUARANTINED:
        return r->only || r->store->ops->quarantine(r->store, &record->quarantined, 1, err);
    case BACKUP_TENANT:
        return begin_tenant(b, record->tenant_id, err);
    case BACKUP_DOCUMENTS:
        return add_documents(b, record, err);
    case BACKUP_HEAD:
        return end_tenant(b, err);
    case BACKUP_CHANNEL:
        return !is_wanted(r, record->channel.tenant_id) ||
               r->store->ops->channel_put(r->store, &record->channel, err);
    case BACKUP_HEADER:
    case BACKUP_END:
    case BACKUP_RECORD_KINDS:
        break;
    }
    return true;
}

bool restore_run(const struct restore *r, struct err *err)
{
    struct backup_record record = {0};
    if (fseek(r->in, 0, SEEK_SET))
        return err_set(err, ERR_UNAVAILABLE, "read the backup: %s", strerror(errno));
    struct bringing *b = xcalloc(1, sizeof *b);
    struct backup_reader *reader = backup_reader_create(r->in);
    b->restore = r;
    map_init(&b->keys);
    buf_init(&b->mark, DOC_MAX);
    bool ok = true;
    while (ok && record.kind != BACKUP_END)
        ok = backup_read(reader, &record, err) && bring(b, &record, err);
    drop_changes(b);
    buf_free(&b->mark);
    backup_reader_destroy(reader);
    free(b);
    return ok;
}
