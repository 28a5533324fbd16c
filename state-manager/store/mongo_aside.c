#include "state-manager/store/mongo_aside.h"
#include "shared/crypto.h"
#include "shared/mem.h"
#include <stdlib.h>

enum { DIGEST_SIZE = 32, REASON_SIZE = 64, EXPIRE_MAX = 1000 };

/* --- channels --------------------------------------------------------------------------------------------
 */

static void read_channel(const bson_t *row, struct channel *out)
{
    mongo_copy(row, "_id", out->phone_number_id, sizeof out->phone_number_id);
    mongo_copy(row, "tenant", out->tenant_id, sizeof out->tenant_id);
    mongo_copy(row, "display", out->display_phone_number, sizeof out->display_phone_number);
    mongo_copy(row, "token", out->access_token, sizeof out->access_token);
}

bool mongo_channel_get(struct store *s, struct view channel_id, struct channel *out, bool *found,
                       struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    const bson_t *row;
    *found = false;
    if (!mongo_link_ready(l, err))
        return false;
    bson_t *filter = mongo_by_id(channel_id);
    mongoc_cursor_t *rows = mongo_find(l, PLACE_CHANNELS, filter, &(struct mongo_query){.limit = 1});
    *found = mongoc_cursor_next(rows, &row);
    if (*found)
        read_channel(row, out);
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read a channel", err);
}

bool mongo_channel_put(struct store *s, const struct channel *channel, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    if (!mongo_link_writing(l, err))
        return false;
    bson_t *filter = mongo_by_id(view_of(channel->phone_number_id));
    bson_t *update =
        BCON_NEW("$set", "{", "tenant", BCON_UTF8(channel->tenant_id), "display",
                 BCON_UTF8(channel->display_phone_number), "token", BCON_UTF8(channel->access_token), "}");
    bool ok = mongo_upsert(l, PLACE_CHANNELS, filter, update, "write a channel", NULL, err);
    bson_destroy(update);
    bson_destroy(filter);
    return ok;
}

bool mongo_channel_delete(struct store *s, struct view channel_id, bool *found, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    size_t removed;
    *found = false;
    if (!mongo_link_writing(l, err))
        return false;
    bson_t *filter = mongo_by_id(channel_id);
    bool ok = mongo_delete(l, PLACE_CHANNELS, filter, true, "delete a channel", &removed, err);
    *found = removed > 0;
    bson_destroy(filter);
    return ok;
}

bool mongo_channels(struct store *s, struct view after, size_t limit, store_channel_fn fn, void *ctx,
                    struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    const bson_t *row;
    bool more = limit > 0;
    if (!mongo_link_ready(l, err))
        return false;
    bson_t *filter = mongo_behind_id(after);
    mongoc_cursor_t *rows =
        mongo_find(l, PLACE_CHANNELS, filter, &(struct mongo_query){.sort = "{\"_id\":1}", .limit = limit});
    while (more && mongoc_cursor_next(rows, &row)) {
        struct channel channel;
        read_channel(row, &channel);
        more = fn(ctx, &channel);
    }
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "walk channels", err);
}

/* --- the quarantine --------------------------------------------------------------------------------------
 */

bool mongo_quarantine(struct store *s, const struct quarantined *rows, size_t count, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    if (!mongo_link_writing(l, err))
        return false;
    bson_t **docs = xcalloc(count, sizeof(bson_t *));
    for (size_t i = 0; i < count; i++) {
        const struct quarantined *row = &rows[i];
        char digest[DIGEST_SIZE];
        crypto_name_id("q_", row->bytes, digest);
        docs[i] = BCON_NEW("_id", BCON_UTF8(digest), "at", BCON_INT64(row->at_wall_ms), "reason",
                           BCON_UTF8(row->reason));
        mongo_put_view(docs[i], "channel_id", row->channel_id);
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

bool mongo_waiting_channel(struct store *s, struct view after, char out[static CHANNEL_ID_SIZE], bool *found,
                           struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct mongo_query query = {.sort = "{\"channel_id\":1}", .fields = "{\"channel_id\":1}", .limit = 1};
    const bson_t *row;
    *found = false;
    if (!mongo_link_ready(l, err))
        return false;
    bson_t *filter = BCON_NEW("reason", QUARANTINE_NO_TENANT), bound;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "channel_id", &bound);
    mongo_put_view(&bound, "$gt", after);
    bson_append_document_end(filter, &bound);
    mongoc_cursor_t *rows = mongo_find(l, PLACE_QUARANTINE, filter, &query);
    *found = mongoc_cursor_next(rows, &row);
    if (*found)
        mongo_copy(row, "channel_id", out, CHANNEL_ID_SIZE);
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "look for what waits", err);
}

