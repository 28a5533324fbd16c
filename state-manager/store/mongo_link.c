#include "state-manager/store/mongo_link.h"
#include "shared/clock.h"
#include "state-manager/store/mongo_schema.h"
#include <pthread.h>
#include <string.h>

enum { TIMEOUT_MS = 2000, MAJORITY_WAIT_MS = 1500, RETRY_MS = 300 };

static const char *const place_names[PLACE_COUNT] = {
    [PLACE_DOCUMENTS] = "documents", [PLACE_TENANTS] = "tenants",       [PLACE_LOG] = "log",
    [PLACE_CHANNELS] = "channels",   [PLACE_QUARANTINE] = "quarantine", [PLACE_META] = "meta",
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
    /* of the driver: no connection, or nothing that a server of this protocol would answer */
    static const uint32_t broken[] = {MONGOC_ERROR_STREAM, MONGOC_ERROR_SERVER_SELECTION,
                                      MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_BSON, MONGOC_ERROR_CLIENT};
    if (error->domain == MONGOC_ERROR_CLIENT && error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE)
        return ERR_INTERNAL;
    for (size_t i = 0; i < countof(broken); i++)
        if (error->domain == broken[i])
            return ERR_UNAVAILABLE;
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
    if (code == ERR_UNAVAILABLE)
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
    return mongo_schema_make(l, err);
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
    bool ok = mongo_upsert(l, PLACE_META, selector, update, "try to write", NULL, err);
    bson_destroy(selector);
    bson_destroy(update);
    return ok;
}
