#include "state-manager/store/mongo_tenants.h"
#include "state-manager/store/mongo_log.h"
#include "state-manager/store/mongo_settle.h"
#include <string.h>

enum { TRIM_MAX = 10000 };

static void read_tenant(const bson_t *row, struct head *out)
{
    mongo_copy(row, "epoch", out->epoch, sizeof out->epoch);
    out->n = mongo_count(row, "head");
    out->seq = mongo_count(row, "seq");
    out->published = mongo_count(row, "published");
    out->figures_rev = mongo_count(row, "figures_rev");
    out->figures_published = mongo_count(row, "figures_published");
}

bool mongo_tenant_find(struct mongo_link *l, const char *tenant_id, struct head *out, uint64_t *applied,
                       struct err *err)
{
    const bson_t *row;
    bson_t *filter = mongo_by_id(view_of(tenant_id));
    mongoc_cursor_t *rows = mongo_find(l, PLACE_TENANTS, filter, &(struct mongo_query){.limit = 1});
    *out = (struct head){0};
    *applied = 0;
    if (mongoc_cursor_next(rows, &row)) {
        read_tenant(row, out);
        *applied = mongo_count(row, "applied");
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read a head", err);
}

/* A new tenant behind a position; *made is false when it has a document already. */
static bool make_tenant(struct mongo_link *l, const char *tenant_id, const struct head *at, bool *made,
                        struct err *err)
{
    bson_t *selector = mongo_by_id(view_of(tenant_id)), update = BSON_INITIALIZER, part;
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$setOnInsert", &part);
    BSON_APPEND_UTF8(&part, "epoch", at->epoch);
    mongo_put_number(&part, "head", at->n);
    mongo_put_number(&part, "seq", at->seq);
    mongo_put_number(&part, "applied", at->n);
    mongo_put_number(&part, "published", at->n);
    mongo_put_number(&part, "figures_rev", at->figures_rev);
    mongo_put_number(&part, "figures_published", at->figures_rev);
    mongo_put_number(&part, "dirty", 0);
    bson_append_document_end(&update, &part);
    bool ok = mongo_upsert(l, PLACE_TENANTS, selector, &update, "make a tenant", made, err);
    bson_destroy(selector);
    bson_destroy(&update);
    return ok;
}

bool mongo_tenant_begin(struct mongo_link *l, const char *tenant_id, const char *epoch, bool *epoch_holds,
                        struct err *err)
{
    struct head at = {0}, stored;
    uint64_t applied;
    *epoch_holds = false;
    memcpy(at.epoch, epoch, strlen(epoch) + 1);
    if (!make_tenant(l, tenant_id, &at, epoch_holds, err))
        return false;
    if (*epoch_holds)
        return true;
    bool ok = mongo_tenant_find(l, tenant_id, &stored, &applied, err);
    *epoch_holds = ok && !strcmp(stored.epoch, epoch);
    return ok;
}

bool mongo_tenants_advance(struct mongo_link *l, struct entry *const *entries, size_t count, struct err *err)
{
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_TENANTS, &l->durable);
    struct mongo_outcome out = {0};
    size_t tenants = 0;
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = entries[i];
        if (e->result != COMMIT_DONE)
            continue;
        int64_t n = (int64_t)e->n, seq = (int64_t)e->last_seq, rev = e->figures_changed ? n : 0;
        bson_t *selector = mongo_by_id(view_of(e->tenant_id));
        bson_t *update =
            BCON_NEW("$max", "{", "head", BCON_INT64(n), "seq", BCON_INT64(seq), "applied", BCON_INT64(n),
                     "figures_rev", BCON_INT64(rev), "}", "$set", "{", "dirty", BCON_INT64(1), "}");
        mongo_bulk_add(bulk, selector, update, false);
        bson_destroy(selector);
        bson_destroy(update);
        tenants++;
    }
    return mongo_bulk_end(l, bulk, tenants, "write heads", &out, err);
}

/* --- walks and marks -------------------------------------------------------------------------------------
 */

