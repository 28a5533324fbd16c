#include "state-manager/store/mongo_link.h"

enum { DUPLICATE_KEY = 11000 };

static size_t count_of(const bson_t *reply, const char *field)
{
    return (size_t)mongo_count(reply, field);
}

/* Reads the errors of single documents out of a reply. */
static void read_outcome(const bson_t *reply, size_t count, struct mongo_outcome *out)
{
    bson_iter_t at, element, field;
    if (bson_iter_init_find(&at, reply, "writeConcernErrors") && bson_iter_recurse(&at, &element))
        out->others = bson_iter_next(&element);
    if (!bson_iter_init_find(&at, reply, "writeErrors") || !bson_iter_recurse(&at, &element))
        return;
    while (bson_iter_next(&element)) {
        int64_t code = 0, index = -1;
        if (bson_iter_recurse(&element, &field) && bson_iter_find(&field, "code"))
            code = bson_iter_as_int64(&field);
        if (bson_iter_recurse(&element, &field) && bson_iter_find(&field, "index"))
            index = bson_iter_as_int64(&field);
        if (code != DUPLICATE_KEY) {
            out->others = true;
            continue;
        }
        out->duplicates++;
        if (out->twins && index >= 0 && (size_t)index < count)
            out->twins[index] = 1;
    }
}

/* The driver keeps only one error of several batches: what is not accounted for may be lost. (Some servers
 * count refused inserts as taken, too.) */
static bool accounted(const struct mongo_outcome *out, size_t count)
{
    return !out->others && out->taken + out->duplicates >= count;
}

/* What a write has come to; the driver sees no fault in an answer that says nothing. */
static bool conclude(struct mongo_link *l, const char *doing, bool ok, bool all, bson_error_t *error,
                     struct err *err)
{
    if (all)
        return true;
    if (ok)
        bson_set_error(error, MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY,
                       "the server does not say that all is done");
    return mongo_fail(l, doing, error, err);
}

bool mongo_insert(struct mongo_link *l, enum mongo_place place, bson_t *const *docs, size_t count,
                  const char *doing, struct mongo_outcome *out, struct err *err)
{
    bson_error_t error;
    bson_t reply;
    bool ok = mongoc_collection_insert_many(l->places[place], (const bson_t **)(void *)docs, count,
                                            &l->durable, &reply, &error);
    read_outcome(&reply, count, out);
    out->taken = count_of(&reply, "insertedCount");
    bson_destroy(&reply);
    return conclude(l, doing, ok, accounted(out, count), &error, err);
}

mongoc_bulk_operation_t *mongo_bulk(struct mongo_link *l, enum mongo_place place, const bson_t *options)
{
    return mongoc_collection_create_bulk_operation_with_opts(l->places[place], options);
}

void mongo_bulk_add(mongoc_bulk_operation_t *bulk, const bson_t *selector, const bson_t *update, bool upsert)
{
    bson_t options = BSON_INITIALIZER;
    bson_error_t error; /* a wrong one would be ours; it spoils the bulk, and its execution tells */
    if (upsert)
        BSON_APPEND_BOOL(&options, "upsert", true);
    mongoc_bulk_operation_update_one_with_opts(bulk, selector, update, &options, &error);
    bson_destroy(&options);
}

void mongo_bulk_add_many(mongoc_bulk_operation_t *bulk, const bson_t *selector, const bson_t *update)
{
    bson_error_t error; /* as above */
    mongoc_bulk_operation_update_many_with_opts(bulk, selector, update, NULL, &error);
}

bool mongo_bulk_end(struct mongo_link *l, mongoc_bulk_operation_t *bulk, size_t count, const char *doing,
                    struct mongo_outcome *out, struct err *err)
{
    bson_error_t error;
    bson_t reply = BSON_INITIALIZER;
    bool all = true;
    if (count) {
        bson_destroy(&reply);
        bool ok = mongoc_bulk_operation_execute(bulk, &reply, &error) != 0;
        all = ok;
        if (out) {
            read_outcome(&reply, count, out);
            out->made = count_of(&reply, "nUpserted");
            out->taken = count_of(&reply, "nMatched") + out->made;
            all = accounted(out, count);
        }
        all = conclude(l, doing, ok, all, &error, err);
    }
    bson_destroy(&reply);
    mongoc_bulk_operation_destroy(bulk);
    return all;
}

bool mongo_upsert(struct mongo_link *l, enum mongo_place place, const bson_t *selector, const bson_t *update,
                  const char *doing, bool *made, struct err *err)
{
    for (int tries = 0; tries < 2; tries++) {
        struct mongo_outcome out = {0};
        mongoc_bulk_operation_t *bulk = mongo_bulk(l, place, &l->durable);
        mongo_bulk_add(bulk, selector, update, true);
        if (!mongo_bulk_end(l, bulk, 1, doing, &out, err))
            return false;
        if (made)
            *made = out.made > 0;
        if (!out.duplicates)
            return true;
    }
    return err_set(err, ERR_UNAVAILABLE, "mongodb: %s: others write the same", doing);
}

bool mongo_delete(struct mongo_link *l, enum mongo_place place, const bson_t *selector, bool durable,
                  const char *doing, size_t *removed, struct err *err)
{
    bson_error_t error;
    bson_t reply, options = BSON_INITIALIZER;
    bson_copy_to_excluding_noinit(durable ? &l->durable : &l->light, &options, "ordered", NULL);
    bool ok = mongoc_collection_delete_many(l->places[place], selector, &options, &reply, &error) ||
              mongo_fail(l, doing, &error, err);
    if (removed)
        *removed = ok ? count_of(&reply, "deletedCount") : 0;
    bson_destroy(&reply);
    bson_destroy(&options);
    return ok;
}
