/*
 * A client of MongoDB: connection, collections and indexes, what its errors mean. For store/mongo*.c only.
 *
 * Thread: the one of the handle. Every call begins with mongo_link_ready(), which connects and makes what is
 * missing after each failure, so that a store that comes back is used again.
 */
#ifndef STATE_MANAGER_STORE_MONGO_LINK_H
#define STATE_MANAGER_STORE_MONGO_LINK_H

#include "state-manager/core/store.h"
#include <mongoc/mongoc.h>

/* The collections besides those of the documents, which come first, in the order of enum doc_kind. */
enum mongo_place {
    PLACE_TENANTS = DOC_KIND_COUNT,
    PLACE_LOG,
    PLACE_CHANNELS,
    PLACE_QUARANTINE,
    PLACE_META,
    PLACE_COUNT
};

struct mongo_link {
    mongoc_uri_t *uri;
    mongoc_client_t *client; /* made anew after a failure */
    int64_t retry_at_ms;     /* monotonic; a store that is away is not asked before */
    mongoc_collection_t *places[PLACE_COUNT];
    bson_t durable, light;        /* options of writes: majority and journal; one server */
    mongoc_read_prefs_t *primary; /* whatever the URL prefers: decisions need the newest */
    bool writer;                  /* makes indexes, may write */
    bool ready;
    bool replicated; /* reads can be lost by an election unless they ask for majority */
};

bool mongo_link_open(struct mongo_link *l, const char *url, bool writer, struct err *err) MUSTCHECK;
void mongo_link_close(struct mongo_link *l);

bool mongo_link_ready(struct mongo_link *l, struct err *err) MUSTCHECK;
/* As ready, for calls that only a writer's handle may make. */
bool mongo_link_writing(struct mongo_link *l, struct err *err) MUSTCHECK;
/* One write that must reach a majority: whether the store really takes writes. */
bool mongo_link_probe(struct mongo_link *l, struct err *err) MUSTCHECK;

/* Sets err by what the driver said; returns false. */
bool mongo_fail(struct mongo_link *l, const char *doing, const bson_error_t *error, struct err *err);

/* What became of a write of several documents. */
struct mongo_outcome {
    size_t taken;         /* documents that were written */
    size_t duplicates;    /* refused by a unique index */
    bool others;          /* refused or not confirmed for another reason */
    unsigned char *twins; /* in: NULL or one per document; out: 1 = a duplicate */
};

/* Inserts, unordered. False: not all that are no duplicates are known to be kept. */
bool mongo_insert(struct mongo_link *l, enum mongo_place place, bson_t *const *docs, size_t count,
                  const char *doing, struct mongo_outcome *out, struct err *err) MUSTCHECK;

/* A bulk of updates, unordered; options as in `l`. */
mongoc_bulk_operation_t *mongo_bulk(struct mongo_link *l, int place, const bson_t *options);
void mongo_bulk_add(mongoc_bulk_operation_t *bulk, const bson_t *selector, const bson_t *update, bool upsert);
/* Executes (nothing, when count is 0) and destroys. *duplicates, when given: upserts that met a unique index;
 * otherwise those are errors. */
bool mongo_bulk_end(struct mongo_link *l, mongoc_bulk_operation_t *bulk, size_t count, const char *doing,
                    size_t *duplicates, struct err *err) MUSTCHECK;
/* One update as a bulk; a duplicate is tried once more: then the document is there. */
bool mongo_update(struct mongo_link *l, enum mongo_place place, const bson_t *selector, const bson_t *update,
                  bool upsert, const char *doing, struct err *err) MUSTCHECK;

/* A find; sort and fields are JSON texts of ours or NULL, limit 0: none. Destroy the cursor with
 * mongo_rows_end(). `majority`: only what no election can take back. */
struct mongo_query {
    const char *sort, *fields;
    int64_t limit;
    bool majority;
};
mongoc_cursor_t *mongo_find(struct mongo_link *l, int place, const bson_t *filter,
                            const struct mongo_query *query);
bool mongo_rows_end(struct mongo_link *l, mongoc_cursor_t *cursor, const char *doing,
                    struct err *err) MUSTCHECK;

/* Fields: absent or of another type gives 0 or an empty view, valid as long as the document. */
int64_t mongo_number(const bson_t *doc, const char *field);
struct view mongo_text(const bson_t *doc, const char *field);
void mongo_copy(const bson_t *doc, const char *field, char *out, size_t size);
void mongo_put_view(bson_t *doc, const char *field, struct view text);
void mongo_put_number(bson_t *doc, const char *field, uint64_t number);

#endif
