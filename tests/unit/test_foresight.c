/* What commands foretell is what they read: after batch_fetch() deciding asks the store for nothing more. */
#include "state-manager/core/command.h"
#include "tests/unit/resource_stage.h"
#include "tests/unit/suites.h"
#include <check.h>

/* The stage's store, counting the reads of single documents. */
static struct counting {
    struct store base;
    int gets;
} counting;

static bool count_head(struct store *s, const char *tenant_id, struct head *out, struct err *err)
{
    (void)s;
    return stage_store.writer->ops->head(stage_store.writer, tenant_id, out, err);
}

static bool count_get(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key,
                      struct buf *doc, bool *found, struct err *err)
{
    (void)s;
    counting.gets++;
    return stage_store.writer->ops->get(stage_store.writer, tenant_id, kind, key, doc, found, err);
}

static bool pass_get_many(struct store *s, const char *tenant_id, const struct wanted *wanted, size_t count,
                          store_found_fn fn, void *ctx, struct err *err)
{
    (void)s;
    return stage_store.writer->ops->get_many(stage_store.writer, tenant_id, wanted, count, fn, ctx, err);
}

static const struct store_ops counting_ops = {
    .head = count_head, .get = count_get, .get_many = pass_get_many};

static void setup(void)
{
    stage_open();
    counting = (struct counting){.base = {.ops = &counting_ops, .remote = true}};
}

/* Decides a command on a fresh batch over the counting store; *gets are the reads it took. */
static bool decide_counted(struct command *c, bool foretold, int *gets)
{
    struct err err = {0};
    struct batch *b = batch_create(&counting.base, "t1", now_ms, &err);
    ck_assert_msg(b != NULL, "%s", err.text);
    if (foretold) {
        command_foresee(b, c);
        batch_fetch(b);
    }
    counting.gets = 0;
    buf_clear(&reply);
    bool ok = command_decide(b, c, &err);
    *gets = counting.gets;
    batch_destroy(b);
    return ok;
}

static void add_message(void)
{
    struct buf events;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    ck_assert(decide(COMMAND_ECHO, echo, NULL));
    stage_commit(&events);
    buf_free(&events);
}

#define RECEIPT_OF(id) "{\"id\":\"" id "\",\"status\":\"read\",\"timestamp\":\"1789200009\"}"

static const struct {
    enum command_type type;
    const char *element, *key;
    bool about_conversation;
} cases[] = {
    {COMMAND_INBOUND, "{\"from\":\"4477\",\"id\":\"wamid.2\",\"text\":{\"body\":\"x\"},\"type\":\"text\"}",
     "", false},
    {COMMAND_INBOUND, "{\"from\":\"9999\",\"from_user_id\":\"US.1\",\"id\":\"wamid.3\",\"type\":\"text\"}",
     "", false},
    {COMMAND_ECHO, "{\"from\":\"1555\",\"to\":\"4477\",\"id\":\"wamid.4\",\"type\":\"text\"}", "", false},
    {COMMAND_RECEIPT, RECEIPT_OF("wamid.out"), "", false},
    {COMMAND_RECEIPT, RECEIPT_OF("wamid.unknown"), "", false},
    {COMMAND_OUTBOUND, "{\"text\":\"hello\"}", "key-1", true},
    {COMMAND_PATCH, "{\"status\":\"closed\"}", "", true},
    {COMMAND_READ, "{}", "", true},
    {COMMAND_CORRELATE, "{\"correlationId\":\"C1\"}", "", true},
    {COMMAND_REFRESH, "{}", "", false},
    {COMMAND_SESSION, "{\"pid\":\"p1\",\"room\":\"conversation:c_qbTP4EP-k3a6efxWbpYt\",\"in\":true}", "",
     false},
    {COMMAND_SESSION, "{\"pid\":\"p1\",\"ended\":true}", "key-2", false},
    {COMMAND_REVOKE, "{\"sub\":\"anna\"}", "", false},
    {COMMAND_REVOKE, "{}", "", false},
};

START_TEST(what_is_foretold_is_all_that_is_read)
{
    char id[MODEL_ID_SIZE];
    int gets, alone;
    add_message();
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    struct command c = {.type = cases[_i].type,
                        .channel_id = VIEW("100"),
                        .element = view_of(cases[_i].element),
                        .idempotency_key = view_of(cases[_i].key),
                        .author = VIEW("anna"),
                        .conversation_id = cases[_i].about_conversation ? view_of(id) : (struct view){"", 0},
                        .reply = &reply};
    ck_assert(decide_counted(&c, false, &alone));
    ck_assert_int_gt(alone, 0);
    c.duplicate = false;
    ck_assert(decide_counted(&c, true, &gets));
    ck_assert_int_eq(gets, 0);
}
END_TEST

