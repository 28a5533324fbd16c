/* Tenants and their logs over time, for every kind of store: walks, retention, restores. */
#include "tests/contract/store_fixture.h"
#include <stdio.h>
#include <string.h>

enum { AT = 1000 };

/* Entry n of t1 is written at AT + n, with one event of seq n; published up to `published`. */
static void write_log(uint64_t entries, uint64_t published)
{
    for (uint64_t n = 1; n <= entries; n++) {
        char events[32];
        snprintf(events, sizeof events, "[%d]", (int)n);
        struct entry e = store_entry("t1", n, events, n, n);
        e.at_wall_ms = AT + (int64_t)n;
        ck_assert(store_commit(&e));
    }
    CK_STORE(stores.writer, mark, &(struct mark){"t1", published, 0}, 1);
}

static bool on_entry(void *ctx, const struct log_entry *e)
{
    return seen_add(ctx, "%d:%.*s ", (int)e->n, VIEW_ARG(e->events));
}

static const char *log_from(enum log_position by, uint64_t after)
{
    static struct seen seen;
    seen = (struct seen){0};
    CK_STORE(stores.reader, read_log, "t1", by, after, false, on_entry, &seen);
    return seen.text;
}

static const struct {
    uint64_t published;
    struct trim trim;
    size_t removed;
    const char *left;
} trims[] = {
    /* by age */
    {5, {"t1", AT + 3, 0, 10}, 2, "3:[3] 4:[4] 5:[5] "},
    {5, {"t1", AT + 1, 0, 10}, 0, "1:[1] 2:[2] 3:[3] 4:[4] 5:[5] "},
    /* by count */
    {5, {"t1", 0, 4, 10}, 3, "4:[4] 5:[5] "},
    {5, {"t1", 0, 0, 10}, 0, "1:[1] 2:[2] 3:[3] 4:[4] 5:[5] "},
    /* by either */
    {5, {"t1", AT + 2, 4, 10}, 3, "4:[4] 5:[5] "},
    /* in steps */
    {5, {"t1", AT + 9, 0, 2}, 2, "3:[3] 4:[4] 5:[5] "},
    {5, {"t1", AT + 9, 0, 0}, 0, "1:[1] 2:[2] 3:[3] 4:[4] 5:[5] "},
    /* never the last, never what is not published */
    {5, {"t1", AT + 9, 9, 10}, 4, "5:[5] "},
    {2, {"t1", AT + 9, 9, 10}, 2, "3:[3] 4:[4] 5:[5] "},
    {0, {"t1", AT + 9, 9, 10}, 0, "1:[1] 2:[2] 3:[3] 4:[4] 5:[5] "},
    {5, {"t2", AT + 9, 9, 10}, 0, "1:[1] 2:[2] 3:[3] 4:[4] 5:[5] "},
};

START_TEST(a_log_is_trimmed_at_its_old_end)
{
    struct head head;
    size_t removed = 99;
    write_log(5, trims[_i].published);
    CK_STORE(stores.writer, trim_log, &trims[_i].trim, &removed);
    ck_assert_uint_eq(removed, trims[_i].removed);
    ck_assert_str_eq(log_from(LOG_BY_ENTRY, 0), trims[_i].left);
    ck_assert_str_eq(log_from(LOG_BY_SEQ, 0), trims[_i].left);
    CK_STORE(stores.reader, head, "t1", &head);
    ck_assert_uint_eq(head.n, 5);
    ck_assert_uint_eq(head.seq, 5);
    ck_assert_uint_eq(head.published, trims[_i].published);
}
END_TEST

/* An entry out of order stays with all behind it: the log has no holes. */
START_TEST(only_the_beginning_of_a_log_is_trimmed)
{
    static const int64_t at[] = {1, 2, 900, 3, 4};
    size_t removed;
    for (size_t i = 0; i < countof(at); i++) {
        struct entry e = store_entry("t1", i + 1, "[]", 1, 0);
        e.at_wall_ms = at[i];
        ck_assert(store_commit(&e));
    }
    CK_STORE(stores.writer, mark, &(struct mark){"t1", 5, 0}, 1);
    CK_STORE(stores.writer, trim_log, &(struct trim){"t1", 100, 0, 10}, &removed);
    ck_assert_uint_eq(removed, 2);
    ck_assert_str_eq(log_from(LOG_BY_ENTRY, 0), "3:[] 4:[] 5:[] ");
}
END_TEST

