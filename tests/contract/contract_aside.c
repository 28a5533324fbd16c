/* Channels and the quarantine, for every kind of store. */
#include "tests/contract/store_fixture.h"
#include <stdio.h>
#include <string.h>

START_TEST(channels_come_and_go)
{
    struct channel channel = {"100", "t1", "+1 555", "secret"}, out;
    bool found;
    CK_STORE(stores.writer, channel_put, &channel);
    snprintf(channel.tenant_id, sizeof channel.tenant_id, "t2");
    CK_STORE(stores.writer, channel_put, &channel);
    CK_STORE(stores.reader, channel_get, VIEW("100"), &out, &found);
    ck_assert(found);
    ck_assert_str_eq(out.tenant_id, "t2");
    ck_assert_str_eq(out.access_token, "secret");
    CK_STORE(stores.writer, channel_delete, VIEW("100"), &found);
    ck_assert(found);
    CK_STORE(stores.writer, channel_delete, VIEW("100"), &found);
    ck_assert(!found);
    CK_STORE(stores.reader, channel_get, VIEW("100"), &out, &found);
    ck_assert(!found);
}
END_TEST

static bool on_channel(void *ctx, const struct channel *c)
{
    return seen_add(ctx, "%s:%s:%s:%s ", c->phone_number_id, c->tenant_id, c->display_phone_number,
                    c->access_token);
}

/* What a table of walks is made of: behind which id, how many, how many are taken, what is seen. */
struct walk {
    const char *after;
    size_t limit, stop_after;
    const char *text;
};

START_TEST(channels_are_walked_by_id)
{
    static const struct channel channels[] = {
        {"30", "t3", "+3", "c"}, {"100", "t1", "+1", "a"}, {"20", "t2", "+2", "b"}};
    static const struct walk rows[] = {{"", 10, 0, "100:t1:+1:a 20:t2:+2:b 30:t3:+3:c "},
                                       {"", 2, 0, "100:t1:+1:a 20:t2:+2:b "},
                                       {"", 3, 1, "100:t1:+1:a "},
                                       {"20", 2, 0, "30:t3:+3:c "},
                                       {"30", 2, 0, ""},
                                       {"", 0, 0, ""}};
    for (size_t i = 0; i < countof(channels); i++)
        CK_STORE(stores.writer, channel_put, &channels[i]);
    for (size_t i = 0; i < countof(rows); i++) {
        struct seen seen = {.stop_after = rows[i].stop_after};
        CK_STORE(stores.reader, channels, view_of(rows[i].after), rows[i].limit, on_channel, &seen);
        ck_assert_str_eq(seen.text, rows[i].text);
    }
}
END_TEST

/* --- the quarantine --------------------------------------------------------------------------------------
 */

/* What stands in the quarantine, and the digests to go on from or to drop. */
struct aside {
    struct seen seen;
    char digests[8][32];
};

static bool on_quarantined(void *ctx, const char *digest, const struct quarantined *row)
{
    struct aside *aside = ctx;
    ck_assert_uint_lt(aside->seen.count, 8);
    snprintf(aside->digests[aside->seen.count], sizeof aside->digests[0], "%s", digest);
    return seen_add(&aside->seen, "%s:%.*s:%.*s:%d ", row->reason, VIEW_ARG(row->channel_id),
                    VIEW_ARG(row->bytes), (int)row->at_wall_ms);
}

static bool on_bytes(void *ctx, const char *digest, const struct quarantined *row)
{
    struct seen *seen = ctx;
    (void)digest;
    ck_assert(view_eq(row->bytes, VIEW("a\0b\xff")));
    ck_assert_int_eq(row->at_wall_ms, 1);
    return seen_add(seen, "%s:%.*s ", row->reason, VIEW_ARG(row->channel_id));
}

START_TEST(the_quarantine_takes_any_bytes_once)
{
    struct quarantined rows[] = {{"not_utf8", VIEW("100"), VIEW("a\0b\xff"), 1},
                                 {"not_utf8", VIEW("100"), VIEW("a\0b\xff"), 2}};
    struct seen seen = {0};
    CK_STORE(stores.writer, quarantine, rows, 2);
    CK_STORE(stores.writer, quarantine, rows, 2);
    CK_STORE(stores.writer, quarantine, rows, 0);
    CK_STORE(stores.reader, quarantine_scan, VIEW(""), 10, on_bytes, &seen);
    ck_assert_str_eq(seen.text, "not_utf8:100 ");
}
END_TEST

static void fill_quarantine(void)
{
    static const struct quarantined rows[] = {
        {QUARANTINE_NO_TENANT, {"300", 3}, {"x3", 2}, 30},
        {QUARANTINE_NO_TENANT, {"200", 3}, {"x2", 2}, 20},
        {QUARANTINE_NO_TENANT, {"300", 3}, {"x1", 2}, 10},
        {QUARANTINE_NO_TENANT, {"300", 3}, {"x4", 2}, 20},
        {"not_json", {"250", 3}, {"x5", 2}, 5},
        {"not_utf8", {"", 0}, {"", 0}, 40},
    };
    CK_STORE(stores.writer, quarantine, rows, countof(rows));
}

