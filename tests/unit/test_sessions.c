/* The rooms of sessions, revoked tokens, and what gateways and REST learn of them. */
#include "shared/clock.h"
#include "shared/json.h"
#include "state-manager/revocations.h"
#include "state-manager/rpc/answers.h"
#include "tests/unit/command_stage.h"
#include "tests/unit/suites.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY INT64_C(86400000)

static struct buf events;
static char room[64];

static void setup(void)
{
    char id[MODEL_ID_SIZE];
    stage_open();
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    snprintf(room, sizeof room, "conversation:%s", id);
}

static void teardown(void)
{
    buf_free(&events);
    stage_close();
}

/* Decides a session command and commits it; what it answered. The entry's events are in `events`. */
static const char *session(const char *format, ...)
{
    static char body[512];
    struct err err;
    va_list args;
    va_start(args, format);
    vsnprintf(body, sizeof body, format, args);
    va_end(args);
    ck_assert_msg(call(COMMAND_SESSION, "", body, "", &err), "%s", err.text);
    stage_commit(&events);
    return reply.data;
}

static const char *session_doc(const char *pid)
{
    return store_doc(stage_store.reader, "t1", DOC_SESSION, pid);
}

START_TEST(a_join_is_an_event_and_a_place)
{
    char joined[64], wanted[256];
    struct view data;
    snprintf(joined, sizeof joined, "%s", session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true}", room));
    ck_assert_int_eq(events_of(buf_view(&events), EVENT_INSIDE "session", &data), 1);
    snprintf(wanted, sizeof wanted, "{\"pid\":\"p1\",\"sub\":\"agent-1\",\"room\":\"%s\",\"in\":true}", room);
    ck_assert_msg(view_is(data, wanted), "%.*s", VIEW_ARG(data));
    ck_assert_str_eq(session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true}", room), joined);
    ck_assert_uint_eq(events.len, 0); /* nothing was written */
    ck_assert_ptr_null(strstr(session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":false}", room), joined + 11));
    ck_assert_int_eq(events_of(buf_view(&events), EVENT_INSIDE "session", NULL), 1);
    ck_assert_ptr_nonnull(strstr(session_doc("p1"), "\"rooms\":{}"));
    ck_assert_str_eq(session("{\"pid\":\"p2\",\"room\":\"%s\",\"in\":false}", room), "{\"offset\":null}");
    ck_assert_str_eq(session_doc("p2"), "-");
}
END_TEST

START_TEST(joins_of_one_entry_see_each_other)
{
    char body[256], first[64];
    struct err err;
    snprintf(body, sizeof body, "{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true}", room);
    ck_assert(call(COMMAND_SESSION, "", body, "", &err));
    snprintf(first, sizeof first, "%s", reply.data);
    ck_assert(call(COMMAND_SESSION, "", body, "", &err));
    ck_assert_str_eq(reply.data, first);
    ck_assert(call(COMMAND_SESSION, "", "{\"pid\":\"p1\",\"ended\":true}", "", &err));
    ck_assert(!call(COMMAND_SESSION, "", body, "", &err) && err.code == ERR_CONFLICT);
    stage_commit(&events);
    ck_assert_int_eq(events_of(buf_view(&events), EVENT_INSIDE "session", NULL), 2);
}
END_TEST

/* It is kept by its age: a session that lives long must be able to stay. */
START_TEST(a_member_who_joins_again_is_made_young_once_a_day)
{
    char joined[64], old[512], young[32];
    snprintf(joined, sizeof joined, "%s", session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true}", room));
    snprintf(old, sizeof old, "%s", session_doc("p1"));
    now_ms += DAY - 1;
    stage_commit(&events); /* a batch of the new time */
    session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true}", room);
    ck_assert_str_eq(session_doc("p1"), old);
    now_ms += 1;
    stage_commit(&events);
    ck_assert_str_eq(session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true}", room), joined);
    ck_assert_str_eq(events.data, "[]");
    snprintf(young, sizeof young, "\"at\":%lld}", (long long)now_ms);
    ck_assert_ptr_nonnull(strstr(session_doc("p1"), young));
    ck_assert_int_eq(strncmp(session_doc("p1"), old, (size_t)(strstr(old, "\"at\"") - old)), 0);
}
END_TEST

/* --- generations: what an earlier connection of a session wants --- */

