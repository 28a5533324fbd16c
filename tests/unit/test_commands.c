/* The rules, on a real store: what webhooks and calls change and announce. */
#include "shared/json.h"
#include "state-manager/core/batch.h"
#include "state-manager/core/command.h"
#include "state-manager/core/model.h"
#include "state-manager/core/whatsapp.h"
#include "state-manager/rpc/answers.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW_MS = 1789200000 };

static struct store_fixture f;
static struct batch *batch;
static struct buf reply;
static int64_t now_ms;

static void begin(void)
{
    struct err err = {0};
    batch = batch_create(f.writer, "t1", now_ms, &err);
    ck_assert_msg(batch != NULL, "%s", err.text);
}

/* Commits what was decided and begins the next entry; returns the events of the entry. */
static struct view commit(struct buf *events)
{
    struct err err = {0};
    struct entry *e = batch_seal(batch, &err);
    ck_assert_msg(!err.code, "%s", err.text);
    buf_clear(events);
    if (e) {
        buf_add_view(events, e->events);
        ck_assert(f.writer->ops->commit(f.writer, &e, 1, &err));
        ck_assert_int_eq(e->result, COMMIT_DONE);
    }
    batch_destroy(batch);
    begin();
    return buf_view(events);
}

static void setup(void)
{
    store_fixture_open(&f);
    buf_init(&reply, 1 << 20);
    now_ms = (int64_t)NOW_MS * 1000;
    begin();
}

static void teardown(void)
{
    batch_destroy(batch);
    buf_free(&reply);
    store_fixture_close(&f);
}

static bool decide(enum command_type type, const char *element, bool *duplicate)
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
static int events_of(struct view events, const char *type, struct view *last)
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

static const char text_message[] =
    "{\"from\":\"4477\",\"id\":\"wamid.1\",\"timestamp\":\"1789200000\",\"type\":\"text\","
    "\"text\":{\"body\":\"hello \\ud83d\"}}";

START_TEST(a_message_makes_a_conversation_and_one_event)
{
    struct buf events;
    bool duplicate;
    struct view data;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, &duplicate) && !duplicate);
    ck_assert(decide(COMMAND_INBOUND, text_message, &duplicate) && duplicate); /* in the same batch */
    struct view all = commit(&events);
    ck_assert_int_eq(events_of(all, "new_message", &data), 1);
    ck_assert(json_string_is(json_get(data, "messageId"), "wamid.1"));
    ck_assert(json_string_is(json_get(data, "from"), "+4477"));
    ck_assert(view_is(json_get(data, "message"), "\"hello \\ud83d\"")); /* byte for byte */
    ck_assert(view_is(json_get(data, "from_name"), "null"));
    ck_assert(view_is(json_get(data, "media_url"), "null"));
    ck_assert(json_string_is(json_get(data, "timestamp"), "2026-09-12T08:00:00.000Z"));
    ck_assert(json_is_true(json_get(data, "isNewConversation")));
    ck_assert(decide(COMMAND_INBOUND, text_message, &duplicate) && duplicate); /* from the store */
    ck_assert_uint_eq(commit(&events).n, 0);
    buf_free(&events);
}
END_TEST

static void post_receipt(const char *status)
{
    char element[160];
    snprintf(element, sizeof element, "{\"id\":\"wamid.out\",\"status\":\"%s\",\"timestamp\":\"1789200001\"}",
             status);
    ck_assert(decide(COMMAND_RECEIPT, element, NULL));
}

static const char echo[] =
    "{\"from\":\"1555\",\"to\":\"4477\",\"id\":\"wamid.out\",\"timestamp\":\"1789200000\","
    "\"type\":\"text\",\"text\":{\"body\":\"hi\"}}";

/* Every order of the receipts, before or behind the message: the final status is the highest, and no step
 * goes down. */
