#include "tests/unit/copies_stage.h"
#include "portalctl/restore_mark.h"
#include "portalctl/restoring.h"
#include "shared/mem.h"
#include "state-manager/store/changes.h"
#include "tests/unit/dice.h"
#include <stdlib.h>
#include <string.h>

enum { KEYS = 40, KEY_BYTES = 64 };

struct store_fixture copies_from, copies_to;

void copies_open(void)
{
    store_fixture_open(&copies_from);
    store_fixture_open(&copies_to);
}

void copies_open_mongo(void)
{
    copies_from.kind = copies_to.kind = STORE_MONGO;
    copies_open();
}

void copies_close(void)
{
    store_fixture_close(&copies_from);
    store_fixture_close(&copies_to);
}

/* --- writing at random -----------------------------------------------------------------------------------
 */

static const enum doc_kind written_kinds[] = {DOC_CONVERSATION, DOC_MESSAGE, DOC_ALIAS,     DOC_LATEST,
                                              DOC_FIGURES,      DOC_SESSION, DOC_REVOCATION};

/* An entry with up to three documents, new or known. */
static void write_something(const char *tenant_id)
{
    struct head head;
    struct change changes[3];
    char keys[3][16], docs[3][96], events[96];
    size_t count = 1 + (size_t)dice(3);
    ck_assert(copies_from.writer->ops->head(copies_from.writer, tenant_id, &head, NULL));
    for (size_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d-%zu", dice(KEYS), i); /* one entry, one version */
        snprintf(docs[i], sizeof docs[i], "{\"n\":%d,%s\"text\":\"%s\"}", (int)head.n + 1,
                 dice(4) ? "" : "\r\n ", dice(2) ? "a" : "\\ud83d \\\" \\n");
        enum doc_kind kind = written_kinds[dice((int)countof(written_kinds))];
        struct view label = kind == DOC_CONVERSATION ? VIEW("s") : VIEW(""); /* of DOC_FILED only */
        changes[i] = (struct change){.kind = kind,
                                     .key = view_of(keys[i]),
                                     .place = {VIEW("p"), dice(1000), (int64_t)head.n, label, label},
                                     .doc = view_of(docs[i])};
    }
    snprintf(events, sizeof events, "[{\"type\":\"t\",\"id\":\"e\",\"seq\":%d}]", (int)head.seq + 1);
    struct entry e = store_entry(tenant_id, head.n + 1, events, head.seq + 1, head.seq + 1);
    struct entry *one = &e;
    e.epoch = *head.epoch ? head.epoch : "old";
    e.changes = changes;
    e.change_count = count;
    e.figures_changed = true;
    ck_assert(copies_from.writer->ops->commit(copies_from.writer, &one, 1, NULL) && e.result == COMMIT_DONE);
}

void copies_seed(int seed)
{
    dice_seed(seed);
}

void copies_write_much(int entries)
{
    for (int i = 0; i < entries; i++)
        write_something(dice(2) ? "t_a" : "t_b");
}

void copies_put_channel(struct store *s, const char *tenant_id)
{
    struct channel channel = {"200000000000001", "", "15550100200", "token"};
    snprintf(channel.tenant_id, sizeof channel.tenant_id, "%s", tenant_id);
    ck_assert(s->ops->channel_put(s, &channel, NULL));
}

/* --- a store that is written to whenever it is read ------------------------------------------------------
 */

struct busy {
    struct store base;
    int writes;          /* to come */
    int reads, trims_at; /* all writes come then, and the log is trimmed */
    int reads_left;      /* before the store goes away; negative: it stays */
};

static struct busy busy;

/* All of the log but its last entry. */
static void trim(const char *tenant_id)
{
    struct head head;
    size_t removed;
    ck_assert(copies_from.writer->ops->head(copies_from.writer, tenant_id, &head, NULL));
    struct mark mark = {tenant_id, head.n, 0};
    struct trim all = {tenant_id, INT64_MAX, 0, 1000};
    ck_assert(copies_from.writer->ops->mark(copies_from.writer, &mark, 1, NULL));
    ck_assert(copies_from.writer->ops->trim_log(copies_from.writer, &all, &removed, NULL));
    ck_assert_uint_gt(removed, 0);
}

