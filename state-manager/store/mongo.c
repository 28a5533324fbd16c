#include "state-manager/store/mongo.h"
#include "shared/crypto.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/store/mongo_log.h"
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 1000, SEEN_MAX = 4096 };

/* A head that this handle has read since its last commit: its entry needs no second look. */
struct seen {
    char epoch[EPOCH_MAX + 1];
    uint64_t n;
};

struct mongo_store {
    struct store base;
    struct mongo_link link;
    struct map seen; /* tenant id -> struct seen; a writer's only */
};

static struct mongo_link *link_of(struct store *s)
{
    return &container_of(s, struct mongo_store, base)->link;
}

static void forget_seen(struct mongo_store *s)
{
    void *value;
    for (size_t at = 0; map_next(&s->seen, &at, NULL, &value);)
        free(value);
    map_free(&s->seen);
}

static bool op_head(struct store *base, const char *tenant_id, struct head *out, struct err *err)
{
    struct mongo_store *s = container_of(base, struct mongo_store, base);
    *out = (struct head){0};
    if (!mongo_link_ready(&s->link, err) || !mongo_log_head(&s->link, tenant_id, out, err))
        return false;
    if (!s->link.writer)
        return true;
    if (s->seen.count >= SEEN_MAX)
        forget_seen(s);
    struct seen *seen = xcalloc(1, sizeof *seen);
    memcpy(seen->epoch, out->epoch, sizeof seen->epoch);
    seen->n = out->n;
    free(map_put(&s->seen, view_of(tenant_id), seen));
    return true;
}

static bool op_get(struct store *base, const char *tenant_id, enum doc_kind kind, struct view key,
                   struct buf *doc, bool *found, struct err *err)
{
    struct mongo_link *l = link_of(base);
    const bson_t *row;
    *found = false;
    if (!mongo_link_ready(l, err))
        return false;
    bson_t filter = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&filter, "tenant", tenant_id);
    mongo_put_view(&filter, "key", key);
    mongoc_cursor_t *rows = mongo_find(l, (int)kind, &filter, &(struct mongo_query){.limit = 1});
    if (mongoc_cursor_next(rows, &row)) {
        *found = true;
        buf_add_view(doc, mongo_text(row, "doc"));
    }
    bson_destroy(&filter);
    return mongo_rows_end(l, rows, "read a document", err);
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

static bool op_list(struct store *base, const char *tenant_id, enum doc_kind kind, const struct page *page,
                    store_doc_fn fn, void *ctx, struct err *err)
{
    struct mongo_link *l = link_of(base);
    struct mongo_query query = {.sort = "{\"rank\":-1,\"ord\":-1}"};
    const bson_t *row;
    bool stopped = page->limit == 0; /* where a limit of 0 means none */
    if (!mongo_link_ready(l, err))
        return false;
    bson_t filter = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&filter, "tenant", tenant_id);
    mongo_put_view(&filter, "parent", page->parent);
    if (page->has_cursor)
        add_cursor(&filter, page);
    query.limit = (int64_t)(page->limit < LIST_MAX ? page->limit : LIST_MAX);
    mongoc_cursor_t *rows = mongo_find(l, (int)kind, &filter, &query);
    while (!stopped && mongoc_cursor_next(rows, &row)) {
        struct listed listed = {.key = mongo_text(row, "key"),
                                .doc = mongo_text(row, "doc"),
                                .rank = mongo_number(row, "rank"),
                                .ord = mongo_number(row, "ord")};
        stopped = !fn(ctx, &listed);
    }
    bson_destroy(&filter);
    return mongo_rows_end(l, rows, "list documents", err);
}

/* Whether the entry follows the head; CONFLICT is set when it does not. */
static bool check_entry(struct mongo_store *s, struct entry *e, struct err *err)
{
    struct seen *seen = map_get(&s->seen, view_of(e->tenant_id));
    struct head head;
    bool holds;
    if (!seen || seen->n + 1 != e->n) {
        if (!op_head(&s->base, e->tenant_id, &head, err))
            return false;
        seen = map_get(&s->seen, view_of(e->tenant_id));
    }
    if (*seen->epoch)
        holds = !strcmp(seen->epoch, e->epoch);
    else if (!mongo_log_begin_tenant(&s->link, e->tenant_id, e->epoch, &holds, err))
        return false;
    if (seen->n + 1 != e->n || !holds)
        e->result = COMMIT_CONFLICT;
    return true;
}

static bool op_commit(struct store *base, struct entry **entries, size_t count, struct err *err)
{
    struct mongo_store *s = container_of(base, struct mongo_store, base);
    for (size_t i = 0; i < count; i++)
        entries[i]->result = COMMIT_PENDING;
    if (!mongo_link_writing(&s->link, err))
        return false;
    struct entry **next = xcalloc(count, sizeof(struct entry *));
    size_t next_count = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ok = check_entry(s, entries[i], err);
        if (entries[i]->result == COMMIT_PENDING)
            next[next_count++] = entries[i];
    }
    if (ok && next_count)
        ok = mongo_log_insert(&s->link, next, next_count, err);
    forget_seen(s);
    free(next);
    return ok;
}

static bool op_read_log(struct store *base, const char *tenant_id, enum log_position by, uint64_t after,
                        bool with_changes, store_log_fn fn, void *ctx, struct err *err)
{
    return mongo_link_ready(link_of(base), err) &&
           mongo_log_read(link_of(base), tenant_id, by, after, with_changes, fn, ctx, err);
}

static bool op_unpublished(struct store *base, store_tenant_fn fn, void *ctx, struct err *err)
{
    return mongo_link_ready(link_of(base), err) && mongo_log_unpublished(link_of(base), fn, ctx, err);
}

