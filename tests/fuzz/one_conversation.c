#include "tests/fuzz/one_conversation.h"
#include "state-manager/core/command.h"
#include "state-manager/core/model.h"
#include "state-manager/store/open.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <unistd.h>

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

struct batch *one_batch(void)
{
    struct err err;
    struct batch *b = batch_create(one_conversation(), "t1", STORE_NOW_MS, &err);
    MUST(b);
    return b;
}

static void open_store(void)
{
    char url[sizeof folder + 32];
    struct err err = {0};
    MUST(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/store.db", folder);
    MUST((store = store_open(url, STORE_WRITER, &err)));
    atexit(close_store);
    struct command c = {.type = COMMAND_INBOUND, .channel_id = VIEW("100"), .element = view_of(hello)};
    struct batch *b = one_batch();
    MUST(command_decide(b, &c, &err));
    struct entry *e = batch_seal(b, &err);
    MUST(e && store->ops->commit(store, &e, 1, &err) && e->result == COMMIT_DONE);
    batch_destroy(b);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), conversation_id);
}

struct store *one_conversation(void)
{
    if (!store)
        open_store();
    return store;
}

const char *one_conversation_id(void)
{
    one_conversation();
    return conversation_id;
}
