/* What calls of agents and backends change, announce and are answered, on a real store; and replay. */
#include "shared/json.h"
#include "state-manager/rpc/answers.h"
#include "tests/unit/command_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

START_TEST(an_agents_message_is_checked_queued_and_announced)
{
    static const struct {
        const char *body;
        bool ok;
    } rows[] = {
        {"{\"text\":\"hi\"}", true},
        {"{\"type\":\"text\",\"text\":\"hi\",\"replyTo\":\"wamid.1\"}", true},
        {"{\"type\":\"image\",\"image\":{\"link\":\"https://x.example/a.png\",\"caption\":\"c\"}}", true},
        {"{\"text\":\"\"}", false},
        {"{\"text\":5}", false},
        {"{}", false},
        {"[]", false},
        {"{\"type\":\"hologram\",\"hologram\":{}}", false},
        {"{\"type\":\"image\"}", false},
        {"{\"type\":7}", false},
        {"{\"text\":\"hi\",\"replyTo\":7}", false}};
    struct buf events;
    char id[MODEL_ID_SIZE];
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        struct command c = {.type = COMMAND_OUTBOUND,
                            .element = view_of(rows[i].body),
                            .conversation_id = view_of(id),
                            .author = VIEW("agent-1"),
                            .reply = &reply};
        buf_clear(&reply);
        ck_assert_msg(command_decide(batch, &c, &err) == rows[i].ok, "%s: %s", rows[i].body, err.text);
        ck_assert_int_eq(events_of(stage_commit(&events), "conversation_update", NULL), rows[i].ok);
        ck_assert(!rows[i].ok || strstr(reply.data, "\"status\":\"queued\""));
        ck_assert(rows[i].ok || err.code == ERR_INVALID);
    }
    struct err err = {0};
    struct command stranger = {.type = COMMAND_OUTBOUND,
                               .element = VIEW("{\"text\":\"x\"}"),
                               .conversation_id = VIEW("c_none"),
                               .reply = &reply};
    ck_assert(!command_decide(batch, &stranger, &err));
    ck_assert_int_eq(err.code, ERR_NOT_FOUND);
    buf_free(&events);
}
END_TEST

START_TEST(a_conversation_is_patched_with_its_version)
{
    static const struct {
        const char *body;
        enum err_code code;
        int announced;
    } rows[] = {{"{\"assignee\":\"ann\",\"tags\":[\"vip\"],\"version\":1}", ERR_NONE, 1},
                {"{\"status\":\"closed\",\"version\":1}", ERR_CONFLICT, 0},
                {"{\"status\":\"closed\",\"version\":2}", ERR_NONE, 1},
                {"{\"status\":\"closed\"}", ERR_NONE, 0}, /* it is */
                {"{\"assignee\":null}", ERR_NONE, 1},
                {"{\"status\":\"waiting\"}", ERR_INVALID, 0},
                {"{\"assignee\":5}", ERR_INVALID, 0},
                {"{\"tags\":[5]}", ERR_INVALID, 0},
                {"{\"version\":\"2\"}", ERR_INVALID, 0},
                {"{\"owner\":\"x\"}", ERR_INVALID, 0},
                {"[]", ERR_INVALID, 0}};
    struct buf events;
    struct err err;
    char id[MODEL_ID_SIZE];
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    for (size_t i = 0; i < countof(rows); i++) {
        ck_assert_msg(call(COMMAND_PATCH, id, rows[i].body, "", &err) == !rows[i].code, "%s: %s",
                      rows[i].body, err.text);
        ck_assert_int_eq(err.code, rows[i].code);
        ck_assert_msg(events_of(stage_commit(&events), "conversation_update", NULL) == rows[i].announced,
                      "%s", rows[i].body);
    }
    ck_assert_int_eq(figures_now().active, 0);
    ck_assert_int_eq(figures_now().waiting, 0);
    ck_assert(call(COMMAND_READ, id, "", "", &err));
    ck_assert_ptr_nonnull(strstr(reply.data, "\"unread\":0"));
    ck_assert_int_eq(events_of(stage_commit(&events), "conversation_update", NULL), 1);
    ck_assert(call(COMMAND_CORRELATE, id, "{\"correlationId\":\"cc-7\",\"system\":\"cc\"}", "", &err));
    ck_assert_ptr_nonnull(
        strstr(reply.data, "\"correlation\":{\"correlationId\":\"cc-7\",\"system\":\"cc\"}"));
    ck_assert_int_eq(events_of(stage_commit(&events), "conversation_update", NULL), 1);
    ck_assert(!call(COMMAND_CORRELATE, id, "{\"correlationId\":\"\"}", "", &err));
    ck_assert(!call(COMMAND_PATCH, "c_none", "{}", "", &err) && err.code == ERR_NOT_FOUND);
    ck_assert(decide(COMMAND_INBOUND,
                     "{\"from\":\"4477\",\"id\":\"again\",\"timestamp\":\"1789200009\",\"type\":\"text\","
                     "\"text\":{\"body\":\"still broken\"}}",
                     NULL));
    ck_assert_int_eq(events_of(stage_commit(&events), "conversation_update", NULL), 1); /* it is open again */
    ck_assert_int_eq(figures_now().active, 1);
    buf_free(&events);
}
END_TEST

