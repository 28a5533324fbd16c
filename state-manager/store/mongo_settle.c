#include "state-manager/store/mongo_settle.h"

static bool is_due(const struct entry *e)
{
    return e->result == COMMIT_DONE;
}

/* The documents of one kind. The guard keeps a late writer from putting back what is newer: then there is
 * nothing to update, and the insert meets the unique index. */
static bool put_docs(struct mongo_link *l, enum doc_kind kind, struct entry *const *entries, size_t count,
                     bool upsert, size_t *duplicates, struct err *err)
{
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, (int)kind, &l->durable);
    size_t docs = 0;
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = entries[i];
        for (size_t k = 0; is_due(e) && k < e->change_count; k++) {
            const struct change *c = &e->changes[k];
            if (c->kind != kind)
                continue;
            bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, part;
            BSON_APPEND_UTF8(&selector, "tenant", e->tenant_id);
            mongo_put_view(&selector, "key", c->key);
            BSON_APPEND_DOCUMENT_BEGIN(&selector, "n", &part);
            mongo_put_number(&part, "$lt", e->n);
            bson_append_document_end(&selector, &part);
            BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &part);
            mongo_put_view(&part, "parent", c->place.parent);
            BSON_APPEND_INT64(&part, "rank", c->place.rank);
            BSON_APPEND_INT64(&part, "ord", c->place.ord);
            mongo_put_view(&part, "doc", c->doc);
            mongo_put_number(&part, "n", e->n);
            bson_append_document_end(&update, &part);
            mongo_bulk_add(bulk, &selector, &update, upsert);
            bson_destroy(&selector);
            bson_destroy(&update);
            docs++;
        }
    }
    return mongo_bulk_end(l, bulk, docs, "write documents", duplicates, err);
}

/* A document that appeared between the look and the insert is met again as an update. */
static bool put_kind(struct mongo_link *l, enum doc_kind kind, struct entry *const *entries, size_t count,
                     struct err *err)
{
    size_t duplicates = 0;
    return put_docs(l, kind, entries, count, true, &duplicates, err) &&
           (!duplicates || put_docs(l, kind, entries, count, false, NULL, err));
}

static bool put_tenants(struct mongo_link *l, struct entry *const *entries, size_t count, struct err *err)
{
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_TENANTS, &l->durable);
    size_t tenants = 0;
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = entries[i];
        if (!is_due(e))
            continue;
        int64_t n = (int64_t)e->n, seq = (int64_t)e->last_seq, rev = e->figures_changed ? n : 0;
        bson_t *selector = BCON_NEW("_id", BCON_UTF8(e->tenant_id));
        bson_t *update =
            BCON_NEW("$max", "{", "head", BCON_INT64(n), "seq", BCON_INT64(seq), "applied", BCON_INT64(n),
                     "figures_rev", BCON_INT64(rev), "}", "$set", "{", "dirty", BCON_INT64(1), "}");
        mongo_bulk_add(bulk, selector, update, false);
        bson_destroy(selector);
        bson_destroy(update);
        tenants++;
    }
    return mongo_bulk_end(l, bulk, tenants, "write heads", NULL, err);
}

/* Need not be durable: an entry that is fresh for longer is only looked at once more. */
static bool end_fresh(struct mongo_link *l, struct entry *const *entries, size_t count, struct err *err)
{
    mongoc_bulk_operation_t *bulk = mongo_bulk(l, PLACE_LOG, &l->light);
    bson_t *update = BCON_NEW("$set", "{", "fresh", BCON_INT64(0), "}");
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = entries[i];
        if (!is_due(e))
            continue;
        bson_t *selector = BCON_NEW("tenant", BCON_UTF8(e->tenant_id), "n", BCON_INT64((int64_t)e->n));
        mongo_bulk_add(bulk, selector, update, false);
        bson_destroy(selector);
        ended++;
    }
    bson_destroy(update);
    return mongo_bulk_end(l, bulk, ended, "settle the log", NULL, err);
}

bool mongo_settle(struct mongo_link *l, struct entry *const *entries, size_t count, struct err *err)
{
    for (int kind = 0; kind < DOC_KIND_COUNT; kind++)
        if (!put_kind(l, (enum doc_kind)kind, entries, count, err))
            return false;
    return put_tenants(l, entries, count, err) && end_fresh(l, entries, count, err);
}