static bool each_quarantined(struct mongo_link *l, const bson_t *filter, const char *sort, size_t limit,
                             store_quarantined_fn fn, void *ctx, struct err *err)
{
    const bson_t *row;
    bool more = limit > 0;
    mongoc_cursor_t *rows =
        mongo_find(l, PLACE_QUARANTINE, filter, &(struct mongo_query){.sort = sort, .limit = limit});
    while (more && mongoc_cursor_next(rows, &row)) {
        char digest[DIGEST_SIZE], reason[REASON_SIZE];
        mongo_copy(row, "_id", digest, sizeof digest);
        mongo_copy(row, "reason", reason, sizeof reason);
        struct quarantined one = {.reason = reason,
                                  .channel_id = mongo_text(row, "channel_id"),
                                  .bytes = mongo_bytes(row, "bytes"),
                                  .at_wall_ms = mongo_number(row, "at")};
        more = fn(ctx, digest, &one);
    }
    return mongo_rows_end(l, rows, "read the quarantine", err);
}

bool mongo_waiting(struct store *s, struct view channel_id, size_t limit, store_quarantined_fn fn, void *ctx,
                   struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    if (!mongo_link_ready(l, err))
        return false;
    bson_t *filter = BCON_NEW("reason", QUARANTINE_NO_TENANT);
    mongo_put_view(filter, "channel_id", channel_id);
    bool ok = each_quarantined(l, filter, "{\"at\":1}", limit, fn, ctx, err);
    bson_destroy(filter);
    return ok;
}

bool mongo_quarantine_scan(struct store *s, struct view after, size_t limit, store_quarantined_fn fn,
                           void *ctx, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    if (!mongo_link_ready(l, err))
        return false;
    bson_t *filter = mongo_behind_id(after);
    bool ok = each_quarantined(l, filter, "{\"_id\":1}", limit, fn, ctx, err);
    bson_destroy(filter);
    return ok;
}

bool mongo_quarantine_drop(struct store *s, const char *const *digests, size_t count, struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct mongo_ids ids;
    if (!mongo_link_writing(l, err))
        return false;
    mongo_ids_begin(&ids);
    for (size_t i = 0; i < count; i++)
        mongo_ids_add(&ids, view_of(digests[i]));
    bson_t *filter = mongo_ids_end(&ids);
    bool ok = !count || mongo_delete(l, PLACE_QUARANTINE, filter, false, "empty the quarantine", NULL, err);
    bson_destroy(filter);
    return ok;
}

bool mongo_quarantine_expire(struct store *s, int64_t before_wall_ms, size_t limit, size_t *removed,
                             struct err *err)
{
    struct mongo_link *l = mongo_link_of(s);
    struct mongo_query query = {
        .sort = "{\"at\":1}", .fields = "{\"_id\":1}", .limit = limit < EXPIRE_MAX ? limit : EXPIRE_MAX};
    struct mongo_ids ids;
    const bson_t *row;
    *removed = 0;
    if (!mongo_link_writing(l, err))
        return false;
    bson_t *old = BCON_NEW("at", "{", "$lt", BCON_INT64(before_wall_ms), "}");
    mongo_ids_begin(&ids);
    mongoc_cursor_t *rows = mongo_find(l, PLACE_QUARANTINE, old, &query);
    while (limit && mongoc_cursor_next(rows, &row))
        mongo_ids_add(&ids, mongo_text(row, "_id"));
    bson_t *filter = mongo_ids_end(&ids);
    bool ok =
        mongo_rows_end(l, rows, "look for old bodies", err) &&
        (!ids.count || mongo_delete(l, PLACE_QUARANTINE, filter, false, "drop old bodies", removed, err));
    bson_destroy(filter);
    bson_destroy(old);
    return ok;
}
