#include "tests/contract/store_fixture.h"
#include "state-manager/store/open.h"
#include "tests/contract/mongo_raw.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store_fixture stores;

static void open_handles(struct store_fixture *f)
{
    struct err err = {0};
    f->writer = store_open(f->url, STORE_WRITER, &err);
    ck_assert_msg(f->writer != NULL, "%s", err.text);
    f->reader = store_open(f->url, STORE_READER, &err);
    ck_assert_msg(f->reader != NULL, "%s", err.text);
}

static void close_handles(struct store_fixture *f)
{
    store_close(f->reader);
    store_close(f->writer);
}

/* The URL of the server with a database of this test's in it. */
static void name_database(struct store_fixture *f)
{
    static int count;
    const char *server = getenv("MONGODB_TEST_URL");
    ck_assert_msg(server && *server, "MONGODB_TEST_URL names no server: `make unit` starts one");
    const char *host = strstr(server, "://");
    ck_assert_msg(host != NULL, "MONGODB_TEST_URL is no URL");
    size_t place = (size_t)(host - server) + 3;
    place += strcspn(server + place, "/?");
    snprintf(f->url, sizeof f->url, "%.*s/portalcast_test_%ld_%d%s", (int)place, server, (long)getpid(),
             ++count, server + place + strcspn(server + place, "?"));
}

void store_fixture_open(struct store_fixture *f)
{
    if (f->kind == STORE_SQLITE) {
        snprintf(f->directory, sizeof f->directory, "/tmp/portalcast-store-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(f->directory));
        snprintf(f->url, sizeof f->url, "sqlite:%s/test.db", f->directory);
    } else {
        name_database(f);
    }
    open_handles(f);
}

void store_fixture_reopen(struct store_fixture *f)
{
    close_handles(f);
    open_handles(f);
}

void store_fixture_close(struct store_fixture *f)
{
    char command[128];
    close_handles(f);
    if (f->kind == STORE_MONGO) {
        mongo_raw_drop(f->url);
        return;
    }
    snprintf(command, sizeof command, "rm -rf %s", f->directory);
    ck_assert_int_eq(system(command), 0);
}

struct entry store_entry(const char *tenant_id, uint64_t n, const char *events, uint64_t first, uint64_t last)
{
    return (struct entry){.tenant_id = tenant_id,
                          .epoch = "e1",
                          .n = n,
                          .first_seq = first,
                          .last_seq = last,
                          .at_wall_ms = 1789200000000,
                          .events = view_of(events)};
}

bool store_commit(struct entry *e)
{
    CK_STORE(stores.writer, commit, &e, 1);
    return e->result == COMMIT_DONE;
}

void store_put(const char *tenant_id, const struct change *changes, size_t count)
{
    struct head head;
    CK_STORE(stores.writer, head, tenant_id, &head);
    struct entry e = store_entry(tenant_id, head.n + 1, "[]", head.seq + 1, head.seq);
    if (*head.epoch)
        e.epoch = head.epoch;
    e.changes = changes;
    e.change_count = count;
    ck_assert(store_commit(&e));
}

const char *store_doc(struct store *s, const char *tenant_id, enum doc_kind kind, const char *key)
{
    static char text[512];
    struct buf doc;
    bool found;
    buf_init(&doc, DOC_MAX);
    CK_STORE(s, get, tenant_id, kind, view_of(key), &doc, &found);
    snprintf(text, sizeof text, "%s", !found ? "-" : doc.data ? doc.data : "");
    buf_free(&doc);
    return text;
}

bool seen_add(struct seen *seen, const char *format, ...)
{
    va_list args;
    size_t at = strlen(seen->text);
    va_start(args, format);
    vsnprintf(seen->text + at, sizeof seen->text - at, format, args);
    va_end(args);
    return ++seen->count != seen->stop_after;
}
