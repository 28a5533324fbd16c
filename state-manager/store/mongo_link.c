#include "state-manager/store/mongo_link.h"
#include "shared/clock.h"
#include "state-manager/store/mongo_schema.h"
#include <pthread.h>
#include <string.h>

enum { TIMEOUT_MS = 2000, MAJORITY_WAIT_MS = 1500, RETRY_MS = 300, BATCH_ROWS = 200, DUPLICATE_KEY = 11000 };

static const char *const place_names[PLACE_COUNT] = {
#define X(kind, name, plural, listed) plural,
    DOC_KINDS(X)
#undef X
        [PLACE_TENANTS] = "tenants",
    [PLACE_LOG] = "log",
    [PLACE_CHANNELS] = "channels",
    [PLACE_QUARANTINE] = "quarantine",
    [PLACE_META] = "meta",
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The driver would write to stderr what its errors tell us anyway. */
static void init_driver(void)
{
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
}

static void default_option(mongoc_uri_t *uri, const char *name, int32_t value)
{
    if (!mongoc_uri_has_option(uri, name))
        mongoc_uri_set_option_as_int32(uri, name, value);
}

static void make_write_options(bson_t *options, bool durable)
{
    mongoc_write_concern_t *concern = mongoc_write_concern_new();
    if (durable) {
        mongoc_write_concern_set_wmajority(concern, MAJORITY_WAIT_MS);
        mongoc_write_concern_set_journal(concern, true);
    } else {
        mongoc_write_concern_set_w(concern, 1);
    }
    bson_init(options);
    mongoc_write_concern_append(concern, options);
    BSON_APPEND_BOOL(options, "ordered", false);
    mongoc_write_concern_destroy(concern);
}

bool mongo_link_open(struct mongo_link *l, const char *url, bool writer, struct err *err)
{
    bson_error_t error;
    pthread_once(&once, init_driver);
    l->writer = writer;
    l->primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    make_write_options(&l->durable, true);
    make_write_options(&l->light, false);
    /* What the driver says of a URL that it cannot read may hold the password. */
    l->uri = mongoc_uri_new_with_error(url, &error);
    if (!l->uri)
        return err_set(err, ERR_INVALID, "STORE_URL is no URL of a MongoDB store");
    default_option(l->uri, MONGOC_URI_CONNECTTIMEOUTMS, TIMEOUT_MS);
    default_option(l->uri, MONGOC_URI_SOCKETTIMEOUTMS, TIMEOUT_MS);
    default_option(l->uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, TIMEOUT_MS);
    if (!mongoc_uri_has_option(l->uri, MONGOC_URI_RETRYREADS)) /* it would double the wait */
        mongoc_uri_set_option_as_bool(l->uri, MONGOC_URI_RETRYREADS, false);
    if (!mongoc_uri_get_appname(l->uri))
        mongoc_uri_set_appname(l->uri, "portalcast");
    return true;
}

static void drop_client(struct mongo_link *l)
{
    for (int i = 0; i < PLACE_COUNT; i++) {
        if (l->places[i])
            mongoc_collection_destroy(l->places[i]);
        l->places[i] = NULL;
    }
    if (l->client)
        mongoc_client_destroy(l->client);
    l->client = NULL;
}

void mongo_link_close(struct mongo_link *l)
{
    drop_client(l);
    mongoc_uri_destroy(l->uri);
    mongoc_read_prefs_destroy(l->primary);
    bson_destroy(&l->durable);
    bson_destroy(&l->light);
}

/* Codes of the server that pass: elections, shutdowns, time limits, full disks, lost races for a document. */
static enum err_code code_of(const bson_error_t *error)
{
    static const uint32_t passing[] = {6,     7,     89,    91,    112,   133,   189, 9001, 10058, 10107,
                                       11600, 11602, 13435, 13436, 13388, 14031, 100, 134,  262,   317};
    bool of_driver =
        error->domain == MONGOC_ERROR_STREAM || error->domain == MONGOC_ERROR_SERVER_SELECTION ||
        (error->domain == MONGOC_ERROR_CLIENT && error->code != MONGOC_ERROR_CLIENT_AUTHENTICATE);
    if (of_driver)
        return ERR_UNAVAILABLE;
    if (error->domain == MONGOC_ERROR_CLIENT)
        return ERR_INTERNAL;
    if (error->code == 64 || error->code == 50) /* write concern, time limit of an operation */
        return ERR_TIMEOUT;
    for (size_t i = 0; i < countof(passing); i++)
        if (error->code == passing[i])
            return ERR_UNAVAILABLE;
    return error->domain == MONGOC_ERROR_WRITE_CONCERN ? ERR_TIMEOUT : ERR_INTERNAL;
}

bool mongo_fail(struct mongo_link *l, const char *doing, const bson_error_t *error, struct err *err)
{
    enum err_code code = code_of(error);
    if (code != ERR_INTERNAL)
        l->ready = false;
    return err_set(err, code, "mongodb: %s: %.160s (%u)", doing, error->message, error->code);
}

/* A new client: one that has failed to connect would not try again for 5 s. */
static bool connect_anew(struct mongo_link *l, struct err *err)
{
    bson_error_t error;
    drop_client(l);
    l->client = mongoc_client_new_from_uri_with_error(l->uri, &error);
    if (!l->client)
        return mongo_fail(l, "connect", &error, err);
    const char *database = mongoc_uri_get_database(l->uri);
    mongoc_client_set_error_api(l->client, MONGOC_ERROR_API_VERSION_2);
    for (int i = 0; i < PLACE_COUNT; i++)
        l->places[i] =
            mongoc_client_get_collection(l->client, database ? database : "portalcast", place_names[i]);
    mongoc_server_description_t *server = mongoc_client_select_server(l->client, true, NULL, &error);
    if (!server)
        return mongo_fail(l, "connect", &error, err);
    l->replicated = strcmp(mongoc_server_description_type(server), "Standalone") != 0;
    mongoc_server_description_destroy(server);
    return !l->writer || mongo_schema_make(l, err);
}

bool mongo_link_ready(struct mongo_link *l, struct err *err)
{
    if (l->ready)
        return true;
    if (clock_mono_ms() < l->retry_at_ms)
        return err_set(err, ERR_UNAVAILABLE, "mongodb: the store did not answer a moment ago");
    l->ready = connect_anew(l, err);
    l->retry_at_ms = l->ready ? 0 : clock_mono_ms() + RETRY_MS;
    return l->ready;
}

bool mongo_link_writing(struct mongo_link *l, struct err *err)
{
    if (!l->writer)
        return err_set(err, ERR_INTERNAL, "mongodb: a reader's handle cannot write");
    return mongo_link_ready(l, err);
}

bool mongo_link_probe(struct mongo_link *l, struct err *err)
{
    bson_t *selector = BCON_NEW("_id", "probe"), *update = BCON_NEW("$inc", "{", "count", BCON_INT64(1), "}");
    bool ok = mongo_update(l, PLACE_META, selector, update, true, "try to write", err);
    bson_destroy(selector);
    bson_destroy(update);
    return ok;
}

/* --- writing ---------------------------------------------------------------------------------------------
 */

static size_t count_of(const bson_t *reply, const char *field)
{
    return (size_t)mongo_number(reply, field);
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
    return !out->others && out->duplicates > 0 && out->taken + out->duplicates >= count;
}

bool mongo_insert(struct mongo_link *l, enum mongo_place place, bson_t *const *docs, size_t count,
                  const char *doing, struct mongo_outcome *out, struct err *err)
{
    bson_error_t error = {0};
    bson_t reply;
    bool ok = mongoc_collection_insert_many(l->places[place], (const bson_t **)(void *)docs, count,
                                            &l->durable, &reply, &error);
    read_outcome(&reply, count, out);
    out->taken = count_of(&reply, "insertedCount");
    bson_destroy(&reply);
    return ok || accounted(out, count) || mongo_fail(l, doing, &error, err);
}

mongoc_bulk_operation_t *mongo_bulk(struct mongo_link *l, int place, const bson_t *options)
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

bool mongo_bulk_end(struct mongo_link *l, mongoc_bulk_operation_t *bulk, size_t count, const char *doing,
                    size_t *duplicates, struct err *err)
{
    bson_error_t error = {0};
    bson_t reply = BSON_INITIALIZER;
    struct mongo_outcome out = {0};
    bool ok = true;
    if (count) {
        bson_destroy(&reply);
        ok = mongoc_bulk_operation_execute(bulk, &reply, &error) != 0;
        read_outcome(&reply, count, &out);
        out.taken = count_of(&reply, "nMatched") + count_of(&reply, "nUpserted");
        ok = ok || (duplicates && accounted(&out, count)) || mongo_fail(l, doing, &error, err);
    }
    if (duplicates)
        *duplicates = out.duplicates;
    bson_destroy(&reply);
    mongoc_bulk_operation_destroy(bulk);
    return ok;
}

bool mongo_update(struct mongo_link *l, enum mongo_place place, const bson_t *selector, const bson_t *update,
                  bool upsert, const char *doing, struct err *err)
{
    size_t duplicates = 0;
    for (int tries = 0; tries < 2; tries++) {
        mongoc_bulk_operation_t *bulk = mongo_bulk(l, place, &l->durable);
        mongo_bulk_add(bulk, selector, update, upsert);
        if (!mongo_bulk_end(l, bulk, 1, doing, &duplicates, err))
            return false;
        if (!duplicates)
            return true;
    }
    return err_set(err, ERR_UNAVAILABLE, "mongodb: %s: others write the same", doing);
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

static void add_json(bson_t *options, const char *name, const char *json)
{
    bson_t *part = json ? bson_new_from_json((const uint8_t *)json, -1, NULL) : NULL;
    if (part)
        bson_append_document(options, name, -1, part);
    bson_destroy(part);
}

mongoc_cursor_t *mongo_find(struct mongo_link *l, int place, const bson_t *filter,
                            const struct mongo_query *query)
{
    bson_t options = BSON_INITIALIZER;
    add_json(&options, "sort", query->sort);
    add_json(&options, "projection", query->fields);
    if (query->limit)
        BSON_APPEND_INT64(&options, "limit", query->limit);
    BSON_APPEND_INT64(&options, "batchSize", query->limit ? query->limit : BATCH_ROWS);
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

int64_t mongo_number(const bson_t *doc, const char *field)
{
    bson_iter_t at;
    return bson_iter_init_find(&at, doc, field) ? bson_iter_as_int64(&at) : 0;
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
