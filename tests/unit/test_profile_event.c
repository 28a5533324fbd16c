/* What clients say in the systems of profiles, held against the ones that come with us. */
#include "portal-gateway/core/inside.h"
#include "portal-gateway/core/typing.h"
#include "shared/json.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDED "{\"ok\":true,\"reply\":{\"offset\":\"e-10\"}}"
#define FARMER   ",\"role\":\"farmer\""
#define ADMIN    ",\"role\":\"admin\""
#define CUSTOMER ",\"role\":\"customer\",\"name\":\"Ann\",\"email\":\"ann@x.example\""

static struct profiles *profiles;

static void begin(void)
{
    stage_set_up();
    stage.policy.agent_portal = false;
}

/* The system that a test is about: before its first session. */
static void use(const char *name)
{
    struct buf faults;
    char path[64];
    buf_init(&faults, 1 << 16);
    snprintf(path, sizeof path, "deploy/profiles/%s.json", name);
    profiles = profiles_load(path, &faults);
    ck_assert_msg(profiles != NULL, "%s", faults.data);
    buf_free(&faults);
    stage.policy.profiles = profiles;
}

static void end(void)
{
    stage_tear_down();
    profiles_free(profiles);
    profiles = NULL;
}

static bool is_in(const struct sink *k, const char *room)
{
    return session_is_in(k->session, view_of(room));
}

#define DENIED(text) "431[{\"ok\":false,\"error\":{\"code\":\"DENIED\",\"message\":\"" text "\"}}]\n"
#define CLOSED       DENIED("the token does not give this room")

/* --- rooms --- */

/* sub, claims, what is said, the room that is then asked for (NULL: nothing is asked), "granted" is said of
 * it */
static const struct {
    const char *sub, *claims, *said, *room;
    bool granted;
} join_rows[] = {
    {"f1", FARMER, "421[\"join-ticket\",\"TKT00000001\"]", "ticket-TKT00000001", false},
    {"a1", ADMIN, "421[\"join-ticket\",\"TKT00000001\"]", "ticket-TKT00000001", true},
    {"f1", FARMER, "421[\"join-farmer\",\"f1\"]", "farmer-f1", true},
    {"a1", ADMIN, "421[\"join-farmer\",\"f1\"]", "farmer-f1", true},
    {"a1", ADMIN, "421[\"join-admin\"]", "admin", true},
    {"f1", FARMER, "421[\"join-farmer\",\"f2\"]", NULL, false},
    {"f1", FARMER, "421[\"join-admin\"]", NULL, false},
    {"a1", ",\"role\":\"auditor\"", "421[\"join-admin\"]", NULL, false},
    {"a1", "", "421[\"join-admin\"]", NULL, false},
    {"x1", ",\"role\":\"auditor\",\"rooms\":[\"role:admin\"]", "421[\"join-admin\"]", NULL, false},
};

START_TEST(a_rule_says_who_gets_into_a_room)
{
    use("tickets");
    struct sink *k = live(&protocol_sio, join_rows[_i].sub, join_rows[_i].claims);
    char text[256];
    say(k, join_rows[_i].said);
    if (!join_rows[_i].room) {
        ck_assert_uint_eq(stage.asks, 0);
        ck_assert_str_eq(heard(k), CLOSED);
        gone(k);
        return;
    }
    snprintf(text, sizeof text, "\"room\":\"%s\",\"in\":true%s}}", join_rows[_i].room,
             join_rows[_i].granted ? ",\"granted\":true" : "");
    ck_assert_msg(strstr(asked(), text) != NULL, "%s", asked());
    ck_assert(!is_in(k, join_rows[_i].room));
    settle(stage.asked_token, RECORDED);
    ck_assert(is_in(k, join_rows[_i].room));
    snprintf(text, sizeof text, "431[{\"ok\":true,\"room\":\"%s\"}]\n", join_rows[_i].room);
    ck_assert_str_eq(heard(k), text);
    gone(k);
}
END_TEST

