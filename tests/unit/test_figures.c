/* The day that the figures belong to: midnights, clocks that step, time zones that change. */
#include "shared/clock.h"
#include "shared/json.h"
#include "state-manager/core/figures.h"
#include "state-manager/rpc/answers.h"
#include "tests/unit/command_stage.h"
#include "tests/unit/suites.h"
#include <string.h>

enum { MINUTE_MS = 60000, HOUR_MS = 3600000 };

static int64_t moment(const char *iso)
{
    int64_t ms = 0;
    ck_assert_msg(clock_parse_iso(iso, &ms), "%s", iso);
    return ms;
}

/* Figures of a tenant with open conversations, and 7 messages today. */
static struct figures busy_day(const char *zone, int64_t now)
{
    struct figures f;
    figures_read((struct view){NULL, 0}, &f);
    ck_assert(figures_set_zone(&f, zone, now));
    f.active = 5;
    f.waiting = 3;
    for (int i = 0; i < 7; i++)
        figures_message(&f);
    figures_answer(&f, 4000);
    return f;
}

static int64_t shown(const struct figures *f, int64_t now, const char *key)
{
    struct buf out;
    int64_t value = -1;
    buf_init(&out, 1 << 10);
    figures_show(f, now, &out);
    ck_assert_msg(json_i64(json_get(buf_view(&out), key), &value), "%s in %s", key, out.data);
    buf_free(&out);
    return value;
}

START_TEST(a_day_ends_at_the_tenants_midnight)
{
    static const struct {
        const char *zone, *midnight;
    } rows[] = {{"UTC", "2024-03-01T00:00:00.000Z"},
                {"Europe/Berlin", "2024-10-27T23:00:00.000Z"},
                {"America/New_York", "2024-03-11T04:00:00.000Z"},
                {"Asia/Kathmandu", "2024-05-01T18:15:00.000Z"},
                {"Pacific/Kiritimati", "2024-05-01T10:00:00.000Z"},
                {"Pacific/Marquesas", "2024-05-01T09:30:00.000Z"}};
    for (size_t i = 0; i < countof(rows); i++) {
        int64_t midnight = moment(rows[i].midnight);
        struct figures f = busy_day(rows[i].zone, midnight - 3 * HOUR_MS);
        ck_assert_int_eq(shown(&f, midnight - 1, "totalMessagesToday"), 7);
        ck_assert(!figures_is_stale(&f, midnight - 1));
        ck_assert_int_eq(shown(&f, midnight, "totalMessagesToday"), 0);
        ck_assert_int_eq(shown(&f, midnight, "activeConversations"), 5);
        ck_assert_int_eq(shown(&f, midnight, "waitingConversations"), 3);
        ck_assert(figures_is_stale(&f, midnight));
        ck_assert(figures_is_stale(&f, midnight + 72 * (int64_t)HOUR_MS));
        figures_roll(&f, midnight);
        ck_assert_int_eq(f.answers, 0);
        ck_assert_int_eq(f.answer_ms, 0);
        ck_assert(!figures_is_stale(&f, midnight));
        ck_assert(!figures_is_stale(&f, midnight + 72 * (int64_t)HOUR_MS)); /* 0 then as now */
    }
}
END_TEST

START_TEST(a_clock_that_steps_back_does_not_bring_yesterday_back)
{
    int64_t midnight = moment("2024-10-27T23:00:00.000Z"); /* Berlin's */
    struct figures f = busy_day("Europe/Berlin", midnight - HOUR_MS);
    figures_roll(&f, midnight + 5000);
    figures_message(&f);
    int64_t day = f.day;
    for (int64_t back = 1; back <= CLOCK_STEP_MAX_MS; back *= 3) {
        figures_roll(&f, midnight - back);
        ck_assert_int_eq(f.day, day);
        ck_assert_int_eq(f.messages_today, 1);
        ck_assert(!figures_is_stale(&f, midnight - back));
    }
    figures_roll(&f, midnight - CLOCK_STEP_MAX_MS - 1); /* that clock was wrong before */
    ck_assert_int_eq(f.day, day - 1);
    ck_assert_int_eq(f.messages_today, 0);
}
END_TEST