/* Entries of 0, 1... events, the oldest gone: from every event on it goes on with the entry of the next. */
START_TEST(a_log_is_found_by_any_event)
{
    enum { ENTRIES = 37, GONE = 5 };
    uint64_t last[ENTRIES + 1] = {0};
    size_t removed;
    for (uint64_t n = 1; n <= ENTRIES; n++) {
        last[n] = last[n - 1] + (n * n) % 4;
        struct entry e = store_entry("t1", n, "[]", last[n - 1] + 1, last[n]);
        e.at_wall_ms = AT + (int64_t)n;
        ck_assert(store_commit(&e));
    }
    CK_STORE(stores.writer, mark, &(struct mark){"t1", ENTRIES, 0}, 1);
    CK_STORE(stores.writer, trim_log, &(struct trim){"t1", AT + GONE + 1, 0, GONE}, &removed);
    ck_assert_uint_eq(removed, GONE);
    for (uint64_t after = 0; after <= last[ENTRIES] + 1; after++) {
        struct seen seen = {.stop_after = 1};
        char wanted[32] = "";
        uint64_t n = GONE + 1;
        while (n <= ENTRIES && last[n] <= after)
            n++;
        if (n <= ENTRIES)
            snprintf(wanted, sizeof wanted, "%d:[] ", (int)n);
        CK_STORE(stores.reader, read_log, "t1", LOG_BY_SEQ, after, false, on_entry, &seen);
        ck_assert_str_eq(seen.text, wanted);
    }
}
END_TEST

START_TEST(a_trimmed_log_goes_on)
{
    struct head head;
    size_t removed;
    write_log(3, 3);
    CK_STORE(stores.writer, trim_log, &(struct trim){"t1", AT + 9, 0, 10}, &removed);
    ck_assert_uint_eq(removed, 2);
    store_fixture_reopen(&stores);
    CK_STORE(stores.writer, head, "t1", &head);
    ck_assert_uint_eq(head.n, 3);
    ck_assert_uint_eq(head.seq, 3);
    struct entry late = store_entry("t1", 2, "[]", 4, 3), next = store_entry("t1", 4, "[4]", 4, 4);
    ck_assert(!store_commit(&late));
    ck_assert(store_commit(&next));
    ck_assert_str_eq(log_from(LOG_BY_SEQ, 2), "3:[3] 4:[4] ");
    ck_assert_str_eq(log_from(LOG_BY_SEQ, 3), "4:[4] ");
    CK_STORE(stores.writer, trim_log, &(struct trim){"t1", AT + 9, 0, 10}, &removed);
    ck_assert_uint_eq(removed, 1); /* published, and no longer the last */
}
END_TEST

/* --- walks and restores ----------------------------------------------------------------------------------
 */

static bool on_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    return seen_add(ctx, "%s:%s:%d:%d:%d ", tenant_id, head->epoch, (int)head->n, (int)head->seq,
                    (int)head->published);
}

static const char *tenants(const char *after, size_t limit)
{
    static struct seen seen;
    seen = (struct seen){0};
    CK_STORE(stores.reader, tenants, view_of(after), limit, on_tenant, &seen);
    return seen.text;
}

START_TEST(tenants_are_walked_by_id)
{
    struct entry b = store_entry("b", 1, "[1]", 1, 1), a = store_entry("a", 1, "[]", 1, 0),
                 c = store_entry("c", 1, "[1,2]", 1, 2);
    ck_assert_str_eq(tenants("", 10), "");
    ck_assert(store_commit(&b) && store_commit(&a) && store_commit(&c));
    CK_STORE(stores.writer, mark, &(struct mark){"b", 1, 0}, 1);
    ck_assert_str_eq(tenants("", 10), "a:e1:1:0:0 b:e1:1:1:1 c:e1:1:2:0 ");
    ck_assert_str_eq(tenants("", 2), "a:e1:1:0:0 b:e1:1:1:1 ");
    ck_assert_str_eq(tenants("b", 2), "c:e1:1:2:0 ");
    ck_assert_str_eq(tenants("c", 2), "");
    ck_assert_str_eq(tenants("", 0), "");
    struct seen one = {.stop_after = 1};
    CK_STORE(stores.reader, tenants, VIEW(""), 10, on_tenant, &one);
    ck_assert_str_eq(one.text, "a:e1:1:0:0 ");
}
END_TEST