/* Without records: the state-manager says whose the document is. */
static const struct {
    const char *sub, *claims, *answer;
    bool may;
} owner_rows[] = {
    {"f1", FARMER, "{\"ok\":true,\"rooms\":{\"ticket-T1\":\"f1\"}}", true},
    {"f1", FARMER, "{\"ok\":true,\"rooms\":{\"ticket-T1\":\"f2\"}}", false},
    {"f1", FARMER, "{\"ok\":true,\"rooms\":{\"ticket-T1\":true}}", false},
    {"f1", FARMER, "{\"ok\":true,\"rooms\":{\"ticket-T1\":false}}", false},
    {"a1", ADMIN, "{\"ok\":true,\"rooms\":{\"ticket-T1\":\"f2\"}}", true},
    {"a1", ADMIN, "{\"ok\":true,\"rooms\":{\"ticket-T1\":false}}", false},
};

START_TEST(a_document_says_who_gets_into_its_room)
{
    use("tickets");
    struct sink *k = live(&protocol_ws, owner_rows[_i].sub, owner_rows[_i].claims);
    say(k, "{\"type\":\"join\",\"room\":\"ticket-T1\",\"id\":1}");
    ck_assert_ptr_nonnull(strstr(asked(), "\"op\":\"rights\""));
    settle(stage.asked_token, owner_rows[_i].answer);
    ck_assert_int_eq(is_in(k, "ticket-T1"), owner_rows[_i].may);
    ck_assert_int_eq(strstr(heard(k), "\"type\":\"ack\"") != NULL, owner_rows[_i].may);
    gone(k);
}
END_TEST

/* What one user may not is not what another may not: answers are kept per room, not per user. */
START_TEST(an_answer_that_is_kept_is_weighed_for_each)
{
    use("tickets");
    struct sink *a = live(&protocol_ws, "f1", FARMER), *b = live(&protocol_ws, "f2", FARMER);
    say(a, "{\"type\":\"join\",\"room\":\"ticket-T1\",\"id\":1}");
    settle(stage.asked_token, "{\"ok\":true,\"rooms\":{\"ticket-T1\":\"f2\"}}");
    say(b, "{\"type\":\"join\",\"room\":\"ticket-T1\",\"id\":1}");
    ck_assert_uint_eq(stage.asks, 1);
    ck_assert(!is_in(a, "ticket-T1"));
    ck_assert(is_in(b, "ticket-T1"));
    gone(a);
    gone(b);
}
END_TEST

START_TEST(rooms_that_are_asked_for_together_are_all_or_none)
{
    use("bakery");
    struct sink *k = live(&protocol_sio, "u1", CUSTOMER);
    say(k, "42[\"user_role\",\"customer\",\"u1\"]"); /* no ack */
    settle(stage.asked_token, RECORDED);
    ck_assert(is_in(k, "customer") && !is_in(k, "user_u1"));
    settle(stage.asked_token, RECORDED);
    ck_assert(is_in(k, "customer") && is_in(k, "user_u1"));
    ck_assert_str_eq(heard(k), "");
    gone(k);

    struct sink *p = live(&protocol_sio, "u2", CUSTOMER);
    say(p, "421[\"user_role\",\"customer\",\"u2\"]");
    settle(stage.asked_token, RECORDED);
    settle(stage.asked_token, "{\"ok\":false,\"error\":{\"code\":\"DENIED\",\"message\":\"no\"}}");
    ck_assert_str_eq(heard(p), DENIED("no"));
    ck_assert(!is_in(p, "customer") && !is_in(p, "user_u2"));
    ck_assert_ptr_nonnull(strstr(asked(), "\"room\":\"customer\",\"in\":false"));
    gone(p);
}
END_TEST

static const char *const claims_rows[] = {
    "421[\"user_role\",\"admin\",\"u1\"]",
    "421[\"user_role\",\"customer\",\"u2\"]",
    "421[\"user_role\",\"admin\"]",
    "421[\"user_role\"]",
    "421[\"user_role\",[\"customer\"],\"u1\"]",
};

START_TEST(who_claims_what_his_token_does_not_say_is_refused)
{
    use("bakery");
    struct sink *k = live(&protocol_sio, "u1", CUSTOMER);
    say(k, claims_rows[_i]);
    ck_assert_uint_eq(stage.asks, 0);
    ck_assert_str_eq(heard(k), DENIED("the token says otherwise"));
    gone(k);
}
END_TEST

START_TEST(a_claim_that_holds_is_acknowledged)
{
    use("service-desk");
    struct sink *k = live(&protocol_sio, "u1", CUSTOMER);
    say(k, "421[\"register\",\"u2\"]");
    ck_assert_str_eq(heard(k), DENIED("the token says otherwise"));
    forget_output(k);
    say(k, "421[\"register\",\"u1\",\"and\",{\"more\":1}]");
    ck_assert_str_eq(heard(k), "431[{\"ok\":true}]\n");
    gone(k);
}
END_TEST

