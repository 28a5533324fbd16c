/* What webhooks change and announce, on a real store. */
#include "shared/json.h"
#include "state-manager/core/whatsapp.h"
#include "tests/unit/command_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(a_message_makes_a_conversation_and_one_event)
{
    struct buf events;
    bool duplicate;
    struct view data;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, &duplicate) && !duplicate);
    ck_assert(decide(COMMAND_INBOUND, text_message, &duplicate) && duplicate); /* in the same batch */
    struct view all = stage_commit(&events);
    ck_assert_int_eq(events_of(all, "new_message", &data), 1);
    ck_assert(json_string_is(json_get(data, "messageId"), "wamid.1"));
    ck_assert(json_string_is(json_get(data, "from"), "+4477"));
    ck_assert(view_is(json_get(data, "message"), "\"hello \\ud83d\"")); /* byte for byte */
    ck_assert(view_is(json_get(data, "from_name"), "null"));
    ck_assert(view_is(json_get(data, "media_url"), "null"));
    ck_assert(json_string_is(json_get(data, "timestamp"), "2026-09-12T08:00:00.000Z"));
    ck_assert(json_is_true(json_get(data, "isNewConversation")));
    ck_assert(decide(COMMAND_INBOUND, text_message, &duplicate) && duplicate); /* from the store */
    ck_assert_uint_eq(stage_commit(&events).n, 0);
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
        struct view all = stage_commit(&events);
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

enum { ORDERS = 50 }; /* messages whose receipts come at random, in one run of the test below */

/* What may come of a message: itself, and receipts of one second, some of them twice. */
static const char *const comings[] = {"", "sent", "delivered", "read", "played", "failed", "read", "sent"};

static void come(int message, const char *status)
{
    char element[160];
    if (*status)
        snprintf(element, sizeof element,
                 "{\"id\":\"wamid.%d\",\"status\":\"%s\",\"timestamp\":\"1789200001\"}", message, status);
    else
        snprintf(element, sizeof element,
                 "{\"id\":\"wamid.%d\",\"to\":\"4477\",\"timestamp\":\"1789200000\",\"type\":\"text\"}",
                 message);
    ck_assert(decide(*status ? COMMAND_RECEIPT : COMMAND_ECHO, element, NULL));
}

/* Every status_update goes up; `last` holds the rank that each message was announced with. */
static void check_moves(struct view events, int last[static ORDERS])
{
    static const char *const ranks[] = {"sent", "failed", "delivered", "read", "played"};
    struct view one;
    for (struct json_iter it = json_iter(events); json_next_element(&it, &one);) {
        if (!json_string_is(json_get(one, "type"), "status_update"))
            continue;
        char id[32];
        uint64_t message;
        int rank = 0;
        ck_assert(json_copy_string(json_path(one, "data.messageId"), id, sizeof id));
        ck_assert(view_u64(view_of(id + strlen("wamid.")), ORDERS - 1, &message));
        while (!json_string_is(json_path(one, "data.status"), ranks[rank]))
            rank++;
        ck_assert_msg(rank > last[message], "%s: %s after %s", id, ranks[rank],
                      last[message] < 0 ? "nothing" : ranks[last[message]]);
        last[message] = rank;
    }
}