START_TEST(receipts_end_at_the_right_rank_in_any_order)
{
    static const char *const statuses[] = {"sent", "delivered", "read", "failed"};
    struct buf events;
    buf_init(&events, 1 << 20);
    srand((unsigned)_i);
    int order[4] = {0, 1, 2, 3}, echo_at = rand() % 5;
    for (int i = 3; i > 0; i--) {
        int j = rand() % (i + 1), keep = order[i];
        order[i] = order[j];
        order[j] = keep;
    }
    int last_rank = -1, updates = 0;
    for (int i = 0; i <= 4; i++) {
        if (i == echo_at)
            ck_assert(decide(COMMAND_ECHO, echo, NULL));
        if (i < 4)
            post_receipt(statuses[order[i]]);
        struct view one;
        struct view all = commit(&events);
        for (struct json_iter it = json_iter(all); json_next_element(&it, &one);) {
            if (!json_string_is(json_get(one, "type"), "status_update"))
                continue;
            static const char *const ranks[] = {"sent", "failed", "delivered", "read"};
            struct view status = json_path(one, "data.status");
            int rank = 0;
            while (!json_string_is(status, ranks[rank]))
                rank++;
            ck_assert_int_gt(rank, last_rank);
            last_rank = rank;
            updates++;
        }
    }
    ck_assert_int_eq(last_rank, 3); /* read, whatever came last */
    ck_assert_int_le(updates, 3);
    char id[MODEL_ID_SIZE];
    message_id_for(VIEW("100"), VIEW("wamid.out"), id);
    struct message m;
    ck_assert(message_read(batch_get(batch, DOC_MESSAGE, view_of(id)), &m));
    ck_assert_int_eq(m.status, MESSAGE_READ);
    struct view one;
    int kept = 0;
    for (struct json_iter it = json_iter(m.history); json_next_element(&it, &one);)
        kept++;
    ck_assert_int_eq(kept, 4); /* every receipt is kept */
    buf_free(&events);
}
END_TEST

START_TEST(the_ladder_of_statuses)
{
    static const struct {
        enum message_status from, to;
        bool moves;
    } rows[] = {{MESSAGE_QUEUED, MESSAGE_SENT, true},       {MESSAGE_SENT, MESSAGE_QUEUED, false},
                {MESSAGE_SENT, MESSAGE_READ, true},         {MESSAGE_READ, MESSAGE_DELIVERED, false},
                {MESSAGE_READ, MESSAGE_PLAYED, true},       {MESSAGE_SENT, MESSAGE_FAILED, true},
                {MESSAGE_DELIVERED, MESSAGE_FAILED, false}, {MESSAGE_FAILED, MESSAGE_SENT, false},
                {MESSAGE_FAILED, MESSAGE_DELIVERED, true},  {MESSAGE_SENT, MESSAGE_SENT, false},
                {MESSAGE_SENT, MESSAGE_NONE, false},        {MESSAGE_RECEIVED, MESSAGE_READ, true}};
    for (size_t i = 0; i < countof(rows); i++)
        ck_assert_msg(message_status_moves(rows[i].from, rows[i].to) == rows[i].moves, "row %zu", i);
}
END_TEST

static struct figures figures_now(void)
{
    struct figures figures;
    figures_read(batch_get(batch, DOC_FIGURES, VIEW("all")), &figures);
    return figures;
}

