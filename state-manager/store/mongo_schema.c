#include "state-manager/store/mongo_schema.h"
#include "state-manager/store/mongo_link.h"

enum { SCHEMA_VERSION = 1 };

/* keys as JSON in the order of the index; its name is what servers compare when it is made again */
static const struct {
    int place;
    const char *name, *keys;
    bool unique;
} indexes[] = {{PLACE_LOG, "tenant_n", "{\"tenant\":1,\"n\":1}", true},
               {PLACE_LOG, "tenant_seq", "{\"tenant\":1,\"last_seq\":1,\"n\":1}", false},
               {PLACE_LOG, "fresh", "{\"fresh\":1}", false},
               {PLACE_TENANTS, "dirty", "{\"dirty\":1}", false},
#define X(kind, name, plural, listed) {DOC_##kind, "tenant_key", "{\"tenant\":1,\"key\":1}", true},
               DOC_KINDS(X)
#undef X
#define X(kind, name, plural, listed) \
    {(listed) ? DOC_##kind : -1, "by_rank", "{\"tenant\":1,\"parent\":1,\"rank\":-1,\"ord\":-1}", false},
                   DOC_KINDS(X)
#undef X
};

static bool make_index(struct mongo_link *l, size_t i, struct err *err)
{
    bson_error_t error;
    bson_t *keys = bson_new_from_json((const uint8_t *)indexes[i].keys, -1, NULL), reply;
    bson_t index = BSON_INITIALIZER, list = BSON_INITIALIZER, command = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&index, "key", keys);
    BSON_APPEND_UTF8(&index, "name", indexes[i].name);
    if (indexes[i].unique)
        BSON_APPEND_BOOL(&index, "unique", true);
    BSON_APPEND_DOCUMENT(&list, "0", &index);
    BSON_APPEND_UTF8(&command, "createIndexes", mongoc_collection_get_name(l->places[indexes[i].place]));
    BSON_APPEND_ARRAY(&command, "indexes", &list);
    bool ok = mongoc_collection_write_command_with_opts(l->places[indexes[i].place], &command, NULL, &reply,
                                                        &error) ||
              mongo_fail(l, "make an index", &error, err);
    bson_destroy(&reply);
    bson_destroy(&command);
    bson_destroy(&list);
    bson_destroy(&index);
    bson_destroy(keys);
    return ok;
}

static bool check_version(struct mongo_link *l, struct err *err)
{
    bson_t *selector = BCON_NEW("_id", "schema");
    bson_t *update = BCON_NEW("$setOnInsert", "{", "version", BCON_INT64(SCHEMA_VERSION), "}");
    int64_t version = SCHEMA_VERSION;
    const bson_t *row;
    bool ok = mongo_update(l, PLACE_META, selector, update, true, "write the schema version", err);
    if (ok) {
        mongoc_cursor_t *rows = mongo_find(l, PLACE_META, selector, &(struct mongo_query){.limit = 1});
        if (mongoc_cursor_next(rows, &row))
            version = mongo_number(row, "version");
        ok = mongo_rows_end(l, rows, "read the schema version", err);
    }
    bson_destroy(selector);
    bson_destroy(update);
    if (ok && version > SCHEMA_VERSION)
        return err_set(err, ERR_INTERNAL, "the database has schema %lld, this program knows %d",
                       (long long)version, SCHEMA_VERSION);
    return ok;
}

bool mongo_schema_make(struct mongo_link *l, struct err *err)
{
    if (!check_version(l, err))
        return false;
    for (size_t i = 0; i < countof(indexes); i++)
        if (indexes[i].place >= 0 && !make_index(l, i, err))
            return false;
    return true;
}
