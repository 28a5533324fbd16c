/* What is recorded of sessions, tokens that do not count any more, and questions to the state-manager. */
#include "portal-gateway/core/revoked.h"
#include "portal-gateway/core/roster.h"
#include "shared/compiler.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

#define PAGE(docs, next)        "{\"ok\":true,\"sessions\":[" docs "],\"next\":\"" next "\"}"
#define DOC(pid, offset, rooms) "{\"pid\":\"" pid "\",\"offset\":\"" offset "\",\"rooms\":{" rooms "}}"

static struct sink *somebody; /* so that there is a tenant */
static struct roster *roster;

static void set_up(void)
{
    stage_set_up();
    somebody = live(&protocol_ws, "u1", "");
    roster = &t1()->roster;
}

static void tear_down(void)
{
    gone(somebody);
    stage_tear_down();
}

static void hear_session(uint64_t seq, const char *data)
{
    roster_apply(roster, view_of(data), &(struct position){"e", seq});
}

/* "c0@15 c1@20", by name; "-": no row; "!" behind it: ended. */
static const char *row(const char *pid)
{
    static char text[256];
    const struct roster_row *r = roster_find(roster, view_of(pid));
    size_t n = 0;
    if (!r)
        return "-";
    text[0] = 0;
    for (int name = '0'; name <= '9'; name++)
        for (size_t i = 0; i < r->count; i++)
            if (r->rooms[i].name[1] == name)
                n += (size_t)snprintf(text + n, sizeof text - n, "%s%s@%d", n ? " " : "", r->rooms[i].name,
                                      (int)r->rooms[i].joined.seq);
    if (r->ended)
        snprintf(text + n, sizeof text - n, "!");
    return text;
}

static void read_all(const char *page)
{
    roster_want(roster);
    settle(stage.asked_token, page);
    ck_assert_int_eq(roster->state, ROSTER_READ);
}

START_TEST(is_read_page_by_page)
{
    roster_want(roster);
    ck_assert_str_eq(stage.asked.data, "{\"v\":1,\"op\":\"sessions\",\"tenantId\":\"t1\",\"after\":\"\"}");
    roster_want(roster);
    ck_assert_uint_eq(stage.asks, 1); /* once for all */
    settle(stage.asked_token, PAGE(DOC("A", "e-5", "\"c0\":\"e-3\""), "A"));
    ck_assert_int_eq(roster->state, ROSTER_READING);
    ck_assert_str_eq(stage.asked.data, "{\"v\":1,\"op\":\"sessions\",\"tenantId\":\"t1\",\"after\":\"A\"}");
    settle(stage.asked_token, PAGE(DOC("B", "e-9", "\"c0\":\"e-8\",\"c1\":\"e-9\""), ""));
    ck_assert_int_eq(roster->state, ROSTER_READ);
    ck_assert_str_eq(row("A"), "c0@3");
    ck_assert_str_eq(row("B"), "c0@8 c1@9");
    ck_assert_str_eq(row("C"), "-");
    roster_want(roster);
    ck_assert_uint_eq(stage.asks, 2);
}
END_TEST

START_TEST(docs_that_make_no_sense_are_left_out)
{
    read_all(PAGE("1,{\"pid\":7,\"offset\":\"e-5\"},{\"pid\":\"A\"},{\"pid\":\"B\",\"offset\":\"five\"}," DOC(
                      "C", "e-5", "\"c0\":\"e\",\"c1\":7,\"c2\":\"e-4\""),
                  ""));
    ck_assert_uint_eq(roster->rows.count, 1);
    ck_assert_str_eq(row("C"), "c2@4");
}
END_TEST