bool mongo_tenants(struct store *s, struct view after, size_t limit, store_tenant_fn fn, void *ctx,
                   struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    const bson_t *row;
    bool more = limit > 0;
    if (!mongo_link_ready(l, err) || !mongo_settle_fresh(l, err))
        return false;
    bson_t *filter = mongo_behind_id(after), *begun = BCON_NEW("head", "{", "$gt", BCON_INT64(0), "}");
    bson_concat(filter, begun);
    mongoc_cursor_t *rows =
        mongo_find(l, PLACE_TENANTS, filter, &(struct mongo_query){.sort = "{\"_id\":1}", .limit = limit});
    while (more && mongoc_cursor_next(rows, &row)) {
        char tenant_id[TENANT_ID_MAX + 1];
        struct head head;
        mongo_copy(row, "_id", tenant_id, sizeof tenant_id);
        read_tenant(row, &head);
        more = fn(ctx, tenant_id, &head);
    }
    bson_destroy(filter);
    bson_destroy(begun);
    return mongo_rows_end(l, rows, "walk tenants", err);
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

bool mongo_unpublished(struct store *s, store_tenant_fn fn, void *ctx, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    const bson_t *row;
    size_t tidied = 0;
    bool more = true;
    if (!mongo_link_ready(l, err) || !mongo_settle_fresh(l, err))
        return false;
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_TENANTS, &l->light);
    bson_t *filter = BCON_NEW("dirty", BCON_INT64(1));
    mongoc_cursor_t *rows = mongo_find(l, PLACE_TENANTS, filter, &(struct mongo_query){0});
    while (more && mongoc_cursor_next(rows, &row)) {
        char tenant_id[TENANT_ID_MAX + 1];
        struct head head;
        mongo_copy(row, "_id", tenant_id, sizeof tenant_id);
        read_tenant(row, &head);
        if (head.published < head.n || head.figures_published < head.figures_rev) {
            more = fn(ctx, tenant_id, &head);
        } else {
            tidy_tenant(bulk, tenant_id, &head);
            tidied++;
        }
    }
    bson_destroy(filter);
    bool ok = mongo_rows_end(l, rows, "look for what is unpublished", err);
    return mongo_bulk_end(l, bulk, ok ? tidied : 0, "tidy tenants", NULL, ok ? err : NULL) && ok;
}

bool mongo_mark(struct store *s, const struct mark *marks, size_t count, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    if (!mongo_link_writing(l, err))
        return false;
    mongo_settled_flush(mongo_store_of(s));
    if (!count)
        return mongo_link_probe(l, err);
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_TENANTS, &l->light);
    for (size_t i = 0; i < count; i++) {
        bson_t *selector = mongo_by_id(view_of(marks[i].tenant_id));
        bson_t *update = BCON_NEW("$max", "{", "published", BCON_INT64((int64_t)marks[i].published),
                                  "figures_published", BCON_INT64((int64_t)marks[i].figures_published), "}");
        mongo_bulk_add(bulk, selector, update, false);
        bson_destroy(selector);
        bson_destroy(update);
    }
    return mongo_bulk_end(l, bulk, count, "mark as published", NULL, err);
}

/* --- retention and copies --------------------------------------------------------------------------------
 */

/* The last of the oldest entries that may go, 0: none; `end` and above stay. They are looked at in order, as
 * they were written. */
static bool find_cut(struct mongo_link *l, const struct trim *trim, uint64_t end, uint64_t *cut,
                     struct err *err)
{
    struct mongo_query query = {.sort = "{\"n\":1}",
                                .fields = "{\"n\":1,\"at\":1,\"last_seq\":1}",
                                .limit = trim->limit < TRIM_MAX ? trim->limit : TRIM_MAX};
    const bson_t *row;
    bool old = true;
    bson_t *filter =
        BCON_NEW("tenant", BCON_UTF8(trim->tenant_id), "n", "{", "$lt", BCON_INT64((int64_t)end), "}");
    mongoc_cursor_t *rows = mongo_find(l, PLACE_LOG, filter, &query);
    *cut = 0;
    while (old && mongoc_cursor_next(rows, &row)) {
        old =
            mongo_number(row, "at") < trim->before_wall_ms || mongo_count(row, "last_seq") < trim->before_seq;
        if (old)
            *cut = mongo_count(row, "n");
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "look for old entries", err);
}

bool mongo_trim_log(struct store *s, const struct trim *trim, size_t *removed, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct head stored, last;
    uint64_t applied, end, cut;
    *removed = 0;
    if (!mongo_link_writing(l, err) || !mongo_log_last(l, trim->tenant_id, &last, err) ||
        !mongo_tenant_find(l, trim->tenant_id, &stored, &applied, err))
        return false;
    end = last.n;
    if (end > stored.published + 1)
        end = stored.published + 1;
    if (end > applied + 1)
        end = applied + 1;
    if (!trim->limit || !end)
        return true;
    if (!find_cut(l, trim, end, &cut, err))
        return false;
    if (!cut)
        return true;
    bson_t *old =
        BCON_NEW("tenant", BCON_UTF8(trim->tenant_id), "n", "{", "$lte", BCON_INT64((int64_t)cut), "}");
    bool ok = mongo_delete(l, PLACE_LOG, old, false, "drop old entries", removed, err);
    bson_destroy(old);
    return ok;
}

bool mongo_adopt(struct store *s, const char *tenant_id, const struct head *at, bool *taken, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct head last;
    *taken = false;
    if (!mongo_link_writing(l, err) || !mongo_log_last(l, tenant_id, &last, err))
        return false;
    return last.n || make_tenant(l, tenant_id, at, taken, err);
}
