#include "state-manager/store/mongo_link.h"

enum { BATCH_ROWS = 200 };

static void add_json(bson_t *options, const char *name, const char *json)
{
    bson_t *part = json ? bson_new_from_json((const uint8_t *)json, -1, NULL) : NULL;
    if (part)
        bson_append_document(options, name, -1, part);
    bson_destroy(part);
}

mongoc_cursor_t *mongo_find(struct mongo_link *l, enum mongo_place place, const bson_t *filter,
                            const struct mongo_query *query)
{
    bson_t options = BSON_INITIALIZER;
    add_json(&options, "sort", query->sort);
    add_json(&options, "projection", query->fields);
    if (query->limit)
        mongo_put_number(&options, "limit", query->limit);
    mongo_put_number(&options, "batchSize", query->limit ? query->limit : BATCH_ROWS);
    if (query->majority && l->replicated) {
        mongoc_read_concern_t *concern = mongoc_read_concern_new();
        mongoc_read_concern_set_level(concern, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
        mongoc_read_concern_append(concern, &options);
        mongoc_read_concern_destroy(concern);
    }
    mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(l->places[place], filter, &options, l->primary);
    bson_destroy(&options);
    return cursor;
}

bool mongo_rows_end(struct mongo_link *l, mongoc_cursor_t *cursor, const char *doing, struct err *err)
{
    bson_error_t error;
    bool ok = !mongoc_cursor_error(cursor, &error) || mongo_fail(l, doing, &error, err);
    mongoc_cursor_destroy(cursor);
    return ok;
}

/* The command itself: the driver's helper is a pipeline, of which not every server has all stages. */
bool mongo_matches(struct mongo_link *l, enum mongo_place place, const bson_t *filter, uint64_t most,
                   const char *doing, uint64_t *count, struct err *err)
{
    bson_error_t error;
    bson_t command = BSON_INITIALIZER, reply;
    BSON_APPEND_UTF8(&command, "count", mongoc_collection_get_name(l->places[place]));
    BSON_APPEND_DOCUMENT(&command, "query", filter);
    mongo_put_number(&command, "limit", most);
    bool ok = mongoc_collection_read_command_with_opts(l->places[place], &command, l->primary, NULL, &reply,
                                                       &error) ||
              mongo_fail(l, doing, &error, err);
    *count = ok ? mongo_count(&reply, "n") : 0;
    bson_destroy(&reply);
    bson_destroy(&command);
    return ok;
}

int64_t mongo_number(const bson_t *doc, const char *field)
{
    bson_iter_t at;
    return bson_iter_init_find(&at, doc, field) ? bson_iter_as_int64(&at) : 0;
}

uint64_t mongo_count(const bson_t *doc, const char *field)
{
    int64_t number = mongo_number(doc, field);
    return number > 0 ? (uint64_t)number : 0;
}

struct view mongo_text(const bson_t *doc, const char *field)
{
    bson_iter_t at;
    uint32_t n = 0;
    if (!bson_iter_init_find(&at, doc, field) || !BSON_ITER_HOLDS_UTF8(&at))
        return (struct view){"", 0};
    const char *p = bson_iter_utf8(&at, &n);
    return (struct view){p, n};
}

struct view mongo_bytes(const bson_t *doc, const char *field)
{
    bson_iter_t at;
    uint32_t n = 0;
    const uint8_t *p = NULL;
    if (bson_iter_init_find(&at, doc, field) && BSON_ITER_HOLDS_BINARY(&at))
        bson_iter_binary(&at, NULL, &n, &p);
    return (struct view){n ? (const char *)p : "", n};
}

void mongo_copy(const bson_t *doc, const char *field, char *out, size_t size)
{
    if (!view_copy(mongo_text(doc, field), out, size))
        out[0] = 0;
}

void mongo_put_view(bson_t *doc, const char *field, struct view text)
{
    bson_append_utf8(doc, field, -1, text.n ? text.p : "", (int)text.n);
}

void mongo_put_number(bson_t *doc, const char *field, uint64_t number)
{
    bson_append_int64(doc, field, -1, (int64_t)number);
}

bson_t *mongo_by_id(struct view id)
{
    bson_t *filter = bson_new();
    mongo_put_view(filter, "_id", id);
    return filter;
}

bson_t *mongo_behind_id(struct view id)
{
    bson_t *filter = bson_new(), bound;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &bound);
    mongo_put_view(&bound, "$gt", id);
    bson_append_document_end(filter, &bound);
    return filter;
}

void mongo_ids_begin(struct mongo_ids *ids)
{
    bson_init(&ids->filter);
    ids->count = 0;
    BSON_APPEND_DOCUMENT_BEGIN(&ids->filter, "_id", &ids->in);
    BSON_APPEND_ARRAY_BEGIN(&ids->in, "$in", &ids->list);
}

void mongo_ids_add(struct mongo_ids *ids, struct view id)
{
    char room[16];
    const char *place;
    bson_uint32_to_string(ids->count++, &place, room, sizeof room);
    mongo_put_view(&ids->list, place, id);
}

bson_t *mongo_ids_end(struct mongo_ids *ids)
{
    bson_append_array_end(&ids->in, &ids->list);
    bson_append_document_end(&ids->filter, &ids->in);
    return &ids->filter;
}