static const struct head restored = {.epoch = "new", .n = 50, .seq = 70, .figures_rev = 40};

START_TEST(a_tenant_begins_behind_a_position)
{
    struct head head;
    struct seen seen = {0};
    bool taken = false;
    CK_STORE(stores.writer, adopt, "t1", &restored, &taken);
    ck_assert(taken);
    store_fixture_reopen(&stores);
    CK_STORE(stores.writer, head, "t1", &head);
    ck_assert_str_eq(head.epoch, "new");
    ck_assert_uint_eq(head.n, 50);
    ck_assert_uint_eq(head.seq, 70);
    ck_assert_uint_eq(head.published, 50);
    ck_assert_uint_eq(head.figures_rev, 40);
    CK_STORE(stores.reader, unpublished, on_tenant, &seen);
    ck_assert_str_eq(seen.text, "");
    ck_assert_str_eq(tenants("", 10), "t1:new:50:70:50 ");
    ck_assert_str_eq(log_from(LOG_BY_ENTRY, 0), "");
    struct entry first = store_entry("t1", 1, "[]", 1, 0), other = store_entry("t1", 51, "[71]", 71, 71),
                 next = other;
    next.epoch = "new";
    ck_assert(!store_commit(&first));
    ck_assert(!store_commit(&other)); /* of another epoch */
    ck_assert(store_commit(&next));
    ck_assert_str_eq(log_from(LOG_BY_SEQ, 70), "51:[71] ");
    CK_STORE(stores.reader, unpublished, on_tenant, &seen);
    ck_assert_str_eq(seen.text, "t1:new:51:71:50 ");
}
END_TEST

START_TEST(a_tenant_that_has_a_log_is_not_begun_again)
{
    struct head head;
    bool taken = true;
    write_log(2, 1);
    CK_STORE(stores.writer, adopt, "t1", &restored, &taken);
    ck_assert(!taken);
    CK_STORE(stores.writer, adopt, "t2", &restored, &taken);
    ck_assert(taken);
    CK_STORE(stores.writer, adopt, "t2", &restored, &taken);
    ck_assert(!taken);
    CK_STORE(stores.reader, head, "t1", &head);
    ck_assert_str_eq(head.epoch, "e1");
    ck_assert_uint_eq(head.n, 2);
    ck_assert_uint_eq(head.published, 1);
}
END_TEST

START_TEST(a_reader_keeps_nothing_and_drops_nothing)
{
    struct store *r = stores.reader;
    const struct quarantined row = {"x", VIEW(""), VIEW("x"), 1};
    const char *digest = "q_x";
    size_t removed;
    bool taken;
    write_log(2, 2);
    ck_assert(!r->ops->adopt(r, "t9", &restored, &taken, NULL));
    ck_assert(!r->ops->trim_log(r, &(struct trim){"t1", AT + 9, 9, 10}, &removed, NULL));
    ck_assert(!r->ops->expire(r, DOC_RAW, AT, 10, &removed, NULL));
    ck_assert(!r->ops->keep_newest(r, "t1", DOC_RAW, 0, 10, &removed, NULL));
    ck_assert(!r->ops->quarantine_expire(r, AT, 10, &removed, NULL));
    ck_assert(!r->ops->quarantine_drop(r, &digest, 1, NULL));
    ck_assert(!r->ops->quarantine(r, &row, 1, NULL));
    ck_assert_str_eq(log_from(LOG_BY_ENTRY, 0), "1:[1] 2:[2] ");
}
END_TEST

void contract_keep_add(TCase *t)
{
    tcase_add_loop_test(t, a_log_is_trimmed_at_its_old_end, 0, countof(trims));
    tcase_add_test(t, only_the_beginning_of_a_log_is_trimmed);
    tcase_add_test(t, a_log_is_found_by_any_event);
    tcase_add_test(t, a_trimmed_log_goes_on);
    tcase_add_test(t, tenants_are_walked_by_id);
    tcase_add_test(t, a_tenant_begins_behind_a_position);
    tcase_add_test(t, a_tenant_that_has_a_log_is_not_begun_again);
    tcase_add_test(t, a_reader_keeps_nothing_and_drops_nothing);
}
