/* A new token on a live connection: what it changes, and what is refused. */
#include "shared/clock.h"
#include "shared/json.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sink *k;

static void begin(void)
{
    stage_set_up();
    k = live(&protocol_sio, "u1", "");
}

static void end(void)
{
    gone(k);
    stage_tear_down();
}

static void refresh(struct sink *to, const char *sub, const char *more)
{
    char *token = token_of(sub, more);
    struct buf b;
    buf_init(&b, 4096);
    bool sio = to->session->protocol == &protocol_sio;
    buf_addf(&b,
             sio ? "420[\"refresh_token\",{\"token\":\"%s\"}]"
                 : "{\"type\":\"refresh\",\"id\":0,\"token\":\"%s\"}",
             token);
    say(to, b.data);
    buf_free(&b);
    free(token);
}

START_TEST(another_token_counts_from_now_on)
{
    struct sink *p = opened(&protocol_sio);
    stage.token_seconds = 2;
    sign_in(p, "u2", ",\"rooms\":[\"vip\",\"old\"],\"teams\":[\"red\"]");
    forget_output(p);
    feed(0, 1, "to_old", ",\"rooms\":[\"old\"]");
    stage.token_seconds = 3600;
    forget_output(p);
    refresh(p, "u2", ",\"rooms\":[\"vip\",\"new\"],\"teams\":[\"blue\"]");
    ck_assert_int_eq(strncmp(heard(p), "430[{\"ok\":true,\"expiresAt\":\"20", 30), 0);
    for (size_t i = 0; i < 5; i++) {
        static const char *const rooms[] = {"\"user:u2\"", "\"role:agent\"", "\"vip\"", "\"new\"",
                                            "\"team:blue\""};
        ck_assert_ptr_nonnull(strstr(heard(p), rooms[i]));
    }
    ck_assert_ptr_null(strstr(heard(p), "\"old\""));
    ck_assert_ptr_null(strstr(heard(p), "team:red"));
    forget_output(p);
    feed(0, 1, "a", ",\"rooms\":[\"old\",\"team:red\"]");
    feed(0, 1, "b", ",\"rooms\":[\"new\"]");
    feed(11, 1, "c", "");
    ck_assert_str_eq(heard(p), "42[\"b\",0,\"e-10\"]\n42[\"c\",11,\"e-11\"]\n");
    run_for(2100); /* the first one's end */
    ck_assert(!p->closed);
    ck_assert_ptr_null(strstr(heard(p), "token_expiring")); /* nor is there a word about it */
    gone(p);
}
END_TEST

START_TEST(the_end_of_the_new_token_is_kept)
{
    stage.token_seconds = 1;
    refresh(k, "u1", "");
    run_for(1100);
    ck_assert_ptr_nonnull(strstr(heard(k), "token_expiring"));
    ck_assert(k->closed);
}
END_TEST

static const struct {
    const char *tenant, *sub, *more;
    int seconds;
    const char *code;
} token_rows[] = {
    {"t1", "u2", "", 3600, "TOKEN_FOREIGN"},
    {"t2", "u1", "", 3600, "TOKEN_FOREIGN"},
    {"t1", "u1", "", -10, "TOKEN_EXPIRED"},
    {"t1", "u1", ",\"nbf\":99999999999", 3600, "TOKEN_INVALID"},
};

START_TEST(a_token_that_is_refused_changes_nothing)
{
    int64_t before = k->session->due[DUE_TOKEN_EXPIRY];
    struct sink *p = live(&protocol_ws, "u1", "");
    stage.token_tenant = token_rows[_i].tenant;
    stage.token_seconds = token_rows[_i].seconds;
    refresh(k, token_rows[_i].sub, token_rows[_i].more);
    ck_assert_msg(strstr(heard(k), "\"ok\":false") && strstr(heard(k), token_rows[_i].code), "%s", heard(k));
    ck_assert_int_eq(k->session->due[DUE_TOKEN_EXPIRY], before);
    ck_assert(!k->closed);
    refresh(p, token_rows[_i].sub, token_rows[_i].more);
    ck_assert_int_eq(strncmp(heard(p), "{\"type\":\"error\",\"id\":0,\"code\":\"TOKEN_", 37), 0);
    gone(p);
}
END_TEST