/* --- telling a room --- */

START_TEST(a_room_is_told_by_who_is_in_it)
{
    use("service-desk");
    struct sink *k = live(&protocol_sio, "e1", ",\"role\":\"engineer\"");
    say(k, "421[\"point_at_call\",\"c1\"]");
    ck_assert_str_eq(heard(k), DENIED("join the room first"));
    ck_assert_uint_eq(stage.publishes, 0);
    forget_output(k);
    say(k, "42[\"join_call\",\"c1\"]");
    settle(stage.asked_token, RECORDED);
    say(k, "421[\"point_at_call\",\"c1\"]");
    ck_assert_str_eq(heard(k), "431[{\"ok\":true}]\n");
    struct view body = buf_view(&stage.published);
    ck_assert(json_string_is(json_get(body, "type"), "call_pointed_at"));
    ck_assert(json_string_is(json_get(body, "except"), k->session->id));
    ck_assert(view_is(json_get(body, "rooms"), "[\"call-c1\"]"));
    ck_assert(view_is(json_get(body, "data"), "{\"callId\":\"c1\",\"userId\":\"e1\"}"));
    gone(k);
}
END_TEST

/* --- commands --- */

START_TEST(a_command_says_who_wants_what)
{
    use("tickets");
    struct sink *k = live(&protocol_sio, "f1", FARMER);
    say(k, "421[\"send-message\",{\"ticketId\":\"T1\",\"message\":\"a \\u00e9 "
           "b\",\"clientMessageId\":\"k-1\"}]");
    struct view q = view_of(asked());
    ck_assert(json_string_is(json_get(q, "op"), "command"));
    ck_assert(json_string_is(json_get(q, "command"), "write"));
    ck_assert(json_string_is(json_get(q, "operation"), "tickets.tickets.message"));
    ck_assert(json_string_is(json_get(q, "author"), "f1"));
    ck_assert(json_string_is(json_get(q, "key"), "k-1"));
    ck_assert(view_is(json_path(q, "claims.roles"), "[\"farmer\"]"));
    ck_assert(view_is(json_get(q, "params"), "{\"id\":\"T1\"}"));
    ck_assert(view_is(json_get(q, "body"), "{\"message\":\"a \\u00e9 b\"}"));
    settle(stage.asked_token, "{\"ok\":true,\"reply\":{\"ticketId\":\"T1\"}}");
    ck_assert_str_eq(heard(k), "431[{\"ok\":true,\"document\":{\"ticketId\":\"T1\"}}]\n");
    forget_output(k);
    say(k, "422[\"send-message\",{\"ticketId\":\"T1\",\"message\":\"b\"}]");
    ck_assert_int_eq(json_type(json_get(view_of(asked()), "key")), JSON_NONE);
    settle(stage.asked_token, "{\"ok\":false,\"error\":{\"code\":\"INVALID\",\"message\":\"no\"}}");
    ck_assert_str_eq(heard(k), "432[{\"ok\":false,\"error\":{\"code\":\"INVALID\",\"message\":\"no\"}}]\n");
    gone(k);
}
END_TEST

START_TEST(a_key_that_is_none_is_refused)
{
    use("tickets");
    struct sink *k = live(&protocol_sio, "f1", FARMER);
    say(k, "421[\"send-message\",{\"ticketId\":\"T1\",\"message\":\"a\",\"clientMessageId\":\"two words\"}]");
    say(k, "421[\"send-message\",{\"ticketId\":\"T1\",\"message\":\"a\",\"clientMessageId\":7}]");
    ck_assert_uint_eq(stage.asks, 0);
    ck_assert_uint_eq(k->frames, 2);
    gone(k);
}
END_TEST

/* --- what is there in every system --- */

