#include "tests/unit/command_stage.h"
#include "shared/json.h"
#include <check.h>
#include <stdio.h>
#include <string.h>

struct store_fixture stage_store;
struct batch *batch;
struct buf reply;
int64_t now_ms;

void stage_begin(void)
{
    struct err err = {0};
    batch = batch_create(stage_store.writer, "t1", now_ms, &err);
    ck_assert_msg(batch != NULL, "%s", err.text);
}

/* Commits what was decided and begins the next entry; returns the events of the entry. */
struct view stage_commit(struct buf *events)
{
    struct err err = {0};
    struct entry *e = batch_seal(batch, &err);
    ck_assert_msg(!err.code, "%s", err.text);
    buf_clear(events);
    if (e) {
        buf_add_view(events, e->events);
        ck_assert(stage_store.writer->ops->commit(stage_store.writer, &e, 1, &err));
        ck_assert_int_eq(e->result, COMMIT_DONE);
    }
    batch_destroy(batch);
    stage_begin();
    return buf_view(events);
}

void stage_open(void)
{
    store_fixture_open(&stage_store);
    buf_init(&reply, 1 << 20);
    now_ms = (int64_t)STAGE_NOW_S * 1000;
    stage_begin();
}

void stage_close(void)
{
    batch_destroy(batch);
    buf_free(&reply);
    store_fixture_close(&stage_store);
}

bool decide(enum command_type type, const char *element, bool *duplicate)
{
    struct err err = {0};
    struct command c = {
        .type = type, .channel_id = VIEW("100"), .element = view_of(element), .reply = &reply};
    bool ok = command_decide(batch, &c, &err);
    if (duplicate)
        *duplicate = c.duplicate;
    return ok;
}

/* How many events of a type the batch's entry holds so far, and the last one's data. */
int events_of(struct view events, const char *type, struct view *last)
{
    struct view one;
    int n = 0;
    for (struct json_iter it = json_iter(events); json_next_element(&it, &one);)
        if (json_string_is(json_get(one, "type"), type)) {
            n++;
            if (last)
                *last = json_get(one, "data");
        }
    return n;
}

const char text_message[] =
    "{\"from\":\"4477\",\"id\":\"wamid.1\",\"timestamp\":\"1789200000\",\"type\":\"text\","
    "\"text\":{\"body\":\"hello \\ud83d\"}}";

const char echo[] = "{\"from\":\"1555\",\"to\":\"4477\",\"id\":\"wamid.out\",\"timestamp\":\"1789200000\","
                    "\"type\":\"text\",\"text\":{\"body\":\"hi\"}}";

struct figures figures_now(void)
{
    struct figures figures;
    figures_read(batch_get(batch, DOC_FIGURES, VIEW("all")), &figures);
    return figures;
}

struct message stored(const char *wamid)
{
    char id[MODEL_ID_SIZE];
    struct message m;
    message_id_for(VIEW("100"), view_of(wamid), id);
    ck_assert(message_read(batch_get(batch, DOC_MESSAGE, view_of(id)), &m));
    return m;
}

bool call(enum command_type type, const char *id, const char *body, const char *key, struct err *err)
{
    struct command c = {.type = type,
                        .element = view_of(body),
                        .conversation_id = view_of(id),
                        .author = VIEW("agent-1"),
                        .idempotency_key = view_of(key),
                        .reply = &reply};
    buf_clear(&reply);
    *err = (struct err){0};
    return command_decide(batch, &c, err);
}
