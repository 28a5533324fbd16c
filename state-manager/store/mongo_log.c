#include "state-manager/store/mongo_log.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/store/changes.h"
#include "state-manager/store/mongo_settle.h"
#include <stdlib.h>
#include <string.h>

enum { FRESH_MAX = 1000, ENTRY_STORED_MAX = 15 << 20 /* a document has 16 MB at most */ };

static uint64_t number(const bson_t *doc, const char *field)
{
    return (uint64_t)mongo_number(doc, field);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void read_tenant(const bson_t *row, struct head *out)
{
    mongo_copy(row, "epoch", out->epoch, sizeof out->epoch);
    out->n = number(row, "head");
    out->seq = number(row, "seq");
    out->published = number(row, "published");
    out->figures_rev = number(row, "figures_rev");
    out->figures_published = number(row, "figures_published");
}

/* The tenant's document; a head of zeros when there is none. */
static bool find_tenant(struct mongo_link *l, const char *tenant_id, struct head *out, uint64_t *applied,
                        struct err *err)
{
    const bson_t *row;
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(tenant_id));
    mongoc_cursor_t *rows = mongo_find(l, PLACE_TENANTS, filter, &(struct mongo_query){.limit = 1});
    *out = (struct head){0};
    *applied = 0;
    if (mongoc_cursor_next(rows, &row)) {
        read_tenant(row, out);
        *applied = number(row, "applied");
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read a head", err);
}

/* The newest entry that no election can take back. What follows from it may be written and believed. */
static bool find_last(struct mongo_link *l, const char *tenant_id, struct head *out, struct err *err)
{
    const bson_t *row;
    bson_t *filter = BCON_NEW("tenant", BCON_UTF8(tenant_id));
    struct mongo_query query = {
        .sort = "{\"n\":-1}", .fields = "{\"changes\":0,\"events\":0}", .limit = 1, .majority = true};
    mongoc_cursor_t *rows = mongo_find(l, PLACE_LOG, filter, &query);
    *out = (struct head){0};
    if (mongoc_cursor_next(rows, &row)) {
        mongo_copy(row, "epoch", out->epoch, sizeof out->epoch);
        out->n = number(row, "n");
        out->seq = number(row, "last_seq");
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read the end of the log", err);
}

bool mongo_log_begin_tenant(struct mongo_link *l, const char *tenant_id, const char *epoch, bool *epoch_holds,
                            struct err *err)
{
    struct head stored;
    uint64_t applied;
    bson_t *selector = BCON_NEW("_id", BCON_UTF8(tenant_id));
    bson_t *update =
        BCON_NEW("$setOnInsert", "{", "epoch", BCON_UTF8(epoch), "head", BCON_INT64(0), "seq", BCON_INT64(0),
                 "applied", BCON_INT64(0), "published", BCON_INT64(0), "figures_rev", BCON_INT64(0),
                 "figures_published", BCON_INT64(0), "dirty", BCON_INT64(0), "}");
    bool ok = mongo_update(l, PLACE_TENANTS, selector, update, true, "make a tenant", err) &&
              find_tenant(l, tenant_id, &stored, &applied, err);
    bson_destroy(selector);
    bson_destroy(update);
    *epoch_holds = ok && !strcmp(stored.epoch, epoch);
    return ok;
}

/* --- what a killed writer left --------------------------------------------------------------------------
 */

static bool settle_row(struct mongo_link *l, const char *tenant_id, const bson_t *row, struct err *err)
{
    struct change *changes;
    struct entry e = {.tenant_id = tenant_id,
                      .n = number(row, "n"),
                      .last_seq = number(row, "last_seq"),
                      .figures_changed = mongo_number(row, "figures_changed") != 0,
                      .result = COMMIT_DONE};
    struct entry *one = &e;
    if (!changes_read(mongo_text(row, "changes"), &changes, &e.change_count, err))
        return false;
    e.changes = changes;
    bool ok = mongo_settle(l, &one, 1, err);
    changes_free(changes, e.change_count);
    return ok;
}

/* Entries after `applied` up to `last`, in order. */
static bool settle_missing(struct mongo_link *l, const char *tenant_id, uint64_t applied, uint64_t last,
                           struct err *err)
{
    const bson_t *row;
    bool ok = true;
    bson_t *filter = BCON_NEW("tenant", BCON_UTF8(tenant_id), "n", "{", "$gt", BCON_INT64((int64_t)applied),
                              "$lte", BCON_INT64((int64_t)last), "}");
    mongoc_cursor_t *rows =
        mongo_find(l, PLACE_LOG, filter, &(struct mongo_query){.sort = "{\"n\":1}", .majority = true});
    while (ok && mongoc_cursor_next(rows, &row))
        ok = settle_row(l, tenant_id, row, err);
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read what is not applied", ok ? err : NULL) && ok;
}

bool mongo_log_head(struct mongo_link *l, const char *tenant_id, struct head *out, struct err *err)
{
    struct head last;
    uint64_t applied;
    bool holds;
    if (!find_last(l, tenant_id, &last, err) || !find_tenant(l, tenant_id, out, &applied, err))
        return false;
    if (last.n && !*out->epoch) { /* an election took the tenant's document back, or somebody removed it */
        if (!mongo_log_begin_tenant(l, tenant_id, last.epoch, &holds, err))
            return false;
        memcpy(out->epoch, last.epoch, sizeof out->epoch);
    }
    if (last.n > applied && (!settle_missing(l, tenant_id, applied, last.n, err) ||
                             !find_tenant(l, tenant_id, out, &applied, err)))
        return false;
    out->n = larger(out->n, last.n);
    out->seq = larger(out->seq, last.seq);
    return true;
}

/* --- committing ------------------------------------------------------------------------------------------
 */

static bson_t *write_entry(const struct entry *e, struct buf *changes)
{
    bson_t *doc = bson_new();
    buf_clear(changes);
    changes_write(e->changes, e->change_count, changes);
    BSON_APPEND_UTF8(doc, "tenant", e->tenant_id);
    mongo_put_number(doc, "n", e->n);
    BSON_APPEND_UTF8(doc, "epoch", e->epoch);
    mongo_put_number(doc, "first_seq", e->first_seq);
    mongo_put_number(doc, "last_seq", e->last_seq);
    BSON_APPEND_INT64(doc, "at", e->at_wall_ms);
    mongo_put_number(doc, "figures_changed", e->figures_changed);
    mongo_put_number(doc, "fresh", 1);
    mongo_put_view(doc, "changes", buf_view(changes));
    mongo_put_view(doc, "events", e->events);
    return doc;
}

/* The entries as documents; false: one is too large. */
static bool write_entries(struct entry **entries, size_t count, bson_t **docs, struct err *err)
{
    struct buf changes;
    bool ok = true;
    buf_init(&changes, ENTRY_STORED_MAX);
    for (size_t i = 0; i < count; i++) {
        docs[i] = write_entry(entries[i], &changes);
        ok = ok && !changes.overflow && docs[i]->len <= ENTRY_STORED_MAX;
    }
    buf_free(&changes);
    return ok || err_set(err, ERR_INTERNAL, "an entry over %d bytes", ENTRY_STORED_MAX);
}

bool mongo_log_insert(struct mongo_link *l, struct entry **entries, size_t count, struct err *err)
{
    bson_t **docs = xcalloc(count, sizeof(bson_t *));
    struct mongo_outcome out = {.twins = xcalloc(count, 1)};
    struct err later;
    bool ok = write_entries(entries, count, docs, err) &&
              mongo_insert(l, PLACE_LOG, docs, count, "write the log", &out, err);
    for (size_t i = 0; i < count; i++) {
        if (out.twins[i])
            entries[i]->result = COMMIT_CONFLICT;
        else if (ok)
            entries[i]->result = COMMIT_DONE;
        bson_destroy(docs[i]);
    }
    free(out.twins);
    free(docs);
    /* Committed is committed: who asks for a head next writes what is missing. */
    if (ok && !mongo_settle(l, entries, count, &later))
        log_warn("store_behind", "code=%s text=\"%s\"", err_code_name(later.code), later.text);
    return ok;
}

bool mongo_log_read(struct mongo_link *l, const char *tenant_id, enum log_position by, uint64_t after,
                    bool with_changes, store_log_fn fn, void *ctx, struct err *err)
{
    bool by_seq = by == LOG_BY_SEQ, stopped = false;
    const bson_t *row;
    struct mongo_query query = {.sort = by_seq ? "{\"last_seq\":1,\"n\":1}" : "{\"n\":1}",
                                .fields = with_changes ? NULL : "{\"changes\":0}",
                                .majority = true};
    bson_t *filter = BCON_NEW("tenant", BCON_UTF8(tenant_id), by_seq ? "last_seq" : "n", "{", "$gt",
                              BCON_INT64((int64_t)after), "}");
    mongoc_cursor_t *rows = mongo_find(l, PLACE_LOG, filter, &query);
    while (!stopped && mongoc_cursor_next(rows, &row)) {
        struct log_entry entry = {.n = number(row, "n"),
                                  .first_seq = number(row, "first_seq"),
                                  .last_seq = number(row, "last_seq"),
                                  .events = mongo_text(row, "events"),
                                  .changes = mongo_text(row, "changes")};
        stopped = !fn(ctx, &entry);
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read the log", err);
}

/* --- what is not published ------------------------------------------------------------------------------
 */

struct fresh {
    char tenant_id[TENANT_ID_MAX + 1];
    uint64_t n;
};

static bool find_fresh(struct mongo_link *l, struct fresh *list, size_t *count, struct err *err)
{
    const bson_t *row;
    bson_t *filter = BCON_NEW("fresh", BCON_INT64(1));
    struct mongo_query query = {.fields = "{\"tenant\":1,\"n\":1}", .limit = FRESH_MAX};
    mongoc_cursor_t *rows = mongo_find(l, PLACE_LOG, filter, &query);
    while (*count < FRESH_MAX && mongoc_cursor_next(rows, &row)) {
        struct fresh *f = &list[(*count)++];
        mongo_copy(row, "tenant", f->tenant_id, sizeof f->tenant_id);
        f->n = number(row, "n");
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "look for what is not settled", err);
}

/* Settles what is fresh: either its writer is about to, which does no harm, or it has died. */
static bool settle_fresh(struct mongo_link *l, struct err *err)
{
    struct fresh *list = xcalloc(FRESH_MAX, sizeof *list);
    size_t count = 0, ended = 0;
    bool ok = find_fresh(l, list, &count, err);
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_LOG, &l->light);
    bson_t *update = BCON_NEW("$set", "{", "fresh", BCON_INT64(0), "}");
    for (size_t i = 0; ok && i < count; i++) {
        struct head head;
        ok = mongo_log_head(l, list[i].tenant_id, &head, err);
        if (!ok || list[i].n > head.n)
            continue;
        bson_t *selector =
            BCON_NEW("tenant", BCON_UTF8(list[i].tenant_id), "n", BCON_INT64((int64_t)list[i].n));
        mongo_bulk_add(bulk, selector, update, false);
        bson_destroy(selector);
        ended++;
    }
    ok = mongo_bulk_end(l, bulk, ok ? ended : 0, "settle the log", NULL, ok ? err : NULL) && ok;
    bson_destroy(update);
    free(list);
    return ok;
}

/* A tenant that has caught up is no longer dirty, unless something was written since it was read. */
static void tidy_tenant(mongoc_bulk_operation_t *bulk, const char *tenant_id, const struct head *head)
{
    bson_t *selector = BCON_NEW("_id", BCON_UTF8(tenant_id), "head", BCON_INT64((int64_t)head->n),
                                "figures_rev", BCON_INT64((int64_t)head->figures_rev));
    bson_t *update = BCON_NEW("$set", "{", "dirty", BCON_INT64(0), "}");
    mongo_bulk_add(bulk, selector, update, false);
    bson_destroy(selector);
    bson_destroy(update);
}

bool mongo_log_unpublished(struct mongo_link *l, store_tenant_fn fn, void *ctx, struct err *err)
{
    const bson_t *row;
    size_t tidied = 0;
    bool stopped = false;
    if (!settle_fresh(l, err))
        return false;
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_TENANTS, &l->light);
    bson_t *filter = BCON_NEW("dirty", BCON_INT64(1));
    mongoc_cursor_t *rows = mongo_find(l, PLACE_TENANTS, filter, &(struct mongo_query){0});
    while (!stopped && mongoc_cursor_next(rows, &row)) {
        char tenant_id[TENANT_ID_MAX + 1];
        struct head head;
        mongo_copy(row, "_id", tenant_id, sizeof tenant_id);
        read_tenant(row, &head);
        if (head.published < head.n || head.figures_published < head.figures_rev) {
            stopped = !fn(ctx, tenant_id, &head);
        } else {
            tidy_tenant(bulk, tenant_id, &head);
            tidied++;
        }
    }
    bson_destroy(filter);
    bool ok = mongo_rows_end(l, rows, "look for what is unpublished", err);
    return mongo_bulk_end(l, bulk, ok ? tidied : 0, "tidy tenants", NULL, ok ? err : NULL) && ok;
}

bool mongo_log_mark(struct mongo_link *l, const struct mark *marks, size_t count, struct err *err)
{
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_TENANTS, &l->light);
    for (size_t i = 0; i < count; i++) {
        bson_t *selector = BCON_NEW("_id", BCON_UTF8(marks[i].tenant_id));
        bson_t *update = BCON_NEW("$max", "{", "published", BCON_INT64((int64_t)marks[i].published),
                                  "figures_published", BCON_INT64((int64_t)marks[i].figures_published), "}");
        mongo_bulk_add(bulk, selector, update, false);
        bson_destroy(selector);
        bson_destroy(update);
    }
    return mongo_bulk_end(l, bulk, count, "mark as published", NULL, err);
}