static enum err_code refusal(const char *format, ...)
{
    char body[512];
    struct err err = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(body, sizeof body, format, args);
    va_end(args);
    bool ok = call(COMMAND_SESSION, "", body, "", &err);
    stage_commit(&events);
    ck_assert_str_eq(events.len ? events.data : "", ""); /* nothing was written */
    return ok ? ERR_NONE : err.code;
}

START_TEST(what_an_earlier_connection_wants_is_refused)
{
    session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true,\"generation\":0}", room);
    ck_assert_ptr_null(strstr(session_doc("p1"), "generation"));
    session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":false,\"generation\":7}", room);
    ck_assert_ptr_nonnull(strstr(session_doc("p1"), "\"generation\":7,"));
    for (int in = 0; in < 2; in++)
        for (int generation = 0; generation < 7; generation += 6)
            ck_assert_int_eq(refusal("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":%s,\"generation\":%d}", room,
                                     in ? "true" : "false", generation),
                             ERR_CONFLICT);
    ck_assert_int_eq(refusal("{\"pid\":\"p1\",\"ended\":true,\"generation\":6}"), ERR_CONFLICT);
    session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true,\"generation\":7}", room);
    session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":false}", room); /* of a gateway that says none */
    ck_assert_ptr_nonnull(strstr(session_doc("p1"), "\"rooms\":{},\"generation\":7,"));
    session("{\"pid\":\"p1\",\"ended\":true,\"generation\":7}");
    ck_assert_ptr_nonnull(strstr(session_doc("p1"), "\"ended\":true,\"generation\":7,"));
    ck_assert_int_eq(refusal("{\"pid\":\"p2\",\"ended\":true,\"generation\":-1}"), ERR_INVALID);
    ck_assert_int_eq(refusal("{\"pid\":\"p2\",\"ended\":true,\"generation\":\"7\"}"), ERR_INVALID);
}
END_TEST

/* Though there is nothing to do: else what an earlier one still wants would be done behind it. */
START_TEST(a_later_connection_is_known_by_whatever_it_wants)
{
    char joined[64], old[512], wanted[256];
    struct view data;
    snprintf(joined, sizeof joined, "%s", session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true}", room));
    ck_assert_str_eq(session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true,\"generation\":5}", room), joined);
    ck_assert_int_eq(events_of(buf_view(&events), EVENT_INSIDE "session", &data), 1);
    snprintf(wanted, sizeof wanted,
             "{\"pid\":\"p1\",\"sub\":\"agent-1\",\"room\":\"%s\",\"in\":true,\"generation\":5}", room);
    ck_assert_msg(view_is(data, wanted), "%.*s", VIEW_ARG(data));
    snprintf(wanted, sizeof wanted, "\"rooms\":{\"%s\":%.*s},\"generation\":5,", room,
             (int)(strlen(joined) - 11), joined + 10);
    ck_assert_msg(strstr(session_doc("p1"), wanted) != NULL, "%s", session_doc("p1")); /* since then */
    snprintf(old, sizeof old, "%s", session_doc("p1"));
    ck_assert_str_eq(session("{\"pid\":\"p1\",\"room\":\"%s\",\"in\":true,\"generation\":5}", room), joined);
    ck_assert_str_eq(session_doc("p1"), old);

    session("{\"pid\":\"p2\",\"room\":\"%s\",\"in\":false,\"generation\":5}", room);
    ck_assert_int_eq(events_of(buf_view(&events), EVENT_INSIDE "session", NULL), 1);
    ck_assert_ptr_nonnull(strstr(session_doc("p2"), "\"rooms\":{},\"generation\":5,"));
    ck_assert_int_eq(refusal("{\"pid\":\"p2\",\"room\":\"%s\",\"in\":true,\"generation\":4}", room),
                     ERR_CONFLICT);
}
END_TEST