/* Calls on a profile's resources, and a join of one's room; what a document itself names is known only when
 * it has been read. */
static const struct {
    enum command_type type;
    const char *operation, *params, *body, *key;
} writes[] = {
    {COMMAND_WRITE, "lab.items.create", "{}", "{\"title\":\"abc\"}", "key-1"},
    {COMMAND_WRITE, "lab.items.update", "{\"id\":\"A\"}", "{\"title\":\"abc\"}", ""},
    {COMMAND_WRITE, "lab.items.delete", "{\"id\":\"A\"}", "", "key-2"},
    {COMMAND_WRITE, "lab.boxes.put", "{}", "{\"things\":[]}", ""},
    {COMMAND_WRITE, "lab.orders.create", "{}", "{\"what\":\"x\"}", ""},
    {COMMAND_WRITE, "lab.notes.create", "{\"itemId\":\"A\"}", "{\"text\":\"x\"}", ""},
    {COMMAND_SESSION, "", "", "{\"pid\":\"p1\",\"room\":\"item-A\",\"in\":true}", ""},
    {COMMAND_KNOW, "lab.items.list", "{}", "", ""},
};

static void setup_resources(void)
{
    resource_stage_open(STORE_SQLITE);
    counting = (struct counting){.base = {.ops = &counting_ops, .remote = true}};
}

START_TEST(what_is_foretold_of_a_write_is_all_that_is_read)
{
    static const char item[] = "{\"at\":1,\"ord\":1,\"document\":{\"itemId\":\"A\",\"title\":\"x\","
                               "\"userId\":\"ann\",\"version\":1}}";
    struct buf events;
    int gets, alone;
    buf_init(&events, 1 << 20);
    batch_put(batch, DOC_RECORD, VIEW("lab.items/A"), (struct doc_place){.parent = VIEW("lab.items")},
              view_of(item));
    stage_commit(&events);
    struct command c = {.type = writes[_i].type,
                        .element = view_of(writes[_i].body),
                        .idempotency_key = view_of(writes[_i].key),
                        .author = VIEW("ann"),
                        .profiles = lab,
                        .operation = profiles_operation(lab, view_of(writes[_i].operation)),
                        .params = view_of(writes[_i].params),
                        .claims = VIEW(USER),
                        .reply = &reply};
    ck_assert(decide_counted(&c, false, &alone));
    ck_assert_int_gt(alone, 0);
    c.duplicate = false;
    ck_assert(decide_counted(&c, true, &gets));
    ck_assert_int_eq(gets, 0);
    buf_free(&events);
}
END_TEST

START_TEST(what_is_written_before_it_is_fetched_stays)
{
    struct buf events;
    buf_init(&events, 1 << 20);
    batch_want(batch, DOC_LATEST, VIEW("k"));
    batch_put(batch, DOC_LATEST, VIEW("k"), (struct doc_place){0}, VIEW("{\"a\":1}"));
    batch_fetch(batch);
    ck_assert(view_is(batch_get(batch, DOC_LATEST, VIEW("k")), "{\"a\":1}"));
    stage_commit(&events);
    batch_want(batch, DOC_LATEST, VIEW("k"));
    batch_want(batch, DOC_LATEST, VIEW("none"));
    batch_fetch(batch);
    ck_assert(view_is(batch_get(batch, DOC_LATEST, VIEW("k")), "{\"a\":1}"));
    ck_assert_uint_eq(batch_get(batch, DOC_LATEST, VIEW("none")).n, 0);
    buf_free(&events);
}
END_TEST

Suite *suite_foresight(void)
{
    Suite *s = suite_create("foresight");
    TCase *t = tcase_create("foresight");
    tcase_add_checked_fixture(t, setup, stage_close);
    tcase_add_loop_test(t, what_is_foretold_is_all_that_is_read, 0, (int)countof(cases));
    tcase_add_test(t, what_is_written_before_it_is_fetched_stays);
    suite_add_tcase(s, t);
    TCase *resources = tcase_create("resources");
    tcase_add_checked_fixture(resources, setup_resources, resource_stage_close);
    tcase_add_loop_test(resources, what_is_foretold_of_a_write_is_all_that_is_read, 0, (int)countof(writes));
    suite_add_tcase(s, resources);
    return s;
}