START_TEST(figures_follow_the_conversations)
{
    struct buf events;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    commit(&events);
    ck_assert_int_eq(figures_now().active, 1);
    ck_assert_int_eq(figures_now().waiting, 1);
    ck_assert_int_eq(figures_now().messages_today, 1);
    now_ms += 4000;
    batch_destroy(batch);
    begin();
    ck_assert(decide(COMMAND_ECHO, echo, NULL));
    ck_assert_int_eq(events_of(commit(&events), "conversation_update", NULL), 1);
    ck_assert_int_eq(figures_now().active, 1);
    ck_assert_int_eq(figures_now().waiting, 0);
    ck_assert_int_eq(figures_now().answers, 1);
    ck_assert_int_eq(figures_now().answer_ms, 4000);
    struct figures figures = figures_now();
    struct buf shown;
    buf_init(&shown, 4096);
    figures_show(&figures, now_ms, &shown);
    ck_assert_ptr_nonnull(strstr(shown.data, "\"totalMessagesToday\":2,\"avgResponseTime\":4.0,"));
    buf_clear(&shown);
    figures_show(&figures, now_ms + 86400000, &shown); /* tomorrow, without a single new message */
    ck_assert_ptr_nonnull(
        strstr(shown.data, "\"activeConversations\":1,\"waitingConversations\":0,\"totalMessagesToday\":0,"
                           "\"avgResponseTime\":0.0,"));
    buf_free(&shown);
    buf_free(&events);
}
END_TEST

START_TEST(a_customer_keeps_the_conversation_under_a_new_name)
{
    static const char *const messages[] = {
        "{\"from\":\"4477\",\"id\":\"w1\",\"timestamp\":\"1\",\"type\":\"text\",\"text\":{\"body\":\"a\"}}",
        "{\"from\":\"4477\",\"from_user_id\":\"US.1\",\"id\":\"w2\",\"timestamp\":\"2\",\"type\":\"text\","
        "\"text\":{\"body\":\"b\"}}",
        "{\"from_user_id\":\"US.1\",\"id\":\"w3\",\"timestamp\":\"3\",\"type\":\"text\",\"text\":{\"body\":"
        "\"c\"}}"};
    struct buf events;
    struct view data;
    buf_init(&events, 1 << 20);
    for (size_t i = 0; i < countof(messages); i++) {
        ck_assert(decide(COMMAND_INBOUND, messages[i], NULL));
        ck_assert_int_eq(events_of(commit(&events), "new_message", &data), 1);
        ck_assert(json_is_true(json_get(data, "isNewConversation")) == (i == 0));
    }
    ck_assert(view_is(json_get(data, "from"), "null"));
    ck_assert_int_eq(figures_now().active, 1);
    ck_assert(!decide(COMMAND_INBOUND, "{\"id\":\"w4\",\"type\":\"text\"}", NULL)); /* from nobody */
    buf_free(&events);
}
END_TEST

static struct message stored(const char *wamid)
{
    char id[MODEL_ID_SIZE];
    struct message m;
    message_id_for(VIEW("100"), view_of(wamid), id);
    ck_assert(message_read(batch_get(batch, DOC_MESSAGE, view_of(id)), &m));
    return m;
}

START_TEST(edits_revokes_and_reactions_name_another_message)
{
    struct buf events;
    struct view data;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    ck_assert(
        decide(COMMAND_INBOUND,
               "{\"from\":\"4477\",\"id\":\"e1\",\"timestamp\":\"1789200001\",\"type\":\"edit\",\"edit\":{"
               "\"original_message_id\":\"wamid.1\",\"message\":{\"type\":\"text\",\"text\":{\"body\":"
               "\"mended\"}}}}",
               NULL));
    ck_assert(view_is(stored("wamid.1").text, "\"mended\""));
    ck_assert_int_eq(stored("wamid.1").edited_at, 1789200001000);
    ck_assert(decide(
        COMMAND_INBOUND,
        "{\"from\":\"4477\",\"id\":\"x1\",\"timestamp\":\"1789200002\",\"type\":\"reaction\",\"reaction\":{"
        "\"message_id\":\"wamid.1\",\"emoji\":\"x\"}}",
        NULL));
    ck_assert(json_string_is(json_get(stored("x1").reaction, "emoji"), "x"));
    ck_assert(decide(
        COMMAND_INBOUND,
        "{\"from\":\"4477\",\"id\":\"r1\",\"timestamp\":\"1789200003\",\"type\":\"revoke\",\"revoke\":{"
        "\"original_message_id\":\"wamid.1\"}}",
        NULL));
    ck_assert_uint_eq(stored("wamid.1").text.n + stored("wamid.1").raw.n, 0); /* its words are gone */
    ck_assert(decide(
        COMMAND_INBOUND,
        "{\"from\":\"4477\",\"id\":\"r2\",\"timestamp\":\"1789200003\",\"type\":\"revoke\",\"revoke\":{"
        "\"original_message_id\":\"never seen\"}}",
        NULL));
    ck_assert_int_eq(events_of(commit(&events), "new_message", &data), 5);
    ck_assert(json_string_is(json_get(data, "type"), "revoke"));
    buf_free(&events);
}
END_TEST

