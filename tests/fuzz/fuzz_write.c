/* Bodies of writes on a profile's resources, decided on a throw-away store. The first byte says which
 * operation. What is taken leaves documents, events and an answer that everybody can read, put into a log
 * entry too; what is refused leaves nothing. */
#include "shared/json.h"
#include "state-manager/core/batch.h"
#include "state-manager/core/command.h"
#include "state-manager/core/record.h"
#include "state-manager/store/changes.h"
#include "state-manager/store/open.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NOW_S = 1789200000, REPLY_MAX = 4 << 20 };

static const char text[] =
    "{\"profile\":\"lab\",\"roles\":[\"user\"],\"people\":\"people\",\"rooms\":[{\"room\":\"room-{x}\","
    "\"roles\":[\"user\"]},{\"room\":\"r-{x}\",\"self\":true}],\"resources\":{"
    "\"people\":{\"people\":true,\"operations\":{\"list\":{\"do\":\"list\",\"method\":\"GET\",\"path\":\"/"
    "people\",\"who\":[\"*\"]}}},"
    "\"items\":{\"owner\":\"userId\",\"state\":\"status\",\"fields\":{\"title\":{\"type\":\"string\",\"min\":"
    "1,\"max\":20},"
    "\"count\":{\"type\":\"integer\",\"max\":9},\"price\":{\"type\":\"number\",\"min\":0},\"ok\":{\"type\":"
    "\"boolean\"},"
    "\"extra\":{\"type\":\"object\"},\"note\":{\"type\":\"any\"},\"status\":{\"type\":\"string\",\"enum\":["
    "\"new\",\"done\"]},"
    "\"lines\":{\"type\":\"array\",\"items\":{\"sku\":{\"type\":\"string\",\"required\":true},\"n\":{"
    "\"type\":\"integer\"}}}},"
    "\"operations\":{"
    "\"create\":{\"do\":\"create\",\"method\":\"POST\",\"path\":\"/"
    "items\",\"who\":[\"*\"],\"fields\":[\"title!\",\"count\",\"price\","
    "\"ok\",\"extra\",\"note\",\"status\",\"lines\"],\"set\":{\"userId\":\"${token.sub}\",\"said\":\"t: "
    "${body.title}\"},"
    "\"emit\":[{\"event\":\"made\",\"data\":{\"...\":\"${document}\",\"by\":\"${token.name}\"}},"
    "{\"event\":\"told\",\"to\":[\"room-${body.title}\",\"r-${document.note}\"],\"data\":\"${body.note}\"}]},"
    "\"update\":{\"do\":\"update\",\"method\":\"PATCH\",\"path\":\"/items/"
    "{id}\",\"who\":[\"*\"],\"fields\":[\"title\",\"count\","
    "\"note\",\"status\",\"lines\"],\"set\":{\"at\":\"${now}\"},\"audit\":{\"before\":\"${before.note}\","
    "\"after\":\"${document.note}\"},"
    "\"emit\":[{\"event\":\"changed\",\"when\":{\"changed\":[\"note\",\"lines\"]},\"data\":\"${document}\"}]}"
    ","
    "\"say\":{\"do\":\"update\",\"method\":\"POST\",\"path\":\"/items/{id}/"
    "words\",\"who\":[\"*\"],\"fields\":[\"note!\"],"
    "\"append\":{\"words\":{\"is\":\"${body.note}\"}},\"emit\":[{\"event\":\"word\",\"data\":\"${appended}\"}"
    "]}}},"
    "\"wishes\":{\"id\":{\"names\":[\"userId\"]},\"fields\":{\"wishes\":{\"type\":\"object\"}},"
    "\"operations\":{"
    "\"put\":{\"do\":\"replace\",\"method\":\"PUT\",\"path\":\"/"
    "wishes\",\"who\":[\"*\"],\"id\":\"${token.sub}\",\"body\":\"any\","
    "\"set\":{\"wishes\":\"${body}\"},\"emit\":[{\"event\":\"wished\",\"data\":{\"w\":\"${document.wishes}\"}"
    "}]}}}}}";

static const char *const operations[] = {"lab.items.create", "lab.items.update", "lab.items.say",
                                         "lab.wishes.put"};