START_TEST(counts_stay_when_the_zone_changes)
{
    int64_t now = moment("2024-05-01T12:00:00.000Z");
    struct figures f = busy_day("America/Los_Angeles", now);                /* May 1st, 05:00 */
    ck_assert(figures_set_zone(&f, "Pacific/Kiritimati", now + MINUTE_MS)); /* May 2nd, 02:01 */
    ck_assert_str_eq(f.time_zone, "Pacific/Kiritimati");
    ck_assert_int_eq(shown(&f, now + MINUTE_MS, "totalMessagesToday"), 7);
    ck_assert_int_eq(shown(&f, now + 22 * HOUR_MS - 1, "totalMessagesToday"), 7);
    ck_assert_int_eq(shown(&f, now + 22 * HOUR_MS, "totalMessagesToday"), 0);
    ck_assert(figures_set_zone(&f, "America/Los_Angeles", now + 2 * MINUTE_MS)); /* a day back */
    ck_assert_int_eq(shown(&f, now + 3 * MINUTE_MS, "totalMessagesToday"), 7);
    ck_assert_int_eq(shown(&f, now + 19 * HOUR_MS, "totalMessagesToday"), 0);
    struct figures before = f;
    ck_assert(!figures_set_zone(&f, "Mars/Olympus_Mons", now));
    ck_assert_mem_eq(&f, &before, sizeof f);
    ck_assert(figures_set_zone(&f, "UTC", now + 24 * HOUR_MS)); /* the old zone's day was over */
    ck_assert_int_eq(f.messages_today, 0);
}
END_TEST

START_TEST(a_document_is_read_as_it_was_written)
{
    struct buf doc;
    struct figures f = busy_day("Asia/Kathmandu", moment("2024-05-01T12:00:00.000Z")), again;
    buf_init(&doc, 1 << 10);
    figures_write(&f, &doc);
    figures_read(buf_view(&doc), &again);
    ck_assert_mem_eq(&f, &again, sizeof f);
    figures_read(VIEW("{\"active\":1,\"day\":19844,\"messagesToday\":2}"), &again); /* of an older version */
    ck_assert_str_eq(again.time_zone, "UTC");
    ck_assert_int_eq(shown(&again, moment("2024-05-01T23:59:59.999Z"), "totalMessagesToday"), 2);
    figures_read(VIEW("{\"day\":19844,\"messagesToday\":2,\"timeZone\":\"Mars/Olympus_Mons\"}"), &again);
    ck_assert_int_eq(shown(&again, moment("2024-05-01T23:59:59.999Z"), "totalMessagesToday"), 2);
    buf_free(&doc);
}
END_TEST

/* --- through the log -------------------------------------------------------------------------------------
 */

static struct head head_now(void)
{
    struct head head;
    ck_assert(stage_store.reader->ops->head(stage_store.reader, "t1", &head, NULL));
    return head;
}

START_TEST(a_tenants_zone_is_set_by_a_command)
{
    static const struct {
        const char *body;
        bool ok;
    } rows[] = {{"{\"timeZone\":\"Europe/Berl\u00edn\"}", false}, /* the first that is heard of the tenant */
                {"{\"timeZone\":\"Asia/Kathmandu\"}", true},
                {"{\"timeZone\":\"Europe/Berlin\",\"other\":1}", true},
                {"{\"timeZone\":\"UTC\"}", true},
                {"{\"timeZone\":\"Mars/Olympus_Mons\"}", false},
                {"{\"timeZone\":\"Europe/Ber\\u0000lin\"}", false},
                {"{\"timeZone\":\"\"}", false},
                {"{\"timeZone\":null}", false},
                {"{\"timeZone\":7}", false},
                {"{}", false},
                {"[]", false},
                {"7", false}};
    struct buf events;
    struct err err;
    buf_init(&events, 1 << 20);
    for (size_t i = 0; i < countof(rows); i++) {
        uint64_t n = head_now().n;
        ck_assert_msg(call(COMMAND_TENANT, "", rows[i].body, "", &err) == rows[i].ok, "%s", rows[i].body);
        ck_assert_int_eq(err.code, rows[i].ok ? ERR_NONE : ERR_INVALID);
        stage_commit(&events);
        ck_assert_uint_eq(head_now().n, n + rows[i].ok); /* what is refused writes nothing */
        ck_assert_uint_eq(head_now().figures_rev, head_now().n);
    }
    ck_assert(call(COMMAND_TENANT, "", rows[1].body, "", &err));
    ck_assert_str_eq(reply.data, "{\"tenantId\":\"t1\",\"timeZone\":\"Asia/Kathmandu\"}");
    stage_commit(&events);
    uint64_t n = head_now().n;
    ck_assert(call(COMMAND_TENANT, "", rows[1].body, "", &err)); /* it is */
    stage_commit(&events);
    ck_assert_uint_eq(head_now().n, n);
    ck_assert_str_eq(figures_now().time_zone, "Asia/Kathmandu");
    buf_free(&events);
}
END_TEST