/* A page is cut at its bytes; the next goes on behind it. */
START_TEST(sessions_come_in_pages_of_bytes)
{
    enum { SESSIONS = 30, BYTES = 50000 };
    static char docs[SESSIONS][BYTES];
    char keys[SESSIONS][16], request[128], next[16] = "";
    struct change changes[SESSIONS];
    struct buf answer;
    struct view doc, one;
    int pages = 0, count = 0;
    for (int i = 0; i < SESSIONS; i++) {
        snprintf(keys[i], sizeof keys[i], "p%02d", i);
        int n = snprintf(docs[i], BYTES, "{\"pid\":\"%s\",\"pad\":\"", keys[i]);
        memset(docs[i] + n, '0', BYTES - 100);
        snprintf(docs[i] + n + BYTES - 100, 3, "\"}");
        changes[i] = (struct change){.kind = DOC_SESSION, .key = view_of(keys[i]), .doc = view_of(docs[i])};
    }
    struct head head;
    ck_assert(stage_store.writer->ops->head(stage_store.writer, "t1", &head, NULL));
    struct entry e = store_entry("t1", head.n + 1, "[]", head.seq + 1, head.seq), *entry = &e;
    e.epoch = head.epoch;
    e.changes = changes;
    e.change_count = SESSIONS;
    ck_assert(stage_store.writer->ops->commit(stage_store.writer, &entry, 1, NULL) &&
              e.result == COMMIT_DONE);
    buf_init(&answer, ANSWER_MAX);
    do {
        snprintf(request, sizeof request, "{\"op\":\"sessions\",\"tenantId\":\"t1\",\"after\":\"%s\"}", next);
        rpc_answer(&(struct answering){.store = stage_store.reader, .now_wall_ms = now_ms}, view_of(request),
                   &answer);
        ck_assert(answer.len < SESSIONS_BYTES + 2 * BYTES);
        ck_assert(json_check(buf_view(&answer), JSON_STRICT, &doc, NULL) &&
                  json_is_true(json_get(doc, "ok")));
        for (struct json_iter it = json_iter(json_get(doc, "sessions")); json_next_element(&it, &one);
             count++)
            ck_assert(json_string_is(json_get(one, "pid"), keys[count]));
        ck_assert(json_copy_string(json_get(doc, "next"), next, sizeof next));
    } while (++pages < SESSIONS && *next);
    ck_assert_int_eq(count, SESSIONS);
    ck_assert_int_eq(pages, 3);
    buf_free(&answer);
}
END_TEST

/* --- revoked tokens --------------------------------------------------------------------------------------
 */

/* The stage's store, counting its walks over documents; they may fail. */
static struct counting {
    struct store base;
    int scans;
    bool fails;
} counting;

static bool count_scan(struct store *s, const char *tenant_id, enum doc_kind kind, struct view after,
                       size_t limit, store_change_fn fn, void *ctx, struct err *err)
{
    (void)s;
    counting.scans++;
    if (counting.fails)
        return err_set(err, ERR_UNAVAILABLE, "away");
    return stage_store.reader->ops->scan(stage_store.reader, tenant_id, kind, after, limit, fn, ctx, err);
}

static const struct store_ops counting_ops = {.scan = count_scan};

static void revoke(const char *body)
{
    struct err err;
    ck_assert_msg(call(COMMAND_REVOKE, "", body, "", &err), "%s", err.text);
    stage_commit(&events);
}

static bool admits(struct revocations *r, const char *sub, const char *jti, int64_t issued_at_s)
{
    struct caller caller = {.tenant_id = "t1", .issued_at_s = issued_at_s};
    struct err err = {0};
    snprintf(caller.sub, sizeof caller.sub, "%s", sub);
    snprintf(caller.jti, sizeof caller.jti, "%s", jti);
    bool ok = revocations_admit(r, &caller, &err);
    ck_assert(ok || err.code == ERR_UNAUTHENTICATED);
    return ok;
}