START_TEST(typing_goes_by_the_profile)
{
    use("tickets");
    struct sink *k = live(&protocol_sio, "a1", ADMIN);
    say(k, "421[\"typing\",{\"ticketId\":\"T1\",\"isTyping\":true}]");
    settle(stage.asked_token, "{\"ok\":true,\"rooms\":{\"ticket-T1\":\"f1\"}}");
    ck_assert_str_eq(heard(k), "431[{\"ok\":true}]\n");
    struct view body = buf_view(&stage.published);
    ck_assert(view_is(json_get(body, "rooms"), "[\"ticket-T1\"]"));
    ck_assert(view_is(json_get(body, "data"), "{\"ticketId\":\"T1\",\"userId\":\"a1\",\"isTyping\":true}"));
    forget_output(k);
    say(k, "421[\"typing\",{\"conversationId\":\"c_1\",\"isTyping\":true}]");
    ck_assert_ptr_nonnull(strstr(heard(k), "INVALID"));
    gone(k);

    struct sink *f = live(&protocol_sio, "f2", FARMER);
    size_t before = stage.publishes;
    say(f, "421[\"typing\",{\"ticketId\":\"T1\",\"isTyping\":true}]"); /* what is known is kept */
    ck_assert_ptr_nonnull(strstr(heard(f), "DENIED"));
    ck_assert_uint_eq(stage.publishes, before);
    gone(f);
}
END_TEST

START_TEST(the_portal_s_events_are_its_own)
{
    use("tickets");
    struct sink *k = live(&protocol_sio, "a1", ADMIN);
    say(k, "421[\"join_conversation\",\"c_1\"]");
    say(k, "422[\"send_message\",{\"conversationId\":\"c_1\",\"text\":\"x\"}]");
    ck_assert_uint_eq(stage.asks, 0);
    ck_assert_str_eq(heard(k), "");
    gone(k);
}
END_TEST

/* --- another token, none --- */

START_TEST(a_room_that_a_new_token_closes_is_left)
{
    use("tickets");
    struct sink *k = live(&protocol_ws, "a1", ADMIN);
    char *token = token_of("a1", FARMER), text[4096];
    say(k, "{\"type\":\"join\",\"room\":\"admin\",\"id\":1}");
    say(k, "{\"type\":\"join\",\"room\":\"farmer-a1\",\"id\":2}");
    ck_assert(is_in(k, "admin") && is_in(k, "farmer-a1"));
    snprintf(text, sizeof text, "{\"type\":\"refresh\",\"token\":\"%s\",\"id\":3}", token);
    forget_output(k);
    say(k, text);
    ck_assert(!is_in(k, "admin") && is_in(k, "farmer-a1"));
    ck_assert_ptr_nonnull(strstr(heard(k), "\"type\":\"ack\""));
    ck_assert_uint_eq(stage.asks, 0);
    free(token);
    gone(k);
}
END_TEST

START_TEST(who_may_return_is_not_told_to_stay_away)
{
    use("bakery");
    struct sink *k = live(&protocol_sio, "u1", CUSTOMER), *p = live(&protocol_sio, "u2", CUSTOMER);
    revoked_add(&t1()->revoked, VIEW("{\"sub\":\"u1\",\"before\":9000000000000,\"mayReturn\":true}"));
    revoked_add(&t1()->revoked, VIEW("{\"sub\":\"u2\",\"before\":9000000000000}"));
    tenant_end_revoked(t1());
    ck_assert_str_eq(heard(k), "");
    ck_assert_str_eq(heard(p), "41\n");
    ck_assert(k->closed && p->closed);
    gone(k);
    gone(p);
}
END_TEST

Suite *suite_profile_event(void)
{
    Suite *s = suite_create("profile_event");
    TCase *t = tcase_create("profile_event");
    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, a_rule_says_who_gets_into_a_room, 0, (int)countof(join_rows));
    tcase_add_loop_test(t, a_document_says_who_gets_into_its_room, 0, (int)countof(owner_rows));
    tcase_add_test(t, an_answer_that_is_kept_is_weighed_for_each);
    tcase_add_test(t, rooms_that_are_asked_for_together_are_all_or_none);
    tcase_add_loop_test(t, who_claims_what_his_token_does_not_say_is_refused, 0, (int)countof(claims_rows));
    tcase_add_test(t, a_claim_that_holds_is_acknowledged);
    tcase_add_test(t, a_room_is_told_by_who_is_in_it);
    tcase_add_test(t, a_command_says_who_wants_what);
    tcase_add_test(t, a_key_that_is_none_is_refused);
    tcase_add_test(t, typing_goes_by_the_profile);
    tcase_add_test(t, the_portal_s_events_are_its_own);
    tcase_add_test(t, a_room_that_a_new_token_closes_is_left);
    tcase_add_test(t, who_may_return_is_not_told_to_stay_away);
    suite_add_tcase(s, t);
    return s;
}