START_TEST(the_stream_keeps_it_up)
{
    hear_session(11, "{\"pid\":\"A\",\"room\":\"c9\",\"in\":true}"); /* nobody wants to know yet */
    read_all(PAGE(DOC("A", "e-12", "\"c0\":\"e-3\""), ""));
    ck_assert_str_eq(row("A"), "c0@3");
    hear_session(12, "{\"pid\":\"A\",\"room\":\"c8\",\"in\":true}"); /* the doc knows that */
    ck_assert_str_eq(row("A"), "c0@3");
    hear_session(13, "{\"pid\":\"A\",\"room\":\"c1\",\"in\":true}");
    hear_session(14, "{\"pid\":\"A\",\"room\":\"c0\",\"in\":false}");
    hear_session(15, "{\"pid\":\"A\",\"room\":\"c1\",\"in\":true}"); /* in already: since before */
    hear_session(15, "{\"pid\":\"B\",\"room\":\"c2\",\"in\":true}");
    ck_assert_str_eq(row("A"), "c1@13");
    ck_assert_str_eq(row("B"), "c2@15");
    hear_session(16, "{\"pid\":\"B\",\"ended\":true}");
    ck_assert_str_eq(row("B"), "c2@15!");
    hear_session(17, "{\"room\":\"c2\",\"in\":true}");
    hear_session(18, "{\"pid\":\"C\",\"sub\":\"u1\"}");
    ck_assert_str_eq(row("C"), "");
}
END_TEST

/* An answer may be from before or behind what the stream says while it is on its way; a row that the stream
 * alone tells of lacks what was before. */
