/* Rooms of profiles: which sessions may join, and what gateways are told of them. */
#include "shared/json.h"
#include "state-manager/rpc/answers.h"
#include "tests/unit/resource_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

/* Items A and B, of ann's and of nobody's; C is gone. */
static void setup(void)
{
    static const char *const docs[][2] = {
        {"lab.items/A",
         "{\"at\":1,\"ord\":1,\"document\":{\"itemId\":\"A\",\"userId\":\"ann\",\"version\":1}}"},
        {"lab.items/B", "{\"at\":1,\"ord\":2,\"document\":{\"itemId\":\"B\",\"version\":1}}"},
        {"lab.items/C", "{\"deleted\":true,\"version\":2}"}};
    resource_stage_open(STORE_SQLITE);
    for (size_t i = 0; i < countof(docs); i++)
        batch_put(batch, DOC_RECORD, view_of(docs[i][0]), (struct doc_place){.parent = VIEW("lab.items")},
                  view_of(docs[i][1]));
    stage_commit(&lab_events);
}

static bool session(const char *author, const char *room, bool in, bool granted, struct err *err)
{
    char body[256];
    snprintf(body, sizeof body, "{\"pid\":\"p-%s\",\"room\":\"%s\",\"in\":%s%s}", author, room,
             in ? "true" : "false", granted ? ",\"granted\":true" : "");
    struct command c = {.type = COMMAND_SESSION,
                        .element = view_of(body),
                        .author = view_of(author),
                        .profiles = lab,
                        .reply = &reply};
    buf_clear(&reply);
    *err = (struct err){0};
    bool ok = command_decide(batch, &c, err);
    stage_commit(&lab_events);
    return ok;
}

static const struct {
    const char *author, *room;
    bool granted;
    enum err_code code;
} joins[] = {
    {"ann", "item-A", false, ERR_NONE},
    {"bob", "item-A", false, ERR_DENIED},
    {"bob", "item-A", true, ERR_NONE}, /* by a role */
    {"ann", "item-B", false, ERR_DENIED},
    {"ann", "item-B", true, ERR_NONE},
    {"ann", "item-C", true, ERR_NOT_FOUND},
    {"ann", "item-none", true, ERR_NOT_FOUND},
    {"ann", "box-ann", false, ERR_NONE}, /* nobody has written it yet */
    {"bob", "box-ann", false, ERR_DENIED},
    {"ann", "hall", false, ERR_DENIED},
    {"ann", "hall", true, ERR_NONE},
    {"ann", "me-ann", true, ERR_NONE},
    {"ann", "me-ann", false, ERR_DENIED},
    {"ann", "nothing", true, ERR_INVALID},
    {"ann", "item-", true, ERR_INVALID},
    {"ann", "item-a\\u0001b", true, ERR_INVALID},
    {"ann", "conversation:c_1", true, ERR_INVALID}, /* there is no agent portal here */
};

START_TEST(a_session_joins_what_it_may)
{
    struct err err;
    char event[256];
    ck_assert_msg(session(joins[_i].author, joins[_i].room, true, joins[_i].granted, &err) == !joins[_i].code,
                  "%s", err.text);
    ck_assert_msg(err.code == joins[_i].code, "%s", err.text);
    ck_assert_str_eq(lab_heard(), joins[_i].code ? "" : EVENT_INSIDE "session ");
    if (joins[_i].code)
        return;
    snprintf(event, sizeof event, " {\"pid\":\"p-%s\",\"sub\":\"%s\",\"room\":\"%s\",\"in\":true}",
             joins[_i].author, joins[_i].author, joins[_i].room);
    ck_assert_str_eq(lab_event(0), event);
    ck_assert(session(joins[_i].author, joins[_i].room, false, false, &err)); /* leaving asks for nothing */
    ck_assert_str_eq(lab_heard(), EVENT_INSIDE "session ");
}
END_TEST

static const char *rights(const struct profiles *profiles, const char *rooms)
{
    static char shown[1024];
    char request[512];
    struct buf answer;
    struct view doc;
    struct answering from = {.store = stage_store.reader, .profiles = profiles, .now_wall_ms = now_ms};
    buf_init(&answer, ANSWER_MAX);
    snprintf(request, sizeof request, "{\"op\":\"rights\",\"tenantId\":\"t1\",\"rooms\":%s}", rooms);
    rpc_answer(&from, view_of(request), &answer);
    ck_assert(json_check(buf_view(&answer), JSON_STRICT, &doc, NULL));
    snprintf(shown, sizeof shown, "%.*s", VIEW_ARG(json_get(doc, "rooms")));
    buf_free(&answer);
    return shown;
}

START_TEST(gateways_are_told_whose_a_room_is)
{
    ck_assert_str_eq(
        rights(lab, "[\"item-A\",\"item-B\",\"item-C\",\"item-D\",\"box-x\",\"hall\",\"conversation:c\"]"),
        "{\"item-A\":\"ann\",\"item-B\":\"\",\"item-C\":false,\"item-D\":false,\"box-x\":\"x\",\"hall\":"
        "false,"
        "\"conversation:c\":false}");
    ck_assert_str_eq(rights(NULL, "[\"item-A\"]"), "{\"item-A\":false}");
}
END_TEST

START_TEST(a_room_without_an_owner_is_there_or_not)
{
    struct profile *p = lab->items[0];
    for (size_t i = 0; i < p->room_count; i++)
        p->rooms[i].owner = false;
    ck_assert_str_eq(rights(lab, "[\"item-A\",\"item-B\",\"item-C\"]"),
                     "{\"item-A\":true,\"item-B\":true,\"item-C\":false}");
}
END_TEST

Suite *suite_record_rooms(void)
{
    Suite *s = suite_create("record_rooms");
    TCase *t = tcase_create("record_rooms");
    tcase_add_checked_fixture(t, setup, resource_stage_close);
    tcase_add_loop_test(t, a_session_joins_what_it_may, 0, (int)countof(joins));
    tcase_add_test(t, gateways_are_told_whose_a_room_is);
    tcase_add_test(t, a_room_without_an_owner_is_there_or_not);
    suite_add_tcase(s, t);
    return s;
}
