#include "tests/contract/mongo_raw.h"
#include <check.h>
#include <mongoc/mongoc.h>

struct raw {
    mongoc_uri_t *uri;
    mongoc_client_t *client;
};

static struct raw raw_open(const char *url)
{
    struct raw r = {.uri = mongoc_uri_new(url)};
    ck_assert_ptr_nonnull(r.uri);
    r.client = mongoc_client_new_from_uri(r.uri);
    ck_assert_ptr_nonnull(r.client);
    return r;
}

static void raw_close(struct raw *r)
{
    mongoc_client_destroy(r->client);
    mongoc_uri_destroy(r->uri);
}

static mongoc_collection_t *collection_of(const struct raw *r, const char *name)
{
    return mongoc_client_get_collection(r->client, mongoc_uri_get_database(r->uri), name);
}

static bson_t *from_json(const char *json)
{
    bson_error_t error;
    bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
    ck_assert_msg(doc != NULL, "%s", error.message);
    return doc;
}

void mongo_raw_insert(const char *url, const char *collection, const char *json)
{
    bson_error_t error;
    struct raw r = raw_open(url);
    mongoc_collection_t *c = collection_of(&r, collection);
    bson_t *doc = from_json(json);
    ck_assert_msg(mongoc_collection_insert_one(c, doc, NULL, NULL, &error), "%s", error.message);
    bson_destroy(doc);
    mongoc_collection_destroy(c);
    raw_close(&r);
}

int64_t mongo_raw_count(const char *url, const char *collection, const char *filter)
{
    bson_error_t error;
    const bson_t *row;
    int64_t count = 0;
    struct raw r = raw_open(url);
    mongoc_collection_t *c = collection_of(&r, collection);
    bson_t *wanted = from_json(filter);
    mongoc_cursor_t *rows = mongoc_collection_find_with_opts(c, wanted, NULL, NULL);
    while (mongoc_cursor_next(rows, &row))
        count++;
    ck_assert_msg(!mongoc_cursor_error(rows, &error), "%s", error.message);
    mongoc_cursor_destroy(rows);
    bson_destroy(wanted);
    mongoc_collection_destroy(c);
    raw_close(&r);
    return count;
}

void mongo_raw_drop(const char *url)
{
    bson_error_t error;
    struct raw r = raw_open(url);
    mongoc_database_t *db = mongoc_client_get_database(r.client, mongoc_uri_get_database(r.uri));
    ck_assert_msg(mongoc_database_drop(db, &error), "%s", error.message);
    mongoc_database_destroy(db);
    raw_close(&r);
}