START_TEST(what_the_stream_says_meanwhile_counts_behind_the_answer)
{
    static const struct {
        const char *said, *doc, *row;
    } rows[] = {
        {"{\"pid\":\"A\",\"room\":\"c0\",\"in\":true}", DOC("A", "e-20", "\"c1\":\"e-15\",\"c0\":\"e-20\""),
         "c0@20 c1@15"},
        {"{\"pid\":\"A\",\"room\":\"c0\",\"in\":true}", DOC("A", "e-15", "\"c1\":\"e-15\""), "c0@20 c1@15"},
        {"{\"pid\":\"A\",\"room\":\"c0\",\"in\":true}", DOC("A", "e-22", "\"c1\":\"e-15\""), "c1@15"},
        {"{\"pid\":\"A\",\"room\":\"c0\",\"in\":true}", DOC("B", "e-15", ""), "c0@20"},
        {"{\"pid\":\"A\",\"room\":\"c1\",\"in\":false}", DOC("A", "e-15", "\"c1\":\"e-15\",\"c2\":\"e-14\""),
         "c2@14"},
        {"{\"pid\":\"A\",\"room\":\"c1\",\"in\":false}", DOC("A", "e-25", "\"c1\":\"e-25\""), "c1@25"},
        {"{\"pid\":\"A\",\"ended\":true}", DOC("A", "e-15", "\"c1\":\"e-15\""), "c1@15!"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char page[512];
        snprintf(page, sizeof page, PAGE("%s", ""), rows[i].doc);
        roster_forget(roster);
        roster_want(roster);
        hear_session(20, rows[i].said);
        settle(stage.asked_token, page);
        ck_assert_msg(!strcmp(row("A"), rows[i].row), "row %zu: %s", i, row("A"));
    }
}
END_TEST

START_TEST(an_end_stays)
{
    roster_end(roster, VIEW("A")); /* by us, before it is read */
    read_all(
        PAGE(DOC("A", "e-5", "\"c0\":\"e-3\"") ",{\"pid\":\"B\",\"offset\":\"e-6\",\"ended\":true}", ""));
    ck_assert_str_eq(row("A"), "c0@3!");
    ck_assert_str_eq(row("B"), "!");
    roster_end(roster, VIEW("C"));
    ck_assert_str_eq(row("C"), "!");
    hear_session(20, "{\"pid\":\"C\",\"room\":\"c0\",\"in\":true}");
    ck_assert_str_eq(row("C"), "c0@20!");
}
END_TEST

START_TEST(what_is_forgotten_is_read_again)
{
    read_all(PAGE(DOC("A", "e-5", "\"c0\":\"e-3\""), ""));
    roster_forget(roster);
    ck_assert_int_eq(roster->state, ROSTER_UNREAD);
    ck_assert_str_eq(row("A"), "-");
    roster_want(roster);
    uint64_t late = stage.asked_token;
    hear_session(20, "{\"pid\":\"A\",\"room\":\"c9\",\"in\":true}");
    roster_forget(roster);
    settle(late, PAGE(DOC("A", "e-5", "\"c0\":\"e-3\""), ""));
    ck_assert_int_eq(roster->state, ROSTER_UNREAD); /* nobody waits for that any more */
    read_all(PAGE(DOC("A", "e-6", "\"c1\":\"e-6\""), ""));
    ck_assert_str_eq(row("A"), "c1@6");
}
END_TEST

START_TEST(an_answer_that_fails_leaves_it_unread)
{
    static const char *const answers[] = {"", "no json", "{\"ok\":false}"};
    for (size_t i = 0; i < countof(answers); i++) {
        roster_want(roster);
        settle(stage.asked_token, PAGE(DOC("A", "e-5", "\"c0\":\"e-3\""), "A"));
        settle(stage.asked_token, answers[i]);
        ck_assert_int_eq(roster->state, ROSTER_UNREAD);
        ck_assert_str_eq(row("A"), "-"); /* half of it is nothing */
    }
}
END_TEST

START_TEST(another_history_is_newer)
{
    read_all(PAGE(DOC("A", "e-500", "\"c0\":\"e-500\""), ""));
    roster_apply(roster, VIEW("{\"pid\":\"A\",\"room\":\"c1\",\"in\":true}"), &(struct position){"f", 7});
    ck_assert_str_eq(row("A"), "c0@500 c1@7");
}
END_TEST

/* --- revoked --- */

START_TEST(revoked_tokens_are_known)
{
    static const char *const said[] = {"{\"sub\":\"u1\",\"before\":1000}",
                                       "{\"sub\":\"u1\",\"before\":500}",
                                       "{\"jti\":\"j1\",\"before\":2000}",
                                       "{\"jti\":\"j2\",\"sub\":\"u3\",\"before\":2000}",
                                       "{\"sub\":\"u9\"}",
                                       "{\"sub\":\"u8\",\"before\":\"x\"}",
                                       "7"};
    static const struct {
        const char *sub, *jti;
        int64_t issued;
        bool is;
    } rows[] = {
        {"u1", "", 999, true},    {"u1", "", 0, true},     {"u1", "", 1000, false}, {"u2", "", 0, false},
        {"u2", "j1", 1999, true}, {"u2", "j3", 10, false}, {"u3", "j2", 10, true},  {"u3", "", 10, false},
        {"u9", "", 10, false},    {"u8", "", 10, false},   {"j1", "", 10, false},   {"u1", "j3", 600, true},
    };
    struct revoked r;
    revoked_init(&r);
    ck_assert(!revoked_has(&r, "u1", "j1", 0));
    for (size_t i = 0; i < countof(said); i++)
        revoked_add(&r, view_of(said[i]));
    for (size_t i = 0; i < countof(rows); i++)
        ck_assert_msg(revoked_has(&r, rows[i].sub, rows[i].jti, rows[i].issued) == rows[i].is, "row %zu", i);
    revoked_add(&r, VIEW("{\"before\":100}")); /* all of the tenant's */
    revoked_add(&r, VIEW("{\"before\":50}"));
    ck_assert(revoked_has(&r, "u7", "", 99));
    ck_assert(revoked_has(&r, "u7", "", 0));
    ck_assert(!revoked_has(&r, "u7", "", 100));
    revoked_finish(&r);
}
END_TEST

/* --- asks --- */

struct asker {
    struct ask ask;
    int answers;
    struct answer last;
};

static void on_answer(struct ask *ask, const struct answer *answer)
{
    struct asker *a = container_of(ask, struct asker, ask);
    ck_assert_uint_eq(ask->token, 0); /* it may ask again from here */
    a->answers++;
    a->last = *answer;
}

START_TEST(each_question_has_one_answer)
{
    static const struct {
        const char *text;
        bool ok;
        const char *code;
    } rows[] = {
        {"{\"ok\":true,\"rooms\":{}}", true, ""},
        {"", false, "UNAVAILABLE"},
        {"{\"ok\":true", false, "INTERNAL"},
        {"[]", false, "INTERNAL"},
        {"{\"ok\":1}", false, "INTERNAL"},
        {"{\"ok\":false}", false, "INTERNAL"},
        {"{\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\"}}", false, "INTERNAL"},
        {"{\"ok\":false,\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"nothing\"}}", false, "NOT_FOUND"},
        {"{\"ok\":false,\"error\":{\"code\":\"0123456789012345678901234567890123\",\"message\":\"\"}}", false,
         "INTERNAL"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct asker a = {.ask.on_answer = on_answer};
        asks_send(stage.hub, &a.ask, "t1", VIEW("{}"));
        uint64_t token = a.ask.token;
        settle(token, rows[i].text);
        settle(token, rows[i].text); /* and not two */
        ck_assert_int_eq(a.answers, 1);
        ck_assert_msg(a.last.ok == rows[i].ok && !strcmp(a.last.code, rows[i].code), "row %zu: %s", i,
                      a.last.code);
    }
}
END_TEST

START_TEST(whoever_has_gone_is_not_told)
{
    struct asker a = {.ask.on_answer = on_answer}, b = a;
    asks_cancel(stage.hub, &a.ask); /* nothing is asked */
    asks_send(stage.hub, &a.ask, "t1", VIEW("{}"));
    asks_send(stage.hub, &b.ask, "t1", VIEW("{}"));
    uint64_t first = a.ask.token, second = b.ask.token;
    ck_assert_uint_ne(first, second);
    asks_cancel(stage.hub, &a.ask);
    settle(first, "{\"ok\":true}");
    settle(second, "{\"ok\":true}");
    settle(second + 1, "{\"ok\":true}");
    ck_assert_int_eq(a.answers, 0);
    ck_assert_int_eq(b.answers, 1);
}
END_TEST

START_TEST(at_the_end_whoever_waits_is_told)
{
    struct asks asks;
    struct asker all[5];
    asks_init(&asks);
    for (size_t i = 0; i < countof(all); i++) {
        all[i] = (struct asker){.ask.on_answer = on_answer};
        all[i].ask.token = ++asks.last;
        map_put(&asks.by_token, (struct view){(const char *)&all[i].ask.token, sizeof asks.last},
                &all[i].ask);
    }
    asks_finish(&asks);
    for (size_t i = 0; i < countof(all); i++) {
        ck_assert_int_eq(all[i].answers, 1);
        ck_assert_str_eq(all[i].last.code, "UNAVAILABLE");
    }
}
END_TEST

Suite *suite_roster(void)
{
    Suite *s = suite_create("roster");
    TCase *t = tcase_create("roster");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, is_read_page_by_page);
    tcase_add_test(t, docs_that_make_no_sense_are_left_out);
    tcase_add_test(t, the_stream_keeps_it_up);
    tcase_add_test(t, what_the_stream_says_meanwhile_counts_behind_the_answer);
    tcase_add_test(t, an_end_stays);
    tcase_add_test(t, what_is_forgotten_is_read_again);
    tcase_add_test(t, an_answer_that_fails_leaves_it_unread);
    tcase_add_test(t, another_history_is_newer);
    tcase_add_test(t, revoked_tokens_are_known);
    tcase_add_test(t, each_question_has_one_answer);
    tcase_add_test(t, whoever_has_gone_is_not_told);
    tcase_add_test(t, at_the_end_whoever_waits_is_told);
    suite_add_tcase(s, t);
    return s;
}
