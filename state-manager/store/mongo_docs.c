#include "state-manager/store/mongo_docs.h"
#include "shared/mem.h"
#include "state-manager/store/mongo_names.h"
#include <stdlib.h>
#include <string.h>

enum {
    GET_MAX = 1000, /* of one round trip */
    PUT_MAX = 500   /* the same; a slow server has to answer in time */
};

/* --- writing ---------------------------------------------------------------------------------------------
 */

static void add_doc(mongoc_bulk_operation_t *bulk, struct buf *name, const struct entry *e,
                    const struct change *c, bool upsert)
{
    bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, part;
    mongo_put_view(&selector, "_id", mongo_name_doc(name, e->tenant_id, c->kind, c->key));
    BSON_APPEND_DOCUMENT_BEGIN(&selector, "n", &part);
    mongo_put_number(&part, "$lt", e->n);
    bson_append_document_end(&selector, &part);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &part);
    mongo_put_lists(&part, name, e->tenant_id, c);
    mongo_put_view(&part, "parent", c->place.parent);
    BSON_APPEND_INT64(&part, "rank", c->place.rank);
    BSON_APPEND_INT64(&part, "ord", c->place.ord);
    if (mongo_is_filed(c->kind)) {
        mongo_put_view(&part, "state", c->place.state);
        mongo_put_view(&part, "owner", c->place.owner);
    }
    mongo_put_view(&part, "doc", c->doc);
    mongo_put_number(&part, "n", e->n);
    bson_append_document_end(&update, &part);
    mongo_bulk_add(bulk, &selector, &update, upsert);
    bson_destroy(&selector);
    bson_destroy(&update);
}

/* Documents on their way, so many in one round trip. */
struct putting {
    struct mongo_link *l;
    bool upsert, duplicates;
    mongoc_bulk_operation_t *bulk;
    size_t count;
};

static bool put_flush(struct putting *p, struct err *err)
{
    struct mongo_outcome out = {0};
    mongoc_bulk_operation_t *bulk = p->bulk;
    size_t count = p->count;
    p->bulk = NULL;
    p->count = 0;
    bool ok = !bulk || mongo_bulk_end(p->l, bulk, count, "write documents", p->upsert ? &out : NULL, err);
    p->duplicates |= out.duplicates > 0;
    return ok;
}

/* The guard keeps a late writer from putting back what is newer: then there is nothing to update, and the
 * insert meets the unique id. */
static bool put_all(struct putting *p, struct entry *const *entries, size_t count, struct err *err)
{
    struct buf name;
    bool ok = true;
    buf_init(&name, MONGO_NAME_MAX);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; ok && entries[i]->result == COMMIT_DONE && k < entries[i]->change_count; k++) {
            if (!p->bulk)
                p->bulk = mongo_bulk(p->l, PLACE_DOCUMENTS, &p->l->durable);
            add_doc(p->bulk, &name, entries[i], &entries[i]->changes[k], p->upsert);
            if (++p->count == PUT_MAX)
                ok = put_flush(p, err);
        }
    buf_free(&name);
    return put_flush(p, ok ? err : NULL) && ok;
}

/* A document that appeared between the look and the insert is met again as an update. */
bool mongo_put_docs(struct mongo_link *l, struct entry *const *entries, size_t count, struct err *err)
{
    struct putting first = {.l = l, .upsert = true}, again = {.l = l};
    return put_all(&first, entries, count, err) &&
           (!first.duplicates || put_all(&again, entries, count, err));
}

#define OLDEST_FIRST "{\"rank\":1,\"ord\":1}"

