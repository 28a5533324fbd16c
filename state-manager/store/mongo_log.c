#include "state-manager/store/mongo_log.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/store/changes.h"
#include "state-manager/store/mongo_settle.h"
#include "state-manager/store/mongo_tenants.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ENTRY_STORED_MAX = 15 << 20 /* a document has 16 MB at most */, FIRST_LOOK_MS = 4 };

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool mongo_log_last(struct mongo_link *l, const char *tenant_id, struct head *out, struct err *err)
{
    const bson_t *row;
    bson_t *filter = BCON_NEW("tenant", BCON_UTF8(tenant_id));
    struct mongo_query query = {
        .sort = "{\"n\":-1}", .fields = "{\"changes\":0,\"events\":0}", .limit = 1, .majority = true};
    mongoc_cursor_t *rows = mongo_find(l, PLACE_LOG, filter, &query);
    *out = (struct head){0};
    if (mongoc_cursor_next(rows, &row)) {
        mongo_copy(row, "epoch", out->epoch, sizeof out->epoch);
        out->n = mongo_count(row, "n");
        out->seq = mongo_count(row, "last_seq");
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read the end of the log", err);
}

/* The writer of an entry that is not settled is most likely about to: then it is cheaper to wait. */
static bool await_writer(struct mongo_link *l, const char *tenant_id, uint64_t last, int wait_ms,
                         struct head *out, uint64_t *applied, struct err *err)
{
    bool ok = true;
    for (int ms = FIRST_LOOK_MS; ok && last > *applied && wait_ms > 0; ms *= 2) {
        nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
        wait_ms -= ms;
        ok = mongo_tenant_find(l, tenant_id, out, applied, err);
    }
    return ok;
}

bool mongo_log_head(struct mongo_link *l, const char *tenant_id, const struct head *last, int wait_ms,
                    struct head *out, struct err *err)
{
    uint64_t applied;
    bool holds;
    if (!mongo_tenant_find(l, tenant_id, out, &applied, err))
        return false;
    if (last->n && !*out->epoch) { /* an election took the tenant's document back, or somebody removed it */
        if (!mongo_tenant_begin(l, tenant_id, last->epoch, &holds, err))
            return false;
        memcpy(out->epoch, last->epoch, sizeof out->epoch);
    }
    if (!await_writer(l, tenant_id, last->n, wait_ms, out, &applied, err))
        return false;
    if (last->n > applied && (!mongo_settle_missing(l, tenant_id, applied, last->n, err) ||
                              !mongo_tenant_find(l, tenant_id, out, &applied, err)))
        return false;
    out->n = larger(out->n, last->n);
    out->seq = larger(out->seq, last->seq);
    return true;
}

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
    return ok;
}

bool mongo_read_log(struct store *s, const char *tenant_id, enum log_position by, uint64_t after,
                    bool with_changes, store_log_fn fn, void *ctx, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    bool by_seq = by == LOG_BY_SEQ, more = true;
    const bson_t *row;
    struct mongo_query query = {.sort = by_seq ? "{\"last_seq\":1,\"n\":1}" : "{\"n\":1}",
                                .fields = with_changes ? NULL : "{\"changes\":0}",
                                .majority = true};
    if (!mongo_link_ready(l, err))
        return false;
    bson_t *filter = BCON_NEW("tenant", BCON_UTF8(tenant_id), by_seq ? "last_seq" : "n", "{", "$gt",
                              BCON_INT64((int64_t)after), "}");
    mongoc_cursor_t *rows = mongo_find(l, PLACE_LOG, filter, &query);
    while (more && mongoc_cursor_next(rows, &row)) {
        struct log_entry entry = {.n = mongo_count(row, "n"),
                                  .first_seq = mongo_count(row, "first_seq"),
                                  .last_seq = mongo_count(row, "last_seq"),
                                  .events = mongo_text(row, "events"),
                                  .changes = mongo_text(row, "changes")};
        more = fn(ctx, &entry);
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read the log", err);
}