START_TEST(channels_that_something_waits_for_are_found_by_id)
{
    char id[CHANNEL_ID_SIZE] = "";
    bool found = true;
    CK_STORE(stores.reader, waiting_channel, VIEW(""), id, &found);
    ck_assert(!found);
    fill_quarantine();
    static const char *const ids[] = {"200", "300"};
    for (size_t i = 0; i < countof(ids); i++) {
        CK_STORE(stores.reader, waiting_channel, view_of(id), id, &found);
        ck_assert(found);
        ck_assert_str_eq(id, ids[i]);
    }
    CK_STORE(stores.reader, waiting_channel, view_of(id), id, &found);
    ck_assert(!found);
}
END_TEST

START_TEST(what_waits_comes_oldest_first_and_is_dropped)
{
    static const struct {
        const char *channel;
        size_t limit, stop_after;
        const char *text;
    } rows[] = {{"300", 10, 0, "no_tenant:300:x1:10 no_tenant:300:x4:20 no_tenant:300:x3:30 "},
                {"300", 2, 0, "no_tenant:300:x1:10 no_tenant:300:x4:20 "},
                {"300", 2, 1, "no_tenant:300:x1:10 "},
                {"300", 0, 0, ""},
                {"250", 10, 0, ""}, /* something else is wrong with that */
                {"200", 10, 0, "no_tenant:200:x2:20 "}};
    struct aside aside;
    fill_quarantine();
    for (size_t i = 0; i < countof(rows); i++) {
        aside = (struct aside){.seen.stop_after = rows[i].stop_after};
        CK_STORE(stores.reader, waiting, view_of(rows[i].channel), rows[i].limit, on_quarantined, &aside);
        ck_assert_str_eq(aside.seen.text, rows[i].text);
    }
    aside = (struct aside){0};
    CK_STORE(stores.reader, waiting, VIEW("300"), 2, on_quarantined, &aside);
    const char *digests[] = {aside.digests[0], aside.digests[1], "q_unknown"};
    CK_STORE(stores.writer, quarantine_drop, digests, 3);
    CK_STORE(stores.writer, quarantine_drop, digests, 0);
    aside = (struct aside){0};
    CK_STORE(stores.reader, waiting, VIEW("300"), 10, on_quarantined, &aside);
    ck_assert_str_eq(aside.seen.text, "no_tenant:300:x3:30 ");
}
END_TEST

START_TEST(the_quarantine_is_walked_by_digest)
{
    struct aside all = {0}, stepwise = {0}, one = {.seen.stop_after = 1};
    fill_quarantine();
    CK_STORE(stores.reader, quarantine_scan, VIEW(""), 10, on_quarantined, &all);
    ck_assert_uint_eq(all.seen.count, 6);
    for (size_t i = 1; i < 6; i++)
        ck_assert_int_lt(strcmp(all.digests[i - 1], all.digests[i]), 0);
    for (size_t before = 0, i = 0; i < 4; i++, before = stepwise.seen.count) {
        const char *after = before ? stepwise.digests[before - 1] : "";
        CK_STORE(stores.reader, quarantine_scan, view_of(after), 2, on_quarantined, &stepwise);
        ck_assert_uint_eq(stepwise.seen.count - before, i < 3 ? 2 : 0);
    }
    ck_assert_str_eq(stepwise.seen.text, all.seen.text);
    CK_STORE(stores.reader, quarantine_scan, VIEW(""), 10, on_quarantined, &one);
    ck_assert_uint_eq(one.seen.count, 1);
    CK_STORE(stores.reader, quarantine_scan, VIEW(""), 0, on_quarantined, &one);
    ck_assert_uint_eq(one.seen.count, 1);
}
END_TEST

START_TEST(the_quarantine_expires_oldest_first)
{
    static const struct {
        int64_t before;
        size_t limit, removed, left;
    } rows[] = {{5, 10, 0, 6}, {21, 0, 0, 6}, {21, 2, 2, 4}, {21, 10, 2, 2}, {21, 10, 0, 2}, {41, 10, 2, 0}};
    fill_quarantine();
    for (size_t i = 0; i < countof(rows); i++) {
        struct aside aside = {0};
        size_t removed = 99;
        CK_STORE(stores.writer, quarantine_expire, rows[i].before, rows[i].limit, &removed);
        ck_assert_uint_eq(removed, rows[i].removed);
        CK_STORE(stores.reader, quarantine_scan, VIEW(""), 10, on_quarantined, &aside);
        ck_assert_uint_eq(aside.seen.count, rows[i].left);
        if (rows[i].removed)
            ck_assert_ptr_null(strstr(aside.seen.text, "x1:10"));
    }
}
END_TEST

void contract_aside_add(TCase *t)
{
    tcase_add_test(t, channels_come_and_go);
    tcase_add_test(t, channels_are_walked_by_id);
    tcase_add_test(t, the_quarantine_takes_any_bytes_once);
    tcase_add_test(t, channels_that_something_waits_for_are_found_by_id);
    tcase_add_test(t, what_waits_comes_oldest_first_and_is_dropped);
    tcase_add_test(t, the_quarantine_is_walked_by_digest);
    tcase_add_test(t, the_quarantine_expires_oldest_first);
}