static bool disturb(const char *tenant_id, struct err *err)
{
    if (busy.reads_left == 0)
        return err_set(err, ERR_UNAVAILABLE, "the store went away");
    busy.reads_left -= busy.reads_left > 0;
    busy.reads++;
    int most = busy.trims_at ? 0 : dice(3);
    for (int n = busy.reads == busy.trims_at ? busy.writes : most; n > 0 && busy.writes > 0;
         n--, busy.writes--)
        write_something(tenant_id);
    if (busy.reads == busy.trims_at)
        trim(tenant_id);
    return true;
}

static bool busy_head(struct store *s, const char *tenant_id, struct head *out, struct err *err)
{
    (void)s;
    return disturb(tenant_id, err) && copies_from.reader->ops->head(copies_from.reader, tenant_id, out, err);
}

static bool busy_get(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key,
                     struct buf *doc, bool *found, struct err *err)
{
    (void)s;
    return disturb(tenant_id, err) &&
           copies_from.reader->ops->get(copies_from.reader, tenant_id, kind, key, doc, found, err);
}

static bool busy_scan(struct store *s, const char *tenant_id, enum doc_kind kind, struct view after,
                      size_t limit, store_change_fn fn, void *ctx, struct err *err)
{
    (void)s;
    (void)limit; /* small pages: more can happen between them */
    return disturb(tenant_id, err) &&
           copies_from.reader->ops->scan(copies_from.reader, tenant_id, kind, after, 3, fn, ctx, err);
}

static bool busy_read_log(struct store *s, const char *tenant_id, enum log_position by, uint64_t after,
                          bool with_changes, store_log_fn fn, void *ctx, struct err *err)
{
    (void)s;
    return disturb(tenant_id, err) && copies_from.reader->ops->read_log(copies_from.reader, tenant_id, by,
                                                                        after, with_changes, fn, ctx, err);
}

static bool busy_tenants(struct store *s, struct view after, size_t limit, store_tenant_fn fn, void *ctx,
                         struct err *err)
{
    (void)s;
    return copies_from.reader->ops->tenants(copies_from.reader, after, limit, fn, ctx, err);
}

static bool busy_channels(struct store *s, struct view after, size_t limit, store_channel_fn fn, void *ctx,
                          struct err *err)
{
    (void)s;
    return copies_from.reader->ops->channels(copies_from.reader, after, limit, fn, ctx, err);
}

static bool busy_quarantine_scan(struct store *s, struct view after, size_t limit, store_quarantined_fn fn,
                                 void *ctx, struct err *err)
{
    (void)s;
    return copies_from.reader->ops->quarantine_scan(copies_from.reader, after, limit, fn, ctx, err);
}

static const struct store_ops busy_ops = {
    .head = busy_head,
    .get = busy_get,
    .scan = busy_scan,
    .read_log = busy_read_log,
    .tenants = busy_tenants,
    .channels = busy_channels,
    .quarantine_scan = busy_quarantine_scan,
};

struct store *copies_busy_store(int writes, int trims_at, int reads_left)
{
    busy = (struct busy){
        .base.ops = &busy_ops, .writes = writes, .trims_at = trims_at, .reads_left = reads_left};
    return &busy.base;
}

int copies_writes_left(void)
{
    return busy.writes;
}

/* --- what there is ---------------------------------------------------------------------------------------
 */

/* Documents as one text each, by kind and key. */
static void remember(struct map *docs, const struct change *c)
{
    char key[KEY_BYTES];
    struct buf text;
    if (restore_mark_is(c))
        return;
    snprintf(key, sizeof key, "%d %.*s", (int)c->kind, VIEW_ARG(c->key));
    buf_init(&text, DOC_MAX);
    changes_write(c, 1, &text);
    free(map_put(docs, view_of(key), xstrdup(text.data)));
    buf_free(&text);
}