/* Receipts of many messages, all of one second, mixed at random and committed at random places. */
START_TEST(mixed_receipts_of_one_second_end_at_the_right_rank)
{
    enum { COMINGS = countof(comings), ALL = ORDERS * COMINGS };
    int order[ALL], last[ORDERS];
    struct buf events;
    buf_init(&events, 1 << 20);
    srand((unsigned)_i + 1);
    for (int i = 0; i < ALL; i++) {
        int j = rand() % (i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    memset(last, -1, sizeof last);
    for (int i = 0; i < ALL; i++) {
        come(order[i] / COMINGS, comings[order[i] % COMINGS]);
        if (rand() % 16 == 0)
            check_moves(stage_commit(&events), last);
    }
    check_moves(stage_commit(&events), last);
    for (int i = 0; i < ORDERS; i++) {
        char id[32];
        int kept = 0;
        struct view one;
        snprintf(id, sizeof id, "wamid.%d", i);
        struct message m = stored(id);
        ck_assert_int_eq(m.status, MESSAGE_PLAYED);
        for (struct json_iter it = json_iter(m.history); json_next_element(&it, &one);)
            kept++;
        ck_assert_int_eq(kept, 5); /* each receipt once */
        ck_assert_int_eq(last[i], 4);
    }
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

START_TEST(figures_follow_the_conversations)
{
    struct buf events;
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    ck_assert_int_eq(figures_now().active, 1);
    ck_assert_int_eq(figures_now().waiting, 1);
    ck_assert_int_eq(figures_now().messages_today, 1);
    now_ms += 4000;
    batch_destroy(batch);
    stage_begin();
    ck_assert(decide(COMMAND_ECHO, echo, NULL));
    ck_assert_int_eq(events_of(stage_commit(&events), "conversation_update", NULL), 1);
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
        ck_assert_int_eq(events_of(stage_commit(&events), "new_message", &data), 1);
        ck_assert(json_is_true(json_get(data, "isNewConversation")) == (i == 0));
    }
    ck_assert(view_is(json_get(data, "from"), "null"));
    ck_assert_int_eq(figures_now().active, 1);
    ck_assert(!decide(COMMAND_INBOUND, "{\"id\":\"w4\",\"type\":\"text\"}", NULL)); /* from nobody */
    buf_free(&events);
}
END_TEST

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
    ck_assert_int_eq(events_of(stage_commit(&events), "new_message", &data), 5);
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
    stage_commit(&events);
    ck_assert(decide(COMMAND_INBOUND,
                     "{\"from\":\"4488\",\"id\":\"n1\",\"timestamp\":\"1789200002\",\"type\":\"text\","
                     "\"text\":{\"body\":\"b\"}}",
                     NULL));
    ck_assert_int_eq(events_of(stage_commit(&events), "new_message", &data), 1);
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
    ck_assert_int_eq(events_of(stage_commit(&events), "new_message", &data), 2);
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

/* The channels of the commands of a body, and each command wrapped and decoded again. */
static void on_wrapped(void *ctx, const struct command *command)
{
    struct buf *seen = ctx, again;
    static bool inner;
    buf_addf(seen, "%.*s ", VIEW_ARG(command->channel_id));
    if (inner)
        return;
    inner = true;
    struct whatsapp_sink sink = {on_wrapped, NULL, seen};
    buf_init(&again, 1 << 16);
    whatsapp_wrap(command, &again);
    whatsapp_decode(buf_view(&again), &sink);
    buf_free(&again);
    inner = false;
}

START_TEST(a_field_without_a_number_goes_with_its_account)
{
    static const char number[] = "{\"field\":\"messages\"," VALUE(",\"messages\":[{\"id\":\"a\"}]") "}";
    static const char flows[] = "{\"field\":\"flows\",\"value\":{\"event\":\"x\"}}";
    static const char other[] =
        "{\"field\":\"flows\",\"value\":{\"metadata\":{\"phone_number_id\":\"200\"}}}";
    const struct {
        const char *changes[3], *channels;
    } rows[] = {{{flows}, "W1 W1 "},
                {{flows, number}, "100 100 100 100 "},
                {{number, flows, other}, "100 100 W1 W1 200 200 "}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf body, seen;
        struct whatsapp_sink sink = {on_wrapped, NULL, &seen};
        buf_init(&body, 1 << 16);
        buf_init(&seen, 1 << 16);
        buf_add_text(&body,
                     "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"W1\",\"changes\":[");
        for (size_t k = 0; k < countof(rows[i].changes) && rows[i].changes[k]; k++)
            buf_addf(&body, "%s%s", k ? "," : "", rows[i].changes[k]);
        buf_add_text(&body, "]}]}");
        whatsapp_decode(buf_view(&body), &sink);
        ck_assert_msg(view_is(buf_view(&seen), rows[i].channels), "row %zu: %.*s", i,
                      VIEW_ARG(buf_view(&seen)));
        buf_free(&seen);
        buf_free(&body);
    }
}
END_TEST

/* What makes the same command of an element. */
struct twin {
    struct command first;
    int compared;
};

static void on_twin(void *ctx, const struct command *c)
{
    struct twin *t = ctx;
    ck_assert_int_eq(c->type, t->first.type);
    ck_assert(view_eq(c->element, t->first.element) && view_eq(c->contact, t->first.contact) &&
              view_eq(c->field, t->first.field) && view_eq(c->channel_id, t->first.channel_id));
    t->compared++;
}

static void on_first(void *ctx, const struct command *c)
{
    struct twin t = {.first = *c};
    struct whatsapp_sink sink = {on_twin, NULL, &t};
    struct buf body;
    buf_init(&body, 1 << 16);
    whatsapp_wrap(c, &body);
    whatsapp_decode(buf_view(&body), &sink);
    ck_assert_int_eq(t.compared, 1);
    buf_free(&body);
    ++*(int *)ctx;
}

START_TEST(a_command_that_was_wrapped_is_the_same_again)
{
    int count = 0;
    struct whatsapp_sink sink = {on_first, NULL, &count};
    whatsapp_decode(VIEW(ENVELOPE("{\"field\":\"messages\"," VALUE(
                        ",\"contacts\":[{\"wa_id\":\"1\",\"profile\":{"
                        "\"name\":\"A\"}},{\"wa_id\":\"2\"}],"
                        "\"messages\":[{\"id\":\"a\",\"from\":\"1\"},{"
                        "\"id\":\"b\",\"from\":\"3\"}],"
                        "\"statuses\":[{\"id\":\"s\",\"recipient_id\":\"2\"}"
                        "]") "},"
                             "{\"field\":\"smb_message_echoes\"," VALUE(
                                 ",\"message_echoes\":[{\"id\":\"e\",\"to\":"
                                 "\"2\"}]") "},"
                                            "{\"field\":\"flows\"," VALUE(",\"event\":\"x\"") "}")),
                    &sink);
    ck_assert_int_eq(count, 5);
}
END_TEST

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
        {ENVELOPE("{\"field\":\"messages\",\"value\":{\"messages\":[{}]}}"), 0, 0, 0, 0, "no_channel "},
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
    tcase_add_checked_fixture(t, stage_open, stage_close);
    tcase_add_test(t, a_message_makes_a_conversation_and_one_event);
    tcase_add_loop_test(t, receipts_end_at_the_right_rank_in_any_order, 0, 40);
    tcase_add_loop_test(t, mixed_receipts_of_one_second_end_at_the_right_rank, 0, 1000 / ORDERS);
    tcase_add_test(t, the_ladder_of_statuses);
    tcase_add_test(t, figures_follow_the_conversations);
    tcase_add_test(t, a_customer_keeps_the_conversation_under_a_new_name);
    tcase_add_test(t, edits_revokes_and_reactions_name_another_message);
    tcase_add_test(t, a_customer_who_changes_his_number_keeps_his_conversation);
    tcase_add_test(t, a_late_message_does_not_become_the_last);
    tcase_add_test(t, every_element_of_a_webhook_goes_somewhere);
    tcase_add_test(t, a_field_without_a_number_goes_with_its_account);
    tcase_add_test(t, a_command_that_was_wrapped_is_the_same_again);
    suite_add_tcase(s, t);
    return s;
}