static struct view revocation(const char *what)
{
    static char data[128];
    int n = snprintf(data, sizeof data, "{%s\"before\":%lld}", what, (long long)clock_wall_ms() + 60000);
    return (struct view){data, (size_t)n};
}

START_TEST(a_revoked_token_does_not_stand_in_and_another_frees_from_its_fate)
{
    revoked_add(&t1()->revoked, revocation("\"jti\":\"stolen\","));
    refresh(k, "u1", ",\"jti\":\"stolen\"");
    ck_assert_str_eq(heard(k),
                     "430[{\"ok\":false,\"error\":{\"code\":\"TOKEN_REVOKED\",\"message\":\"the token "
                     "has been revoked\"}}]\n");
    struct sink *p = live(&protocol_sio, "u2", ",\"jti\":\"first\"");
    refresh(p, "u2", ",\"jti\":\"second\"");
    revoked_add(&t1()->revoked, revocation("\"jti\":\"first\","));
    tenant_end_revoked(t1());
    ck_assert(!p->closed);
    revoked_add(&t1()->revoked, revocation("\"jti\":\"second\","));
    tenant_end_revoked(t1());
    ck_assert(p->closed);
    gone(p);
}
END_TEST

START_TEST(rooms_that_were_asked_for_are_asked_for_again)
{
    struct sink *p = live(&protocol_ws, "u2", "");
    session_join(p->session, VIEW("conversation:c_1"));
    session_join(p->session, VIEW("conversation:c_2"));
    refresh(p, "u2", "");
    ck_assert_str_eq(heard(p), "");
    ck_assert_str_eq(asked(),
                     "{\"v\":1,\"op\":\"rights\",\"tenantId\":\"t1\",\"rooms\":[\"conversation:c_2\","
                     "\"conversation:c_1\"]}");
    session_join(p->session, VIEW("conversation:c_3")); /* meanwhile */
    settle(stage.asked_token,
           "{\"ok\":true,\"rooms\":{\"conversation:c_1\":false,\"conversation:c_2\":true}}");
    ck_assert_ptr_nonnull(
        strstr(heard(p), "{\"type\":\"ack\",\"id\":0,\"data\":{\"ok\":true,\"expiresAt\":\""));
    ck_assert_ptr_null(strstr(heard(p), "conversation:c_1"));
    ck_assert_ptr_nonnull(strstr(heard(p), "conversation:c_2"));
    ck_assert_ptr_nonnull(strstr(heard(p), "conversation:c_3"));
    ck_assert(!session_is_in(p->session, VIEW("conversation:c_1")));
    forget_output(p);
    refresh(p, "u2", "");
    settle(stage.asked_token, ""); /* nobody can say: they stay */
    ck_assert_ptr_nonnull(strstr(heard(p), "\"ok\":true"));
    ck_assert_ptr_nonnull(strstr(heard(p), "conversation:c_2"));
    gone(p);
}
END_TEST

START_TEST(a_recorded_room_that_is_lost_is_recorded)
{
    session_join(k->session, VIEW("conversation:c_1"));
    refresh(k, "u1", "");
    settle(stage.asked_token, "{\"ok\":true,\"rooms\":{\"conversation:c_1\":false}}");
    ck_assert_ptr_nonnull(strstr(asked(), "\"room\":\"conversation:c_1\",\"in\":false"));
    ck_assert(!session_is_in(k->session, VIEW("conversation:c_1")));
    ck_assert_int_eq(strncmp(heard(k), "430[{\"ok\":true", 14), 0);
    settle(stage.asked_token, "{\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"none\"}}");
    ck_assert_ptr_null(strstr(heard(k), "false"));
}
END_TEST

Suite *suite_refresh(void)
{
    Suite *s = suite_create("refresh");
    TCase *t = tcase_create("refresh");
    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, another_token_counts_from_now_on);
    tcase_add_test(t, the_end_of_the_new_token_is_kept);
    tcase_add_loop_test(t, a_token_that_is_refused_changes_nothing, 0, (int)countof(token_rows));
    tcase_add_test(t, a_revoked_token_does_not_stand_in_and_another_frees_from_its_fate);
    tcase_add_test(t, rooms_that_were_asked_for_are_asked_for_again);
    tcase_add_test(t, a_recorded_room_that_is_lost_is_recorded);
    suite_add_tcase(s, t);
    return s;
}