static bool op_mark(struct store *base, const struct mark *marks, size_t count, struct err *err)
{
    if (!mongo_link_writing(link_of(base), err))
        return false;
    return count ? mongo_log_mark(link_of(base), marks, count, err) : mongo_link_probe(link_of(base), err);
}

/* --- channels and quarantine ----------------------------------------------------------------------------
 */

static void add_channel_id(bson_t *filter, struct view id)
{
    bson_init(filter);
    mongo_put_view(filter, "_id", id);
}

static bool op_channel_get(struct store *base, struct view id, struct channel *out, bool *found,
                           struct err *err)
{
    struct mongo_link *l = link_of(base);
    const bson_t *row;
    bson_t filter;
    *found = false;
    if (!mongo_link_ready(l, err))
        return false;
    add_channel_id(&filter, id);
    mongoc_cursor_t *rows = mongo_find(l, PLACE_CHANNELS, &filter, &(struct mongo_query){.limit = 1});
    if (mongoc_cursor_next(rows, &row)) {
        *found = true;
        mongo_copy(row, "_id", out->phone_number_id, sizeof out->phone_number_id);
        mongo_copy(row, "tenant", out->tenant_id, sizeof out->tenant_id);
        mongo_copy(row, "display", out->display_phone_number, sizeof out->display_phone_number);
        mongo_copy(row, "token", out->access_token, sizeof out->access_token);
    }
    bson_destroy(&filter);
    return mongo_rows_end(l, rows, "read a channel", err);
}

static bool op_channel_put(struct store *base, const struct channel *channel, struct err *err)
{
    struct mongo_link *l = link_of(base);
    bson_t filter;
    if (!mongo_link_writing(l, err))
        return false;
    add_channel_id(&filter, view_of(channel->phone_number_id));
    bson_t *update =
        BCON_NEW("$set", "{", "tenant", BCON_UTF8(channel->tenant_id), "display",
                 BCON_UTF8(channel->display_phone_number), "token", BCON_UTF8(channel->access_token), "}");
    bool ok = mongo_update(l, PLACE_CHANNELS, &filter, update, true, "write a channel", err);
    bson_destroy(update);
    bson_destroy(&filter);
    return ok;
}

static bool op_channel_delete(struct store *base, struct view id, bool *found, struct err *err)
{
    struct mongo_link *l = link_of(base);
    bson_error_t error;
    bson_t filter, reply;
    *found = false;
    if (!mongo_link_writing(l, err))
        return false;
    bson_t options = BSON_INITIALIZER;
    bson_copy_to_excluding_noinit(&l->durable, &options, "ordered", NULL);
    add_channel_id(&filter, id);
    bool ok = mongoc_collection_delete_one(l->places[PLACE_CHANNELS], &filter, &options, &reply, &error) ||
              mongo_fail(l, "delete a channel", &error, err);
    *found = ok && mongo_number(&reply, "deletedCount") > 0;
    bson_destroy(&reply);
    bson_destroy(&filter);
    bson_destroy(&options);
    return ok;
}

static bool op_quarantine(struct store *base, const struct quarantined *rows, size_t count, struct err *err)
{
    struct mongo_link *l = link_of(base);
    if (!mongo_link_writing(l, err))
        return false;
    bson_t **docs = xcalloc(count, sizeof(bson_t *));
    for (size_t i = 0; i < count; i++) {
        const struct quarantined *row = &rows[i];
        char digest[32];
        crypto_name_id("q_", row->bytes, digest);
        docs[i] = BCON_NEW("_id", BCON_UTF8(digest), "at", BCON_INT64(row->at_wall_ms), "reason",
                           BCON_UTF8(row->reason));
        mongo_put_view(docs[i], "phone_number_id", row->channel_id);
        bson_append_binary(docs[i], "bytes", -1, BSON_SUBTYPE_BINARY,
                           (const uint8_t *)(row->bytes.n ? row->bytes.p : ""), (uint32_t)row->bytes.n);
    }
    struct mongo_outcome out = {0};
    bool ok = !count || mongo_insert(l, PLACE_QUARANTINE, docs, count, "write to the quarantine", &out, err);
    for (size_t i = 0; i < count; i++)
        bson_destroy(docs[i]);
    free(docs);
    return ok;
}

static void op_close(struct store *base)
{
    struct mongo_store *s = container_of(base, struct mongo_store, base);
    mongo_link_close(&s->link);
    forget_seen(s);
    free(s);
}

static const struct store_ops mongo_ops = {
    .close = op_close,
    .head = op_head,
    .get = op_get,
    .list = op_list,
    .commit = op_commit,
    .read_log = op_read_log,
    .unpublished = op_unpublished,
    .mark = op_mark,
    .channel_get = op_channel_get,
    .channel_put = op_channel_put,
    .channel_delete = op_channel_delete,
    .quarantine = op_quarantine,
};

struct store *mongo_store_open(const char *url, enum store_mode mode, struct err *err)
{
    struct mongo_store *s = xcalloc(1, sizeof *s);
    struct err reason = {0};
    s->base.ops = &mongo_ops;
    map_init(&s->seen);
    bool ok = mongo_link_open(&s->link, url, mode == STORE_WRITER, &reason);
    if (ok && mode == STORE_WRITER && !mongo_link_ready(&s->link, &reason)) {
        ok = err_is_transient(&reason);
        if (ok)
            log_warn("store_away", "text=\"%s\"", reason.text);
    }
    if (ok)
        return &s->base;
    if (err)
        *err = reason;
    op_close(&s->base);
    return NULL;
}
