#include "state-manager/store/mongo_schema.h"
#include "state-manager/store/mongo_link.h"
#include <stdio.h>

/* Services of two neighbouring versions run side by side: a schema only ever gains fields and indexes.
 * Version 1 was never released. */
enum { SCHEMA_VERSION = 2, SCHEMA_VERSION_MIN = 2, SCHEMA_VERSION_MAX = SCHEMA_VERSION + 1 };

/* keys as JSON in the order of the index; its name is what servers compare when it is made again */
#define INDEX(name, keys)        "{\"name\":\"" name "\",\"key\":" keys "}"
#define UNIQUE_INDEX(name, keys) "{\"name\":\"" name "\",\"key\":" keys ",\"unique\":true}"
#define LIST(list)               "{\"indexes\":[" list "]}"

static const struct {
    enum mongo_place place;
    const char *list; /* JSON */
} indexes[] = {
    {PLACE_LOG,
     LIST(UNIQUE_INDEX("tenant_n", "{\"tenant\":1,\"n\":1}") "," INDEX(
         "tenant_seq", "{\"tenant\":1,\"last_seq\":1,\"n\":1}") "," INDEX("fresh", "{\"fresh\":1}"))},
    {PLACE_TENANTS, LIST(INDEX("dirty", "{\"dirty\":1}"))},
    {PLACE_DOCUMENTS, LIST(INDEX("by_list", "{\"lists\":1,\"rank\":-1,\"ord\":-1}"))},
    {PLACE_QUARANTINE,
     LIST(INDEX("waiting", "{\"reason\":1,\"channel_id\":1,\"at\":1}") "," INDEX("by_age", "{\"at\":1}"))},
};

static bool make_indexes(struct mongo_link *l, size_t i, struct err *err)
{
    mongoc_collection_t *place = l->places[indexes[i].place];
    bson_error_t error;
    bson_t *list = bson_new_from_json((const uint8_t *)indexes[i].list, -1, NULL), reply;
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&command, "createIndexes", mongoc_collection_get_name(place));
    bson_concat(&command, list);
    bool ok = mongoc_collection_write_command_with_opts(place, &command, NULL, &reply, &error) ||
              mongo_fail(l, "make indexes", &error, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    bson_destroy(list);
    return ok;
}

/* 0: the database has none yet. */
static bool read_version(struct mongo_link *l, int64_t *version, struct err *err)
{
    const bson_t *row;
    bson_t *filter = mongo_by_id(VIEW("schema"));
    mongoc_cursor_t *rows = mongo_find(l, PLACE_META, filter, &(struct mongo_query){.limit = 1});
    *version = mongoc_cursor_next(rows, &row) ? mongo_number(row, "version") : 0;
    bson_destroy(filter);
    return mongo_rows_end(l, rows, "read the schema version", err);
}

static bool write_version(struct mongo_link *l, struct err *err)
{
    bson_t *selector = mongo_by_id(VIEW("schema"));
    bson_t *update = BCON_NEW("$setOnInsert", "{", "version", BCON_INT64(SCHEMA_VERSION), "}");
    bool ok = mongo_upsert(l, PLACE_META, selector, update, "write the schema version", NULL, err);
    bson_destroy(selector);
    bson_destroy(update);
    return ok;
}

bool mongo_schema_make(struct mongo_link *l, struct err *err)
{
    int64_t version;
    if (!read_version(l, &version, err))
        return false;
    if (!version && !l->writer)
        return true; /* it is empty so far */
    if (!version && (!write_version(l, err) || !read_version(l, &version, err)))
        return false;
    if (version < SCHEMA_VERSION_MIN)
        return err_set(err, ERR_INTERNAL,
                       "the database has schema %lld, from before the first release: begin with an empty one",
                       (long long)version);
    if (version > SCHEMA_VERSION_MAX)
        return err_set(err, ERR_INTERNAL, "the database has schema %lld, this program knows %d",
                       (long long)version, SCHEMA_VERSION);
    for (size_t i = 0; l->writer && version <= SCHEMA_VERSION && i < countof(indexes); i++)
        if (!make_indexes(l, i, err))
            return false;
    return true;
}