START_TEST(a_new_day_is_announced_with_whatever_comes_first)
{
    struct buf events;
    struct err err;
    char id[MODEL_ID_SIZE];
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    uint64_t before = head_now().figures_rev;
    ck_assert(call(COMMAND_PATCH, id, "{\"assignee\":\"ann\"}", "", &err));
    stage_commit(&events);
    ck_assert_uint_eq(head_now().figures_rev, before); /* no figure moved */
    now_ms += 24 * HOUR_MS;
    stage_commit(&events);
    ck_assert(call(COMMAND_PATCH, id, "{\"assignee\":\"bob\"}", "", &err));
    stage_commit(&events);
    ck_assert_uint_gt(head_now().figures_rev, before);
    ck_assert_int_eq(figures_now().messages_today, 0);
    buf_free(&events);
}
END_TEST

START_TEST(a_refresh_ends_a_stale_day)
{
    struct buf events;
    struct err err;
    buf_init(&events, 1 << 20);
    ck_assert(call(COMMAND_TENANT, "", "{\"timeZone\":\"Asia/Kathmandu\"}", "", &err));
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    now_ms += 24 * HOUR_MS;
    stage_commit(&events);
    struct figures f = figures_now();
    ck_assert(figures_is_stale(&f, now_ms));
    ck_assert(call(COMMAND_REFRESH, "", "", "", &err));
    ck_assert_ptr_nonnull(strstr(reply.data, "\"totalMessagesToday\":0"));
    stage_commit(&events);
    f = figures_now();
    ck_assert(!figures_is_stale(&f, now_ms));
    ck_assert_uint_eq(head_now().figures_rev, head_now().n);
    buf_free(&events);
}
END_TEST

/* What the gateway gives to a browser that connects. */
START_TEST(a_snapshot_shows_the_tenants_today)
{
    static const struct {
        int64_t minutes; /* after 08:00 UTC, 13:45 in Kathmandu */
        const char *messages;
    } rows[] = {{0, "\"totalMessagesToday\":1,"},
                {10 * 60 + 14, "\"totalMessagesToday\":1,"},
                {10 * 60 + 15, "\"totalMessagesToday\":0,"}};
    struct buf events, answer;
    struct err err;
    buf_init(&events, 1 << 20);
    buf_init(&answer, 1 << 20);
    ck_assert(call(COMMAND_TENANT, "", "{\"timeZone\":\"Asia/Kathmandu\"}", "", &err));
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    for (size_t i = 0; i < countof(rows); i++) {
        rpc_answer(&(struct answering){.store = stage_store.reader,
                                       .now_wall_ms = now_ms + rows[i].minutes * MINUTE_MS},
                   VIEW("{\"op\":\"heads\",\"tenants\":[\"t1\"],\"latest\":true}"), &answer);
        ck_assert_msg(strstr(answer.data, rows[i].messages) != NULL, "%zu: %s", i, answer.data);
    }
    buf_free(&events);
    buf_free(&answer);
}
END_TEST

/* Its clock, or the customer's, may be some seconds off: the agent has read what he answers. */
START_TEST(an_answer_from_the_portal_answers_whatever_the_clocks_say)
{
    struct buf events;
    struct err err;
    char id[MODEL_ID_SIZE];
    buf_init(&events, 1 << 20);
    ck_assert(decide(COMMAND_INBOUND, text_message, NULL));
    stage_commit(&events);
    conversation_id_for(VIEW("100"), VIEW("w:4477"), id);
    now_ms -= 3000;
    stage_commit(&events);
    ck_assert(call(COMMAND_OUTBOUND, id, "{\"text\":\"hi\"}", "", &err));
    stage_commit(&events);
    ck_assert_int_eq(figures_now().waiting, 0);
    ck_assert_int_eq(figures_now().answers, 1);
    ck_assert_int_eq(figures_now().answer_ms, 0);
    buf_free(&events);
}
END_TEST

Suite *suite_figures(void)
{
    Suite *s = suite_create("figures");
    TCase *t = tcase_create("days");
    tcase_add_test(t, a_day_ends_at_the_tenants_midnight);
    tcase_add_test(t, a_clock_that_steps_back_does_not_bring_yesterday_back);
    tcase_add_test(t, counts_stay_when_the_zone_changes);
    tcase_add_test(t, a_document_is_read_as_it_was_written);
    suite_add_tcase(s, t);
    t = tcase_create("commands");
    tcase_add_checked_fixture(t, stage_open, stage_close);
    tcase_add_test(t, a_tenants_zone_is_set_by_a_command);
    tcase_add_test(t, a_new_day_is_announced_with_whatever_comes_first);
    tcase_add_test(t, a_refresh_ends_a_stale_day);
    tcase_add_test(t, a_snapshot_shows_the_tenants_today);
    tcase_add_test(t, an_answer_from_the_portal_answers_whatever_the_clocks_say);
    suite_add_tcase(s, t);
    return s;
}