static struct profiles profiles = {.count = 1};
static struct store *store;
static char folder[] = "/tmp/portalcast-fuzz-XXXXXX";

static void close_store(void)
{
    static const char *const files[] = {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"};
    store_close(store);
    profile_free(profiles.items[0]);
    for (size_t i = 0; i < countof(files); i++) {
        char path[sizeof folder + 32];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void open_store(void)
{
    char url[sizeof folder + 32];
    struct err err = {0};
    struct buf faults;
    buf_init(&faults, 1 << 16);
    profiles.items[0] = profile_read("lab.json", view_of(text), &faults);
    MUST(profiles.items[0] && !faults.len);
    MUST(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/store.db", folder);
    MUST((store = store_open(url, STORE_WRITER, &err)));
    atexit(close_store);
}

static void check_entry(const struct entry *e)
{
    struct view value, body;
    struct event event;
    struct record record;
    struct buf log;
    struct err err;
    buf_init(&log, 2 * ENTRY_BYTES_MAX);
    changes_write(e->changes, e->change_count, &log);
    MUST(!log.overflow && json_check(buf_view(&log), JSON_STRICT, &value, &err));
    for (size_t i = 0; i < e->change_count; i++) {
        const struct change *change = &e->changes[i];
        MUST(json_check(change->doc, JSON_STRICT, &value, NULL) && view_eq(value, change->doc));
        if (change->kind == DOC_RECORD) {
            record_read(value, &record);
            MUST(record.version > 0 && record.document.n <= RECORD_BYTES_MAX);
        }
        MUST(view_is_utf8(change->key) && view_is_utf8(change->place.owner) &&
             view_is_utf8(change->place.state));
        MUST(change->place.state.n <= DOC_STATE_MAX);
    }
    MUST(json_check(e->events, JSON_STRICT, &value, NULL));
    for (struct json_iter it = json_iter(value); json_next_element(&it, &body);)
        MUST(event_decode(body, &event, &err));
    buf_free(&log);
}

/* One call on the batch; what was taken stays in it. */
static void decide(struct batch *b, const char *operation, struct view body, unsigned char seed,
                   struct buf *reply)
{
    struct err err = {0};
    struct view value;
    struct command c = {
        .type = COMMAND_WRITE,
        .operation = profiles_operation(&profiles, view_of(operation)),
        .element = body,
        .params = VIEW("{\"id\":\"0\"}"),
        .claims = VIEW("{\"tenantId\":\"t1\",\"sub\":\"u\",\"roles\":[\"user\"],\"name\":\"\\ud83d\"}"),
        .author = VIEW("u"),
        .seed = {seed},
        .reply = reply};
    buf_clear(reply);
    bool taken = command_decide(b, &c, &err);
    MUST(taken || err.code == ERR_INVALID || err.code == ERR_CONFLICT || err.code == ERR_TOO_LARGE);
    MUST(taken || view_is_utf8(view_of(err.text)));
    MUST(!taken || json_check(buf_view(reply), JSON_STRICT, &value, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char item[] =
        "{\"at\":1,\"ord\":1,\"document\":{\"id\":\"0\",\"title\":\"x\",\"note\":[1],\"version\":1}}";
    struct view body = fuzz_input(data + (size > 0), size - (size > 0)), value = {NULL, 0};
    struct err err = {0};
    struct buf reply;
    if (!store)
        open_store();
    if (!size || !json_check(body, JSON_STRICT, &value, &err))
        return 0;
    buf_init(&reply, REPLY_MAX);
    struct batch *b = batch_create(store, "t1", (int64_t)NOW_S * 1000, &err);
    MUST(b);
    batch_put(b, DOC_RECORD, VIEW("lab.items/0"), (struct doc_place){.parent = VIEW("lab.items")},
              view_of(item));
    decide(b, operations[data[0] % countof(operations)], value, 1, &reply);
    decide(b, operations[data[0] % countof(operations)], value, 2, &reply); /* and again */
    const struct entry *e = batch_seal(b, &err);
    MUST(e && !err.code);
    check_entry(e);
    batch_destroy(b);
    buf_free(&reply);
    return 0;
}
