#include "state-manager/store/mongo_settle.h"
#include "shared/mem.h"
#include "state-manager/store/changes.h"
#include "state-manager/store/mongo_docs.h"
#include "state-manager/store/mongo_log.h"
#include "state-manager/store/mongo_tenants.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FRESH_MAX = 1000, WRITER_WAIT_MS = 60, SETTLED_MAX = 64 };

bool mongo_settle(struct mongo_link *l, struct entry *const *entries, size_t count, struct err *err)
{
    return mongo_put_docs(l, entries, count, err) && mongo_tenants_advance(l, entries, count, err);
}

/* --- what a killed writer left ---------------------------------------------------------------------------
 */

static bool settle_row(struct mongo_link *l, const char *tenant_id, const bson_t *row, struct err *err)
{
    struct change *changes;
    struct entry e = {.tenant_id = tenant_id,
                      .n = mongo_count(row, "n"),
                      .last_seq = mongo_count(row, "last_seq"),
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

bool mongo_settle_missing(struct mongo_link *l, const char *tenant_id, uint64_t applied, uint64_t last,
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

/* --- what is no longer fresh -----------------------------------------------------------------------------
 */

/* An entry is settled only after all before it: so a tenant's may be named from the first to the last. */
static void add_to_spans(struct mongo_span *spans, size_t *count, const char *tenant_id, uint64_t n)
{
    struct mongo_span *s = spans;
    while (s < spans + *count && strcmp(s->tenant_id, tenant_id) != 0)
        s++;
    if (s == spans + *count) {
        memcpy(s->tenant_id, tenant_id, strlen(tenant_id) + 1);
        s->first = s->last = n;
        (*count)++;
    }
    if (n < s->first)
        s->first = n;
    if (n > s->last)
        s->last = n;
}

static bool end_fresh(struct mongo_link *l, const struct mongo_span *spans, size_t count, struct err *err)
{
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_LOG, &l->light);
    bson_t *update = BCON_NEW("$set", "{", "fresh", BCON_INT64(0), "}");
    for (size_t i = 0; i < count; i++) {
        bson_t *selector =
            BCON_NEW("tenant", BCON_UTF8(spans[i].tenant_id), "n", "{", "$gte",
                     BCON_INT64((int64_t)spans[i].first), "$lte", BCON_INT64((int64_t)spans[i].last), "}");
        mongo_bulk_add_many(bulk, selector, update);
        bson_destroy(selector);
    }
    bson_destroy(update);
    return mongo_bulk_end(l, bulk, count, "settle the log", NULL, err);
}

void mongo_settled_flush(struct mongo_store *s)
{
    if (s->link.ready)
        end_fresh(&s->link, s->settled, s->settled_spans,
                  NULL); /* else whoever looks at what is fresh does */
    s->settled_spans = s->settled_entries = 0;
}

void mongo_settled_add(struct mongo_store *s, const struct entry *e)
{
    add_to_spans(s->settled, &s->settled_spans, e->tenant_id, e->n);
    if (++s->settled_entries >= SETTLED_MAX || s->settled_spans == MONGO_SPANS_MAX)
        mongo_settled_flush(s);
}

/* --- looking for what is fresh ---------------------------------------------------------------------------
 */

/* An entry that the log calls fresh. */
struct fresh_entry {
    char tenant_id[TENANT_ID_MAX + 1];
    uint64_t n;
};

/* Entries that the log calls fresh and, by tenant, how far the documents are. */
struct fresh {
    struct fresh_entry list[FRESH_MAX];
    size_t count;
    struct map applied; /* tenant id -> uint64_t */
};

static bool find_fresh(struct mongo_link *l, struct fresh *f, struct err *err)
{
    const bson_t *row;
    bson_t *filter = BCON_NEW("fresh", BCON_INT64(1));
    struct mongo_query query = {.fields = "{\"tenant\":1,\"n\":1}", .limit = FRESH_MAX, .majority = true};
    mongoc_cursor_t *rows = mongo_find(l, PLACE_LOG, filter, &query);
    while (f->count < FRESH_MAX && mongoc_cursor_next(rows, &row)) {
        struct fresh_entry *e = &f->list[f->count++];
        mongo_copy(row, "tenant", e->tenant_id, sizeof e->tenant_id);
        e->n = mongo_count(row, "n");
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "look for what is not settled", err);
}

static bool is_applied(const struct fresh *f, const struct fresh_entry *e)
{
    const uint64_t *applied = map_get(&f->applied, view_of(e->tenant_id));
    return applied && *applied >= e->n;
}

static void learn_applied(struct fresh *f, struct view tenant_id, uint64_t applied)
{
    uint64_t *known = xcalloc(1, sizeof *known);
    *known = applied;
    free(map_put(&f->applied, tenant_id, known));
}

/* How far the tenants of the list are; *behind: one of its entries is not applied. */
static bool find_applied(struct mongo_link *l, struct fresh *f, bool *behind, struct err *err)
{
    struct mongo_ids ids;
    const bson_t *row;
    mongo_ids_begin(&ids);
    for (size_t i = 0; i < f->count; i++)
        if (!map_get(&f->applied, view_of(f->list[i].tenant_id))) {
            learn_applied(f, view_of(f->list[i].tenant_id), 0);
            mongo_ids_add(&ids, view_of(f->list[i].tenant_id));
        }
    bson_t *filter = mongo_ids_end(&ids);
    struct mongo_query query = {.fields = "{\"applied\":1}", .limit = ids.count, .majority = true};
    mongoc_cursor_t *rows = mongo_find(l, PLACE_TENANTS, filter, &query);
    while (mongoc_cursor_next(rows, &row))
        learn_applied(f, mongo_text(row, "_id"), mongo_count(row, "applied"));
    bson_destroy(filter);
    *behind = false;
    for (size_t i = 0; i < f->count; i++)
        *behind |= !is_applied(f, &f->list[i]);
    return mongo_rows_end(l, rows, "look how far tenants are", err);
}

static void forget_applied(struct fresh *f)
{
    void *value;
    for (size_t at = 0; map_next(&f->applied, &at, NULL, &value);)
        free(value);
    map_free(&f->applied);
}

/* The documents of whatever is behind. */
static bool catch_up(struct mongo_link *l, struct fresh *f, struct err *err)
{
    for (size_t i = 0; i < f->count; i++) {
        const char *tenant_id = f->list[i].tenant_id;
        struct head last, head;
        if (is_applied(f, &f->list[i]))
            continue;
        if (!mongo_log_last(l, tenant_id, &last, err) || !mongo_log_head(l, tenant_id, &last, 0, &head, err))
            return false;
        learn_applied(f, view_of(tenant_id), head.n);
    }
    return true;
}

/* Of those that are applied. */
static bool end_applied(struct mongo_link *l, const struct fresh *f, struct err *err)
{
    struct mongo_span *spans = xcalloc(FRESH_MAX, sizeof *spans);
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++)
        if (is_applied(f, &f->list[i]))
            add_to_spans(spans, &count, f->list[i].tenant_id, f->list[i].n);
    bool ok = end_fresh(l, spans, count, err);
    free(spans);
    return ok;
}

bool mongo_settle_fresh(struct mongo_link *l, struct err *err)
{
    struct fresh *f = xcalloc(1, sizeof *f);
    bool behind = false;
    map_init(&f->applied);
    bool ok = find_fresh(l, f, err) && (!f->count || find_applied(l, f, &behind, err));
    if (ok && behind) {
        nanosleep(&(struct timespec){.tv_nsec = WRITER_WAIT_MS * 1000000L}, NULL);
        forget_applied(f);
        ok = find_applied(l, f, &behind, err) && catch_up(l, f, err);
    }
    ok = ok && end_applied(l, f, err);
    forget_applied(f);
    free(f);
    return ok;
}
