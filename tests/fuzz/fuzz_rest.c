/* Bodies of REST calls, decided on a throw-away store with one conversation. The first byte says which call.
 * What is taken leaves readable documents, events and an answer; what is refused leaves nothing. */
#include "shared/json.h"
#include "shared/log.h"
#include "state-manager/core/batch.h"
#include "state-manager/core/command.h"
#include "state-manager/core/model.h"
#include "state-manager/store/open.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NOW_S = 1789200000, REPLY_MAX = 4 << 20 };

static const enum command_type calls[] = {COMMAND_OUTBOUND,  COMMAND_PATCH,   COMMAND_READ,
                                          COMMAND_CORRELATE, COMMAND_REFRESH, COMMAND_EVENTS,
                                          COMMAND_TENANT,    COMMAND_SESSION, COMMAND_REVOKE};
static const char hello[] =
    "{\"from\":\"4477\",\"id\":\"wamid.1\",\"timestamp\":\"1789200000\",\"type\":\"text\","
    "\"text\":{\"body\":\"hello\"}}";

static struct store *store;
static char folder[] = "/tmp/portalcast-fuzz-XXXXXX", conversation_id[MODEL_ID_SIZE];

static void close_store(void)
{
    static const char *const files[] = {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"};
    store_close(store);
    for (size_t i = 0; i < countof(files); i++) {
        char path[sizeof folder + 32];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static struct batch *new_batch(void)
{
    struct err err;
    struct batch *b = batch_create(store, "t1", (int64_t)NOW_S * 1000, &err);
    MUST(b);
    return b;
}

/* What the conversation is like that calls are about. */
static void open_store(void)
{
    char url[sizeof folder + 32];
    struct err err = {0};
    MUST(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/store.db", folder);
    MUST((store = store_open(url, STORE_WRITER, &err)));
    atexit(close_store);
    struct command c = {.type = COMMAND_INBOUND, .channel_id = VIEW("100"), .element = view_of(hello)};
    struct batch *b = new_batch();
    MUST(command_decide(b, &c, &err));
    struct entry *e = batch_seal(b, &err);
    MUST(e && store->ops->commit(store, &e, 1, &err) && e->result == COMMIT_DONE);
    batch_destroy(b);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), conversation_id);
}

static void check_event(struct view body)
{
    struct event event;
    struct err err;
    MUST(event_decode(body, &event, &err));
}

static void check_entry(const struct entry *e)
{
    struct view value, body;
    struct conversation c;
    struct message m;
    for (size_t i = 0; i < e->change_count; i++) {
        const struct change *change = &e->changes[i];
        MUST(json_check(change->doc, JSON_STRICT, &value, NULL) && view_eq(value, change->doc));
        MUST(change->kind != DOC_CONVERSATION || conversation_read(value, &c));
        MUST(change->kind != DOC_MESSAGE || message_read(value, &m));
        MUST(view_is_utf8(change->place.owner));
    }
    MUST(json_check(e->events, JSON_STRICT, &value, NULL));
    for (struct json_iter it = json_iter(value); json_next_element(&it, &body);)
        check_event(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view body = fuzz_input(data + (size > 0), size - (size > 0)), value = {NULL, 0};
    struct err err = {0};
    struct buf reply;
    if (!store)
        open_store();
    if (!size || !json_check(body, JSON_STRICT, &value, &err))
        return 0;
    buf_init(&reply, REPLY_MAX);
    size_t which = (data[0] & 0x7fu) + 6 * countof(calls) - '1'; /* '1' is the first */
    struct command c = {.type = calls[which % countof(calls)],
                        .element = value,
                        .conversation_id = view_of(conversation_id),
                        .author = VIEW("agent-1"),
                        .idempotency_key = data[0] & 0x80 ? VIEW("key") : VIEW(""),
                        .reply = &reply};
    struct batch *b = new_batch();
    bool taken = command_decide(b, &c, &err);
    MUST(taken || err.code == ERR_INVALID || err.code == ERR_CONFLICT || err.code == ERR_NOT_FOUND);
    MUST(taken || view_is_utf8(view_of(err.text)));
    struct err failure = {0};
    const struct entry *e = batch_seal(b, &failure);
    MUST(!failure.code && (taken || !e));
    if (e)
        check_entry(e);
    MUST(!taken || json_check(buf_view(&reply), JSON_STRICT, &value, &err));
    batch_destroy(b);
    buf_free(&reply);
    return 0;
}