/* What is known by now is forgotten by itself. */
static void wait_until_refused(struct revocations *r, const char *sub, const char *jti, int64_t issued_at_s)
{
    int64_t began = clock_mono_ms();
    while (admits(r, sub, jti, issued_at_s)) {
        ck_assert_int_lt(clock_mono_ms() - began, 10000);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

START_TEST(tokens_from_before_are_refused)
{
    struct revocations r;
    int64_t now_s = now_ms / 1000;
    now_ms += 500; /* within a second: iat has no fractions */
    stage_commit(&events);
    revoke("{\"sub\":\"ann\"}");
    revoke("{\"jti\":\"one\"}");
    revocations_init(&r, stage_store.reader);
    ck_assert(!admits(&r, "ann", "", now_s - 1) && !admits(&r, "ann", "two", now_s) &&
              !admits(&r, "ann", "", 0));
    ck_assert(admits(&r, "ann", "", now_s + 1));
    ck_assert(!admits(&r, "bob", "one", now_s) && admits(&r, "bob", "one", now_s + 1));
    ck_assert(admits(&r, "bob", "", now_s - 1) && admits(&r, "one", "ann", 0) && admits(&r, "tenant", "", 0));
    ck_assert(revocations_admit(&r, NULL, NULL));
    revoke("{}");
    wait_until_refused(&r, "bob", "", now_s);
    ck_assert(!admits(&r, "ann", "", now_s) && admits(&r, "bob", "", now_s + 1));
    revocations_finish(&r);
}
END_TEST

START_TEST(the_store_is_asked_once_in_a_while_however_many_call)
{
    struct revocations r;
    struct caller caller = {.tenant_id = "t1", .sub = "ann"};
    struct err err = {0};
    counting = (struct counting){.base = {.ops = &counting_ops}};
    revocations_init(&r, &counting.base);
    int64_t began = clock_mono_ms();
    for (int i = 0; i < 10000; i++)
        ck_assert(revocations_admit(&r, &caller, &err));
    ck_assert_int_le(counting.scans, 1 + (int)((clock_mono_ms() - began) / 500));
    counting.fails = true;
    snprintf(caller.tenant_id, sizeof caller.tenant_id, "t2");
    ck_assert(!revocations_admit(&r, &caller, &err) && err.code == ERR_UNAVAILABLE);
    counting.fails = false;
    ck_assert(revocations_admit(&r, &caller, &err)); /* a failure is not remembered */
    revocations_finish(&r);
}
END_TEST

/* More than a page of them. */
START_TEST(all_of_a_tenants_revocations_are_known)
{
    struct revocations r;
    struct buf answer;
    struct view doc, one;
    struct err err;
    char body[64];
    int told = 0;
    for (int i = 0; i < 1200; i++) {
        snprintf(body, sizeof body, "{\"jti\":\"token %04d\"}", i);
        ck_assert(call(COMMAND_REVOKE, "", body, "", &err));
    }
    stage_commit(&events);
    revocations_init(&r, stage_store.reader);
    ck_assert(!admits(&r, "ann", "token 0000", 1) && !admits(&r, "ann", "token 1199", 1));
    ck_assert(admits(&r, "ann", "token 1200", 1));
    revocations_finish(&r);
    buf_init(&answer, ANSWER_MAX);
    rpc_answer(&(struct answering){.store = stage_store.reader, .now_wall_ms = now_ms},
               VIEW("{\"op\":\"heads\",\"tenants\":[\"t1\",\"t2\"],\"latest\":true}"), &answer);
    ck_assert(json_check(buf_view(&answer), JSON_STRICT, &doc, NULL));
    for (struct json_iter it = json_iter(json_path(doc, "revocations.t1")); json_next_element(&it, &one);)
        told++;
    ck_assert_int_eq(told, 1200);
    ck_assert(view_is(json_path(doc, "revocations.t2"), "[]"));
    rpc_answer(&(struct answering){.store = stage_store.reader, .now_wall_ms = now_ms},
               VIEW("{\"op\":\"heads\",\"tenants\":[\"t1\"]}"), &answer);
    ck_assert_ptr_null(strstr(answer.data, "revocations"));
    buf_free(&answer);
}
END_TEST

/* Clocks of state-managers differ. */
START_TEST(the_newest_moment_wins)
{
    int64_t later = now_ms + 5000;
    char wanted[64];
    now_ms = later;
    stage_commit(&events);
    revoke("{\"sub\":\"ann\"}");
    now_ms -= 5000;
    stage_commit(&events);
    revoke("{\"sub\":\"ann\"}");
    snprintf(wanted, sizeof wanted, "{\"sub\":\"ann\",\"before\":%lld}", (long long)later);
    ck_assert_str_eq(store_doc(stage_store.reader, "t1", DOC_REVOCATION, "sub:ann"), wanted);
}
END_TEST

Suite *suite_sessions(void)
{
    Suite *s = suite_create("sessions");
    TCase *t = tcase_create("sessions");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_join_is_an_event_and_a_place);
    tcase_add_test(t, joins_of_one_entry_see_each_other);
    tcase_add_test(t, a_member_who_joins_again_is_made_young_once_a_day);
    tcase_add_test(t, what_an_earlier_connection_wants_is_refused);
    tcase_add_test(t, a_later_connection_is_known_by_whatever_it_wants);
    tcase_add_test(t, sessions_come_in_pages_of_bytes);
    tcase_add_test(t, tokens_from_before_are_refused);
    tcase_add_test(t, the_store_is_asked_once_in_a_while_however_many_call);
    tcase_add_test(t, all_of_a_tenants_revocations_are_known);
    tcase_add_test(t, the_newest_moment_wins);
    suite_add_tcase(s, t);
    return s;
}