START_TEST(a_customer_who_changes_his_number_keeps_his_conversation)
{
    struct buf events;
    struct view data;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    ck_assert(decide(
        COMMAND_INBOUND,
        "{\"from\":\"4477\",\"id\":\"s1\",\"timestamp\":\"1789200001\",\"type\":\"system\",\"system\":{"
        "\"type\":\"user_changed_number\",\"wa_id\":\"4488\",\"body\":\"moved\"}}",
        NULL));
    commit(&events);
    ck_assert(decide(COMMAND_INBOUND,
                     "{\"from\":\"4488\",\"id\":\"n1\",\"timestamp\":\"1789200002\",\"type\":\"text\","
                     "\"text\":{\"body\":\"b\"}}",
                     NULL));
    ck_assert_int_eq(events_of(commit(&events), "new_message", &data), 1);
    ck_assert(!json_is_true(json_get(data, "isNewConversation")));
    ck_assert_int_eq(figures_now().active, 1);
    buf_free(&events);
}
END_TEST

START_TEST(a_late_message_does_not_become_the_last)
{
    struct buf events;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    ck_assert(decide(COMMAND_INBOUND,
                     "{\"from\":\"4477\",\"id\":\"old\",\"timestamp\":\"1789100000\",\"type\":\"image\","
                     "\"image\":{\"id\":\"9\",\"mime_type\":\"image/png\",\"url\":\"https://m.example/9\"}}",
                     NULL));
    struct view data;
    ck_assert_int_eq(events_of(commit(&events), "new_message", &data), 2);
    ck_assert(json_string_is(json_get(data, "media_url"), "https://m.example/9"));
    char id[MODEL_ID_SIZE];
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    struct conversation c;
    ck_assert(conversation_read(batch_get(batch, DOC_CONVERSATION, view_of(id)), &c));
    ck_assert(view_is(c.last_message, "\"hello \\ud83d\""));
    ck_assert_int_eq(c.unread, 2);
    buf_free(&events);
}
END_TEST

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
    commit(&events);
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
        ck_assert_int_eq(events_of(commit(&events), "conversation_update", NULL), rows[i].ok);
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