bool mongo_expire(struct store *s, enum doc_kind kind, int64_t before_wall_ms, size_t limit, size_t *removed,
                  struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct mongo_query query = {.sort = OLDEST_FIRST,
                                .fields = "{\"_id\":1}",
                                .limit = limit < PAGE_ROWS_MAX ? limit : PAGE_ROWS_MAX};
    struct mongo_ids ids;
    struct buf name;
    const bson_t *row;
    *removed = 0;
    if (!mongo_link_writing(l, err))
        return false;
    buf_init(&name, MONGO_NAME_MAX);
    bson_t filter = BSON_INITIALIZER;
    bson_t *old = BCON_NEW("rank", "{", "$lt", BCON_INT64(before_wall_ms), "}");
    mongo_put_view(&filter, "lists", mongo_name_ages(&name, kind));
    bson_concat(&filter, old);
    mongo_ids_begin(&ids);
    mongoc_cursor_t *rows = mongo_find(l, PLACE_DOCUMENTS, &filter, &query);
    while (limit && mongoc_cursor_next(rows, &row))
        mongo_ids_add(&ids, mongo_text(row, "_id"));
    bson_t *selector = mongo_ids_end(&ids);
    bson_concat(selector, old); /* it may be new again */
    bool ok =
        mongo_rows_end(l, rows, "look for old documents", err) &&
        (!ids.count || mongo_delete(l, PLACE_DOCUMENTS, selector, false, "drop old documents", removed, err));
    bson_destroy(selector);
    bson_destroy(&filter);
    bson_destroy(old);
    buf_free(&name);
    return ok;
}

/* The ids of those in the list that are beyond the newest `keep`; *rank is the last one's. Who else drops
 * some meanwhile must not make these more: the first row brings all of them, and only then they are counted.
 */
static bool find_beyond(struct mongo_link *l, const bson_t *filter, size_t keep, size_t limit,
                        struct mongo_ids *ids, int64_t *rank, struct err *err)
{
    static const char doing[] = "look for documents beyond the newest";
    struct mongo_query query = {.sort = OLDEST_FIRST, .fields = "{\"rank\":1}", .limit = limit};
    const bson_t *row;
    uint64_t count = 0;
    mongoc_cursor_t *rows = mongo_find(l, PLACE_DOCUMENTS, filter, &query);
    bool any = mongoc_cursor_next(rows, &row);
    bool ok = !any || mongo_matches(l, PLACE_DOCUMENTS, filter, keep + limit, doing, &count, err);
    while (any && keep + ids->count < count) {
        mongo_ids_add(ids, mongo_text(row, "_id"));
        *rank = mongo_number(row, "rank");
        any = mongoc_cursor_next(rows, &row);
    }
    return mongo_rows_end(l, rows, doing, ok ? err : NULL) && ok;
}