START_TEST(a_call_under_a_known_key_has_one_effect)
{
    struct buf events;
    struct err err;
    char id[MODEL_ID_SIZE], first[256];
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    ck_assert(call(COMMAND_OUTBOUND, id, "{\"text\":\"once\"}", "key-1", &err));
    snprintf(first, sizeof first, "%s", reply.data);
    ck_assert(call(COMMAND_OUTBOUND, id, "{\"text\":\"once\"}", "key-1", &err)); /* in the same entry */
    ck_assert_str_eq(reply.data, first);
    ck_assert_int_eq(events_of(stage_commit(&events), "conversation_update", NULL), 1);
    ck_assert(call(COMMAND_OUTBOUND, id, "{\"text\":\"once\"}", "key-1", &err)); /* from the store */
    ck_assert_str_eq(reply.data, first);
    ck_assert(!call(COMMAND_OUTBOUND, id, "{\"text\":\"twice\"}", "key-1", &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_int_eq(events_of(stage_commit(&events), "conversation_update", NULL), 0);
    ck_assert(
        !call(COMMAND_OUTBOUND, id, "{\"text\":\"\"}", "key-2", &err)); /* a refusal is not remembered */
    ck_assert(call(COMMAND_OUTBOUND, id, "{\"text\":\"right\"}", "key-2", &err));
    buf_free(&events);
}
END_TEST

START_TEST(a_refresh_announces_figures_that_are_the_same)
{
    struct buf events;
    struct err err = {0};
    struct head before, after;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    ck_assert(stage_store.writer->ops->head(stage_store.writer, "t1", &before, NULL));
    ck_assert(call(COMMAND_REFRESH, "", "", "", &err));
    ck_assert_ptr_nonnull(strstr(reply.data, "\"activeConversations\":1"));
    stage_commit(&events);
    ck_assert(stage_store.writer->ops->head(stage_store.writer, "t1", &after, NULL));
    ck_assert_uint_gt(after.figures_rev, before.figures_rev);
    buf_free(&events);
}
END_TEST

START_TEST(published_events_are_whole_or_not_at_all)
{
    static const struct {
        const char *body;
        int events; /* 0: refused */
    } rows[] = {{"{\"event\":\"x\",\"data\":{\"a\":1}}", 1},
                {"{\"event\":\"x\"}", 1},
                {"[{\"event\":\"x\"},{\"event\":\"x\",\"rooms\":[\"user:1\"]}]", 2},
                {"{\"event\":\"x\",\"class\":\"latest\",\"key\":\"k\"}", 1},
                {"[{\"event\":\"x\"},{\"event\":\"connect\"}]", 0},
                {"{\"event\":\"x\",\"class\":\"latest\"}", 0},
                {"{\"event\":\"x\",\"class\":\"eternal\"}", 0},
                {"{\"event\":\"x\",\"rooms\":[5]}", 0},
                {"{\"event\":\"\"}", 0},
                {"[]", 0},
                {"7", 0}};
    struct buf events;
    buf_init(&events, 1 << 20);
    for (size_t i = 0; i < countof(rows); i++) {
        buf_clear(&reply);
        ck_assert_msg(decide(COMMAND_EVENTS, rows[i].body, NULL) == (rows[i].events > 0), "%s", rows[i].body);
        ck_assert_int_eq(events_of(stage_commit(&events), "x", NULL), rows[i].events);
    }
    buf_free(&events);
}
END_TEST

START_TEST(replay_gives_what_was_missed)
{
    struct buf events, answer;
    char epoch[EPOCH_MAX + 1], request[160];
    struct head head;
    buf_init(&events, 1 << 20);
    buf_init(&answer, ANSWER_MAX);
    for (int i = 0; i < 5; i++) {
        ck_assert(decide(COMMAND_EVENTS, "[{\"event\":\"x\"},{\"event\":\"x\"}]", NULL));
        stage_commit(&events);
    }
    ck_assert(stage_store.reader->ops->head(stage_store.reader, "t1", &head, NULL));
    snprintf(epoch, sizeof epoch, "%s", head.epoch);
    static const struct {
        int after, limit, first, count;
        bool complete;
    } rows[] = {{0, 100, 1, 10, true},
                {3, 100, 4, 7, true},
                {9, 100, 10, 1, true},
                {10, 100, 0, 0, true},
                {2, 3, 3, 3, true}};
    for (size_t i = 0; i < countof(rows); i++) {
        snprintf(request, sizeof request,
                 "{\"op\":\"replay\",\"tenantId\":\"t1\",\"epoch\":\"%s\",\"after\":%d,\"limit\":%d}", epoch,
                 rows[i].after, rows[i].limit);
        rpc_answer(&(struct answering){.store = stage_store.reader, .now_wall_ms = now_ms}, view_of(request),
                   &answer);
        struct view doc, one;
        ck_assert(json_check(buf_view(&answer), JSON_STRICT, &doc, NULL));
        int n = 0;
        for (struct json_iter it = json_iter(json_get(doc, "events")); json_next_element(&it, &one); n++) {
            int64_t seq;
            ck_assert(json_i64(json_get(one, "seq"), &seq));
            ck_assert_int_eq(seq, rows[i].first + n);
        }
        ck_assert_int_eq(n, rows[i].count);
        ck_assert(json_is_true(json_get(doc, "complete")) == rows[i].complete);
    }
    rpc_answer(&(struct answering){.store = stage_store.reader, .now_wall_ms = now_ms},
               VIEW("{\"op\":\"replay\",\"tenantId\":\"t1\",\"epoch\":\"other\",\"after\":1,\"limit\":9}"),
               &answer);
    ck_assert_ptr_nonnull(strstr(answer.data, "\"events\":[],\"complete\":false"));
    rpc_answer(&(struct answering){.store = stage_store.reader, .now_wall_ms = now_ms},
               VIEW("{\"op\":\"heads\",\"tenants\":[\"t1\",\"new\"],\"latest\":true}"), &answer);
    ck_assert_ptr_nonnull(strstr(answer.data, "\"new\":{\"epoch\":\"\",\"seq\":0}"));
    ck_assert_ptr_nonnull(strstr(answer.data, "\"seq\":10}"));
    rpc_answer(&(struct answering){.store = stage_store.reader, .now_wall_ms = now_ms},
               VIEW("{\"op\":\"destroy\"}"), &answer);
    ck_assert_ptr_nonnull(strstr(answer.data, "\"ok\":false"));
    buf_free(&events);
    buf_free(&answer);
}
END_TEST

Suite *suite_calls(void)
{
    Suite *s = suite_create("calls");
    TCase *t = tcase_create("calls");
    tcase_add_checked_fixture(t, stage_open, stage_close);
    tcase_add_test(t, an_agents_message_is_checked_queued_and_announced);
    tcase_add_test(t, a_conversation_is_patched_with_its_version);
    tcase_add_test(t, a_call_under_a_known_key_has_one_effect);
    tcase_add_test(t, a_refresh_announces_figures_that_are_the_same);
    tcase_add_test(t, published_events_are_whole_or_not_at_all);
    tcase_add_test(t, replay_gives_what_was_missed);
    suite_add_tcase(s, t);
    return s;
}
