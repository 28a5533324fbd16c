/*
 * A client of MongoDB: connection, collections and indexes, what its errors mean. For store/mongo*.c only.
 *
 * Thread: the one of the handle. Every call begins with mongo_link_ready(), which connects and makes what is
 * missing after each failure, so that a store that comes back is used again.
 */
#ifndef STATE_MANAGER_STORE_MONGO_LINK_H
#define STATE_MANAGER_STORE_MONGO_LINK_H

#include "shared/map.h"
#include "state-manager/core/store.h"
#include <mongoc/mongoc.h>

/* The collections; documents of all kinds share one (mongo_docs.h), so that a commit writes them in one round
 * trip. */
enum mongo_place {
    PLACE_DOCUMENTS,
    PLACE_TENANTS,
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

/* Entries of a tenant, from first to last. */
struct mongo_span {
    char tenant_id[TENANT_ID_MAX + 1];
    uint64_t first, last;
};

enum { MONGO_SPANS_MAX = 64 };

/* What every handle of this store begins with. */
struct mongo_store {
    struct store base;
    struct mongo_link link;
    struct map heads; /* tenant id -> struct head, as this writer last read or wrote it */
    struct mongo_span settled[MONGO_SPANS_MAX]; /* that the log still calls fresh */
    size_t settled_spans, settled_entries;
};

static inline struct mongo_store *mongo_store_of(struct store *s)
{
    return container_of(s, struct mongo_store, base);
}

static inline struct mongo_link *mongo_link_of(struct store *s)
{
    return &mongo_store_of(s)->link;
}

bool mongo_link_open(struct mongo_link *l, const char *url, bool writer, struct err *err) MUSTCHECK;
void mongo_link_close(struct mongo_link *l);

bool mongo_link_ready(struct mongo_link *l, struct err *err) MUSTCHECK;
/* As ready, for calls that only a writer's handle may make. */
bool mongo_link_writing(struct mongo_link *l, struct err *err) MUSTCHECK;
/* One write that must reach a majority: whether the store really takes writes. */
bool mongo_link_probe(struct mongo_link *l, struct err *err) MUSTCHECK;

/* Sets err by what the driver said; returns false. */
bool mongo_fail(struct mongo_link *l, const char *doing, const bson_error_t *error, struct err *err);

/* --- writing: mongo_write.c ----------------------------------------------------------------------------- */

/* What became of a write of several documents. */
struct mongo_outcome {
    size_t taken;         /* documents that were written */
    size_t made;          /* of these, by an upsert that found none */
    size_t duplicates;    /* refused by a unique index */
    bool others;          /* refused or not confirmed for another reason */
    unsigned char *twins; /* in: NULL or one per document; out: 1 = a duplicate */
};

/* Inserts, unordered. False: not all that are no duplicates are known to be kept. */
bool mongo_insert(struct mongo_link *l, enum mongo_place place, bson_t *const *docs, size_t count,
                  const char *doing, struct mongo_outcome *out, struct err *err) MUSTCHECK;

/* A bulk of updates, unordered; options as in `l`. */
mongoc_bulk_operation_t *mongo_bulk(struct mongo_link *l, enum mongo_place place, const bson_t *options);
void mongo_bulk_add(mongoc_bulk_operation_t *bulk, const bson_t *selector, const bson_t *update, bool upsert);
/* For all documents that match. */
void mongo_bulk_add_many(mongoc_bulk_operation_t *bulk, const bson_t *selector, const bson_t *update);
/* Executes (nothing, when count is 0) and destroys. With `out`, each update must have met a document, made
 * one or been refused as a duplicate; without, whatever the server did is fine unless it calls it an error.
 */
bool mongo_bulk_end(struct mongo_link *l, mongoc_bulk_operation_t *bulk, size_t count, const char *doing,
                    struct mongo_outcome *out, struct err *err) MUSTCHECK;
/* One upsert; a duplicate is tried once more: then the document is there. *made, when given: it was not. */
bool mongo_upsert(struct mongo_link *l, enum mongo_place place, const bson_t *selector, const bson_t *update,
                  const char *doing, bool *made, struct err *err) MUSTCHECK;
/* Deletes all that match; *removed, when given: how many. */
bool mongo_delete(struct mongo_link *l, enum mongo_place place, const bson_t *selector, bool durable,
                  const char *doing, size_t *removed, struct err *err) MUSTCHECK;

/* --- reading: mongo_rows.c ------------------------------------------------------------------------------ */

/* A find; sort and fields are JSON texts of ours or NULL, limit 0: none. Destroy the cursor with
 * mongo_rows_end(). `majority`: only what no election can take back. */
struct mongo_query {
    const char *sort, *fields;
    size_t limit;
    bool majority;
};
mongoc_cursor_t *mongo_find(struct mongo_link *l, enum mongo_place place, const bson_t *filter,
                            const struct mongo_query *query);
bool mongo_rows_end(struct mongo_link *l, mongoc_cursor_t *cursor, const char *doing,
                    struct err *err) MUSTCHECK;
/* How many match; at `most` (never 0) the server stops counting. */
bool mongo_matches(struct mongo_link *l, enum mongo_place place, const bson_t *filter, uint64_t most,
                   const char *doing, uint64_t *count, struct err *err) MUSTCHECK;

/* Fields: absent or of another type gives 0 or an empty view, valid as long as the document. */
int64_t mongo_number(const bson_t *doc, const char *field);
uint64_t mongo_count(const bson_t *doc, const char *field); /* of what is never below 0 */
struct view mongo_text(const bson_t *doc, const char *field);
struct view mongo_bytes(const bson_t *doc, const char *field);
void mongo_copy(const bson_t *doc, const char *field, char *out, size_t size);
void mongo_put_view(bson_t *doc, const char *field, struct view text);
void mongo_put_number(bson_t *doc, const char *field, uint64_t number);

/* Filters. */
bson_t *mongo_by_id(struct view id);
bson_t *mongo_behind_id(struct view id); /* ids after this one */
/* {"_id": {"$in": [...]}}: begin, add count ids, end. */
struct mongo_ids {
    bson_t filter, in, list;
    uint32_t count;
};
void mongo_ids_begin(struct mongo_ids *ids);
void mongo_ids_add(struct mongo_ids *ids, struct view id);
bson_t *mongo_ids_end(struct mongo_ids *ids); /* borrowed; bson_destroy() it when done */

#endif