static bool call(enum command_type type, const char *id, const char *body, const char *key, struct err *err)
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
    commit(&events);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    for (size_t i = 0; i < countof(rows); i++) {
        ck_assert_msg(call(COMMAND_PATCH, id, rows[i].body, "", &err) == !rows[i].code, "%s: %s",
                      rows[i].body, err.text);
        ck_assert_int_eq(err.code, rows[i].code);
        ck_assert_msg(events_of(commit(&events), "conversation_update", NULL) == rows[i].announced, "%s",
                      rows[i].body);
    }
    ck_assert_int_eq(figures_now().active, 0);
    ck_assert_int_eq(figures_now().waiting, 0);
    ck_assert(call(COMMAND_READ, id, "", "", &err));
    ck_assert_ptr_nonnull(strstr(reply.data, "\"unread\":0"));
    ck_assert_int_eq(events_of(commit(&events), "conversation_update", NULL), 1);
    ck_assert(call(COMMAND_CORRELATE, id, "{\"correlationId\":\"cc-7\",\"system\":\"cc\"}", "", &err));
    ck_assert_ptr_nonnull(
        strstr(reply.data, "\"correlation\":{\"correlationId\":\"cc-7\",\"system\":\"cc\"}"));
    ck_assert_int_eq(events_of(commit(&events), "conversation_update", NULL), 1);
    ck_assert(!call(COMMAND_CORRELATE, id, "{\"correlationId\":\"\"}", "", &err));
    ck_assert(!call(COMMAND_PATCH, "c_none", "{}", "", &err) && err.code == ERR_NOT_FOUND);
    ck_assert(decide(COMMAND_INBOUND,
                     "{\"from\":\"4477\",\"id\":\"again\",\"timestamp\":\"1789200009\",\"type\":\"text\","
                     "\"text\":{\"body\":\"still broken\"}}",
                     NULL));
    ck_assert_int_eq(events_of(commit(&events), "conversation_update", NULL), 1); /* it is open again */
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
    commit(&events);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    ck_assert(call(COMMAND_OUTBOUND, id, "{\"text\":\"once\"}", "key-1", &err));
    snprintf(first, sizeof first, "%s", reply.data);
    ck_assert(call(COMMAND_OUTBOUND, id, "{\"text\":\"once\"}", "key-1", &err)); /* in the same entry */
    ck_assert_str_eq(reply.data, first);
    ck_assert_int_eq(events_of(commit(&events), "conversation_update", NULL), 1);
    ck_assert(call(COMMAND_OUTBOUND, id, "{\"text\":\"once\"}", "key-1", &err)); /* from the store */
    ck_assert_str_eq(reply.data, first);
    ck_assert(!call(COMMAND_OUTBOUND, id, "{\"text\":\"twice\"}", "key-1", &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_int_eq(events_of(commit(&events), "conversation_update", NULL), 0);
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
    commit(&events);
    ck_assert(f.writer->ops->head(f.writer, "t1", &before, NULL));
    ck_assert(call(COMMAND_REFRESH, "", "", "", &err));
    ck_assert_ptr_nonnull(strstr(reply.data, "\"activeConversations\":1"));
    commit(&events);
    ck_assert(f.writer->ops->head(f.writer, "t1", &after, NULL));
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
        ck_assert_int_eq(events_of(commit(&events), "x", NULL), rows[i].events);
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
        commit(&events);
    }
    ck_assert(f.reader->ops->head(f.reader, "t1", &head, NULL));
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
        rpc_answer(f.reader, view_of(request), now_ms, &answer);
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
    rpc_answer(f.reader,
               VIEW("{\"op\":\"replay\",\"tenantId\":\"t1\",\"epoch\":\"other\",\"after\":1,\"limit\":9}"),
               now_ms, &answer);
    ck_assert_ptr_nonnull(strstr(answer.data, "\"events\":[],\"complete\":false"));
    rpc_answer(f.reader, VIEW("{\"op\":\"heads\",\"tenants\":[\"t1\",\"new\"],\"latest\":true}"), now_ms,
               &answer);
    ck_assert_ptr_nonnull(strstr(answer.data, "\"new\":{\"epoch\":\"\",\"seq\":0}"));
    ck_assert_ptr_nonnull(strstr(answer.data, "\"seq\":10}"));
    rpc_answer(f.reader, VIEW("{\"op\":\"destroy\"}"), now_ms, &answer);
    ck_assert_ptr_nonnull(strstr(answer.data, "\"ok\":false"));
    buf_free(&events);
    buf_free(&answer);
}
END_TEST

struct tally {
    int commands[6], aside;
    char reasons[128];
};

static void on_command(void *ctx, const struct command *c)
{
    ((struct tally *)ctx)->commands[c->type]++;
}

static void on_quarantine(void *ctx, const char *reason, struct view channel_id, struct view bytes)
{
    struct tally *t = ctx;
    (void)channel_id;
    (void)bytes;
    t->aside++;
    size_t at = strlen(t->reasons);
    snprintf(t->reasons + at, sizeof t->reasons - at, "%s ", reason);
}