bool mongo_keep_newest(struct store *s, const char *tenant_id, enum doc_kind kind, size_t keep, size_t limit,
                       size_t *removed, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct mongo_ids ids;
    struct buf name;
    int64_t rank = 0;
    *removed = 0;
    if (!mongo_link_writing(l, err))
        return false;
    if (!limit) /* which would mean no limit */
        return true;
    buf_init(&name, MONGO_NAME_MAX);
    bson_t filter = BSON_INITIALIZER;
    mongo_put_view(&filter, "lists", mongo_name_doc(&name, tenant_id, kind, VIEW("")));
    mongo_ids_begin(&ids);
    bool ok = find_beyond(l, &filter, keep, limit < PAGE_ROWS_MAX ? limit : PAGE_ROWS_MAX, &ids, &rank, err);
    bson_t *selector = mongo_ids_end(&ids), *old = BCON_NEW("rank", "{", "$lte", BCON_INT64(rank), "}");
    bson_concat(selector, old); /* it may be new again */
    ok = ok && (!ids.count || mongo_delete(l, PLACE_DOCUMENTS, selector, false,
                                           "drop documents beyond the newest", removed, err));
    bson_destroy(selector);
    bson_destroy(old);
    bson_destroy(&filter);
    buf_free(&name);
    return ok;
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

struct one {
    struct buf *doc;
    bool *found;
};

static void take_one(void *ctx, size_t index, struct view doc)
{
    struct one *one = ctx;
    (void)index;
    *one->found = true;
    buf_add_view(one->doc, doc);
}

bool mongo_get(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key, struct buf *doc,
               bool *found, struct err *err)
{
    struct one one = {doc, found};
    *found = false;
    return mongo_get_many(s, tenant_id, &(struct wanted){kind, key}, 1, take_one, &one, err);
}

/* Who wants what: the places in a request under the id of a document, each leading to the next. */
struct asked {
    struct asked *next;
    size_t index;
};

static bool get_some(struct mongo_link *l, const char *tenant_id, const struct wanted *wanted, size_t begin,
                     size_t end, store_found_fn fn, void *ctx, struct err *err)
{
    struct asked *asked = xcalloc(end - begin, sizeof *asked);
    struct mongo_query query = {.fields = "{\"doc\":1}", .limit = end - begin};
    struct map by_id;
    struct mongo_ids ids;
    struct buf name;
    const bson_t *row;
    map_init(&by_id);
    buf_init(&name, MONGO_NAME_MAX);
    mongo_ids_begin(&ids);
    for (size_t i = begin; i < end; i++) {
        struct view id = mongo_name_doc(&name, tenant_id, wanted[i].kind, wanted[i].key);
        struct asked *a = &asked[i - begin];
        *a = (struct asked){map_put(&by_id, id, a), i};
        if (!a->next)
            mongo_ids_add(&ids, id);
    }
    bson_t *filter = mongo_ids_end(&ids);
    mongoc_cursor_t *rows = mongo_find(l, PLACE_DOCUMENTS, filter, &query);
    while (mongoc_cursor_next(rows, &row))
        for (struct asked *a = map_get(&by_id, mongo_text(row, "_id")); a; a = a->next)
            fn(ctx, a->index, mongo_text(row, "doc"));
    bson_destroy(filter);
    buf_free(&name);
    map_free(&by_id);
    free(asked);
    return mongo_rows_end(l, rows, "read documents", err);
}

bool mongo_get_many(struct store *s, const char *tenant_id, const struct wanted *wanted, size_t count,
                    store_found_fn fn, void *ctx, struct err *err)
{
    bool ok = mongo_link_ready(mongo_link_of(s), err);
    for (size_t at = 0, end; ok && at < count; at = end) {
        end = count - at > GET_MAX ? at + GET_MAX : count;
        ok = get_some(mongo_link_of(s), tenant_id, wanted, at, end, fn, ctx, err);
    }
    return ok;
}

/* (rank, ord) < (page's): the plain bound on rank lets the index begin there. */
static void add_cursor(bson_t *filter, const struct page *page)
{
    bson_t *behind = BCON_NEW("rank", "{", "$lte", BCON_INT64(page->rank), "}", "$or", "[", "{", "rank", "{",
                              "$lt", BCON_INT64(page->rank), "}", "}", "{", "rank", BCON_INT64(page->rank),
                              "ord", "{", "$lt", BCON_INT64(page->ord), "}", "}", "]");
    bson_concat(filter, behind);
    bson_destroy(behind);
}

/* One list being read. */
struct side {
    mongoc_cursor_t *rows;
    const bson_t *row; /* the next one; NULL: no more */
    int64_t rank, ord;
};

static void side_next(struct side *side)
{
    if (!mongoc_cursor_next(side->rows, &side->row))
        side->row = NULL;
    side->rank = side->row ? mongo_number(side->row, "rank") : 0;
    side->ord = side->row ? mongo_number(side->row, "ord") : 0;
}

static void side_begin(struct mongo_link *l, struct side *side, struct view list, const struct page *page)
{
    struct mongo_query query = {.sort = "{\"rank\":-1,\"ord\":-1}",
                                .fields = "{\"rank\":1,\"ord\":1,\"doc\":1}",
                                .limit = page->limit < PAGE_ROWS_MAX ? page->limit : PAGE_ROWS_MAX};
    bson_t filter = BSON_INITIALIZER;
    mongo_put_view(&filter, "lists", list);
    if (page->has_cursor)
        add_cursor(&filter, page);
    side->rows = mongo_find(l, PLACE_DOCUMENTS, &filter, &query);
    bson_destroy(&filter);
    side_next(side);
}

/* The side whose row comes first in a list; NULL: both are at their end. */
static struct side *newest(struct side *sides, size_t count)
{
    struct side *best = NULL;
    for (struct side *s = sides; s < sides + count; s++)
        if (s->row && (!best || s->rank > best->rank || (s->rank == best->rank && s->ord > best->ord)))
            best = s;
    return best;
}

bool mongo_list(struct store *s, const char *tenant_id, enum doc_kind kind, const struct page *page,
                store_doc_fn fn, void *ctx, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct side sides[PAGE_STATES_MAX], *side;
    struct buf name;
    size_t count = page->states[0].n && page->states[1].n ? 2 : 1, given = 0;
    bool more = true, ok = true;
    if (!mongo_link_ready(l, err))
        return false;
    if (!page->limit) /* which would mean no limit */
        return true;
    buf_init(&name, MONGO_NAME_MAX);
    for (size_t i = 0; i < count; i++)
        side_begin(l, &sides[i],
                   mongo_name_list(&name, tenant_id, kind, page->states[i], page->owner, page->parent), page);
    size_t prefix = (mongo_start_name(&name, tenant_id, kind), name.len);
    while (more && given < page->limit && (side = newest(sides, count)) != NULL) {
        struct view id = mongo_text(side->row, "_id");
        struct listed row = {.key = {id.p + prefix, id.n - prefix},
                             .doc = mongo_text(side->row, "doc"),
                             .rank = side->rank,
                             .ord = side->ord};
        more = fn(ctx, &row);
        given++;
        side_next(side);
    }
    for (size_t i = 0; i < count; i++)
        ok = mongo_rows_end(l, sides[i].rows, "list documents", ok ? err : NULL) && ok;
    buf_free(&name);
    return ok;
}

/* Ids from behind `after` to the end of the kind: '0' comes next to the slash. */
static bson_t *kind_behind(struct buf *name, const char *tenant_id, enum doc_kind kind, struct view after)
{
    bson_t *filter = bson_new(), range;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &range);
    mongo_put_view(&range, "$gt", mongo_name_doc(name, tenant_id, kind, after));
    mongo_start_name(name, tenant_id, kind);
    name->data[name->len - 1] = '/' + 1;
    mongo_put_view(&range, "$lt", buf_view(name));
    bson_append_document_end(filter, &range);
    return filter;
}