void copies_forget(struct map *docs)
{
    void *value;
    for (size_t at = 0; map_next(docs, &at, NULL, &value);)
        free(value);
    map_free(docs);
}

struct applying {
    struct map docs;
    uint64_t upto;
};

static bool on_entry(void *ctx, const struct log_entry *entry)
{
    struct applying *a = ctx;
    struct change *changes;
    size_t count;
    if (entry->n > a->upto)
        return false;
    ck_assert(changes_read(entry->changes, &changes, &count, NULL));
    for (size_t i = 0; i < count; i++)
        remember(&a->docs, &changes[i]);
    changes_free(changes, count);
    return true;
}

static bool on_document(void *ctx, const struct change *change)
{
    remember(ctx, change);
    return true;
}

void copies_read(struct store *s, const char *tenant_id, struct map *docs)
{
    map_init(docs);
    for (int kind = 0; kind < DOC_KIND_COUNT; kind++)
        ck_assert(s->ops->scan(s, tenant_id, (enum doc_kind)kind, VIEW(""), 100000, on_document, docs, NULL));
}

static void check_equal(const struct map *a, const struct map *b)
{
    struct view key;
    void *value;
    ck_assert_uint_eq(a->count, b->count);
    for (size_t at = 0; map_next(a, &at, &key, &value);) {
        const char *other = map_get(b, key);
        ck_assert_msg(other != NULL, "%.*s is missing", VIEW_ARG(key));
        ck_assert_str_eq(value, other);
    }
}

/* The log from nothing up to the position is what was restored. */
void copies_check_restored(const char *tenant_id, const struct head *at)
{
    struct applying log = {.upto = at->n};
    struct map docs;
    struct head head;
    map_init(&log.docs);
    ck_assert(copies_from.reader->ops->read_log(copies_from.reader, tenant_id, LOG_BY_ENTRY, 0, true,
                                                on_entry, &log, NULL));
    copies_read(copies_to.reader, tenant_id, &docs);
    check_equal(&log.docs, &docs);
    ck_assert(copies_to.reader->ops->head(copies_to.reader, tenant_id, &head, NULL));
    ck_assert_str_ne(head.epoch, at->epoch);
    ck_assert_uint_eq(head.seq, at->seq);
    ck_assert_uint_gt(head.n, at->n);
    ck_assert_uint_gt(head.figures_rev, at->figures_rev);
    ck_assert_uint_lt(head.figures_published, head.figures_rev); /* still to be announced */
    copies_forget(&log.docs);
    copies_forget(&docs);
}

/* --- copying and restoring -------------------------------------------------------------------------------
 */

static void on_tenant_done(void *ctx, const char *tenant_id, const struct head *at, uint64_t documents)
{
    struct copied *c = ctx;
    (void)documents;
    ck_assert_uint_lt(c->count, countof(c->tenants));
    snprintf(c->tenants[c->count], sizeof c->tenants[0], "%s", tenant_id);
    c->heads[c->count++] = *at;
}

bool copies_copy(struct store *s, struct copied *out, struct err *err)
{
    *out = (struct copied){.file = tmpfile()};
    struct copy_hooks hooks = {.ctx = out, .tenant_done = on_tenant_done};
    static int64_t now = 1789200000000; /* no two files are the same */
    struct backup_writer *writer = backup_writer_create(out->file, now++);
    bool ok = copy_store(s, writer, &hooks, err) && backup_finish(writer, err);
    backup_writer_destroy(writer);
    return ok;
}

bool copies_bring(FILE *file, struct store *s, struct err *err)
{
    struct backup_contents contents;
    if (!backup_contents_read(file, &contents, err))
        return false;
    struct restore r = {.store = s, .in = file, .contents = &contents};
    bool ok = restore_check(&r, err) && restore_run(&r, err);
    backup_contents_free(&contents);
    return ok;
}