#define ENVELOPE(change) "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"changes\":[" change "]}]}"
#define VALUE(more)      "\"value\":{\"metadata\":{\"phone_number_id\":\"100\"}" more "}"

START_TEST(every_element_of_a_webhook_goes_somewhere)
{
    static const struct {
        const char *body;
        int inbound, echoes, receipts, account;
        const char *aside;
    } rows[] = {
        {ENVELOPE("{\"field\":\"messages\"," VALUE(
             ",\"messages\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"statuses\":[{}]") "}"),
         2, 0, 1, 0, ""},
        {ENVELOPE("{\"field\":\"smb_message_echoes\"," VALUE(",\"message_echoes\":[{\"id\":\"a\"}]") "}"), 0,
         1, 0, 0, ""},
        {ENVELOPE("{\"field\":\"messages\"," VALUE(",\"errors\":[{\"code\":1}]") "}"), 0, 0, 0, 1, ""},
        {ENVELOPE("{\"field\":\"flows\"," VALUE("") "}"), 0, 0, 0, 1, ""},
        {ENVELOPE("{\"field\":\"messages\"," VALUE(",\"messages\":[{\"id\":\"a\"},7,{\"id\":\"\xff\"}]") "}"),
         1, 0, 0, 0, "not_an_object not_utf8 "},
        {ENVELOPE("{\"field\":\"flows\",\"value\":{}}"), 0, 0, 0, 0, "no_channel "},
        {ENVELOPE("{\"field\":5,\"value\":{}},{}"), 0, 0, 0, 0, "malformed_change malformed_change "},
        {"{\"object\":\"page\",\"entry\":[]}", 0, 0, 0, 0, "other_product "},
        {"{\"object\":", 0, 0, 0, 0, "not_json "},
        {"", 0, 0, 0, 0, "not_json "},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct tally t = {0};
        struct whatsapp_sink sink = {on_command, on_quarantine, &t};
        whatsapp_decode(view_of(rows[i].body), &sink);
        ck_assert_msg(t.commands[COMMAND_INBOUND] == rows[i].inbound &&
                          t.commands[COMMAND_ECHO] == rows[i].echoes &&
                          t.commands[COMMAND_RECEIPT] == rows[i].receipts &&
                          t.commands[COMMAND_ACCOUNT] == rows[i].account,
                      "row %zu", i);
        ck_assert_str_eq(t.reasons, rows[i].aside);
    }
}
END_TEST

Suite *suite_commands(void)
{
    Suite *s = suite_create("commands");
    TCase *t = tcase_create("commands");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_message_makes_a_conversation_and_one_event);
    tcase_add_loop_test(t, receipts_end_at_the_right_rank_in_any_order, 0, 40);
    tcase_add_test(t, the_ladder_of_statuses);
    tcase_add_test(t, figures_follow_the_conversations);
    tcase_add_test(t, a_customer_keeps_the_conversation_under_a_new_name);
    tcase_add_test(t, edits_revokes_and_reactions_name_another_message);
    tcase_add_test(t, a_customer_who_changes_his_number_keeps_his_conversation);
    tcase_add_test(t, a_late_message_does_not_become_the_last);
    tcase_add_test(t, an_agents_message_is_checked_queued_and_announced);
    tcase_add_test(t, a_conversation_is_patched_with_its_version);
    tcase_add_test(t, a_call_under_a_known_key_has_one_effect);
    tcase_add_test(t, a_refresh_announces_figures_that_are_the_same);
    tcase_add_test(t, published_events_are_whole_or_not_at_all);
    tcase_add_test(t, replay_gives_what_was_missed);
    tcase_add_test(t, every_element_of_a_webhook_goes_somewhere);
    suite_add_tcase(s, t);
    return s;
}