bool mongo_scan(struct store *s, const char *tenant_id, enum doc_kind kind, struct view after, size_t limit,
                store_change_fn fn, void *ctx, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct mongo_query query = {.sort = "{\"_id\":1}", .fields = "{\"lists\":0}", .limit = limit};
    struct buf name;
    const bson_t *row;
    bool more = limit > 0;
    if (!mongo_link_ready(l, err))
        return false;
    buf_init(&name, MONGO_NAME_MAX);
    bson_t *filter = kind_behind(&name, tenant_id, kind, after);
    size_t prefix = name.len;
    mongoc_cursor_t *rows = mongo_find(l, PLACE_DOCUMENTS, filter, &query);
    while (more && mongoc_cursor_next(rows, &row)) {
        struct view id = mongo_text(row, "_id");
        struct change c = {.kind = kind,
                           .key = {id.p + prefix, id.n - prefix},
                           .place = {.parent = mongo_text(row, "parent"),
                                     .rank = mongo_number(row, "rank"),
                                     .ord = mongo_number(row, "ord"),
                                     .state = mongo_text(row, "state"),
                                     .owner = mongo_text(row, "owner")},
                           .doc = mongo_text(row, "doc")};
        more = fn(ctx, &c);
    }
    bson_destroy(filter);
    buf_free(&name);
    return mongo_rows_end(l, rows, "walk documents", err);
}
