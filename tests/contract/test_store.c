/* The contract of core/store.h, for every kind of store. */
#include "state-manager/store/changes.h"
#include "state-manager/store/open.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct store_fixture f;

static void setup_sqlite(void)
{
    f.kind = STORE_SQLITE;
    store_fixture_open(&f);
}

static void setup_mongo(void)
{
    f.kind = STORE_MONGO;
    store_fixture_open(&f);
}

static void teardown(void)
{
    store_fixture_close(&f);
}

static bool commit(struct entry *e)
{
    struct err err = {0};
    bool ok = f.writer->ops->commit(f.writer, &e, 1, &err);
    ck_assert_msg(ok, "%s", err.text);
    return e->result == COMMIT_DONE;
}

START_TEST(a_new_tenant_has_an_empty_head)
{
    struct head head;
    ck_assert(f.writer->ops->head(f.writer, "nobody", &head, NULL));
    ck_assert_str_eq(head.epoch, "");
    ck_assert_uint_eq(head.n, 0);
    ck_assert_uint_eq(head.seq, 0);
}
END_TEST

START_TEST(an_entry_and_its_documents_are_there_together)
{
    struct change changes[] = {
        {DOC_MESSAGE, VIEW("m1"), {.parent = VIEW("c1"), .rank = 10, .ord = 1}, VIEW("{\"a\":1}")},
        {DOC_CONVERSATION, VIEW("c1"), {.rank = 10, .ord = 1}, VIEW("{\"b\":2}")},
    };
    struct entry e = store_entry("t1", 1, "[{\"seq\":1},{\"seq\":2}]", 1, 2);
    e.changes = changes;
    e.change_count = 2;
    ck_assert(commit(&e));
    store_fixture_reopen(&f);
    struct head head;
    struct buf doc;
    bool found;
    buf_init(&doc, DOC_MAX);
    ck_assert(f.reader->ops->head(f.reader, "t1", &head, NULL));
    ck_assert_str_eq(head.epoch, "e1");
    ck_assert_uint_eq(head.n, 1);
    ck_assert_uint_eq(head.seq, 2);
    ck_assert(f.reader->ops->get(f.reader, "t1", DOC_MESSAGE, VIEW("m1"), &doc, &found, NULL));
    ck_assert(found);
    ck_assert_str_eq(doc.data, "{\"a\":1}");
    buf_clear(&doc);
    ck_assert(f.reader->ops->get(f.reader, "t2", DOC_MESSAGE, VIEW("m1"), &doc, &found, NULL));
    ck_assert(!found); /* another tenant's */
    buf_free(&doc);
}
END_TEST

START_TEST(the_second_writer_of_an_entry_loses)
{
    struct entry first = store_entry("t1", 1, "[]", 1, 0), second = store_entry("t1", 1, "[]", 1, 0),
                 gap = store_entry("t1", 3, "[]", 1, 0), other = store_entry("t1", 2, "[]", 1, 0);
    struct change lost = {DOC_RAW, VIEW("lost"), {.rank = 0, .ord = 0}, VIEW("{}")};
    second.changes = &lost;
    second.change_count = 1;
    other.epoch = "another";
    ck_assert(commit(&first));
    ck_assert(!commit(&second));
    ck_assert_int_eq(second.result, COMMIT_CONFLICT);
    ck_assert(!commit(&gap));
    ck_assert(!commit(&other));
    struct buf doc;
    bool found = true;
    buf_init(&doc, DOC_MAX);
    ck_assert(f.writer->ops->get(f.writer, "t1", DOC_RAW, VIEW("lost"), &doc, &found, NULL));
    ck_assert(!found);
    buf_free(&doc);
}
END_TEST

START_TEST(entries_of_several_tenants_go_in_one_commit)
{
    struct entry a = store_entry("a", 1, "[]", 1, 0), b = store_entry("b", 1, "[]", 1, 0),
                 late = store_entry("b", 1, "[]", 1, 0);
    struct entry *group[] = {&a, &b}, *again[] = {&late};
    ck_assert(f.writer->ops->commit(f.writer, group, 2, NULL));
    ck_assert(a.result == COMMIT_DONE && b.result == COMMIT_DONE);
    ck_assert(f.writer->ops->commit(f.writer, again, 1, NULL));
    ck_assert_int_eq(late.result, COMMIT_CONFLICT);
}
END_TEST

struct seen {
    char text[256];
    size_t stop_after, count;
};

static bool on_entry(void *ctx, const struct log_entry *e)
{
    struct seen *seen = ctx;
    size_t at = strlen(seen->text);
    snprintf(seen->text + at, sizeof seen->text - at, "%llu:%.*s ", (unsigned long long)e->n,
             VIEW_ARG(e->events));
    return ++seen->count != seen->stop_after;
}

START_TEST(the_log_is_read_in_order_from_anywhere)
{
    static const char *const events[] = {"[1,2]", "[]", "[3]", "[4,5]"};
    static const uint64_t first[] = {1, 3, 3, 4}, last[] = {2, 2, 3, 5};
    for (size_t i = 0; i < 4; i++) {
        struct entry e = store_entry("t1", i + 1, events[i], first[i], last[i]),
                     x = store_entry("t2", i + 1, "[9]", i + 1, i + 1);
        ck_assert(commit(&e) && commit(&x));
    }
    static const struct {
        enum log_position by;
        uint64_t after;
        size_t stop_after;
        const char *text;
    } rows[] = {{LOG_BY_ENTRY, 0, 0, "1:[1,2] 2:[] 3:[3] 4:[4,5] "},
                {LOG_BY_ENTRY, 2, 0, "3:[3] 4:[4,5] "},
                {LOG_BY_ENTRY, 1, 1, "2:[] "},
                {LOG_BY_SEQ, 2, 0, "3:[3] 4:[4,5] "},
                {LOG_BY_SEQ, 4, 0, "4:[4,5] "},
                {LOG_BY_SEQ, 5, 0, ""}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct seen seen = {.stop_after = rows[i].stop_after};
        ck_assert(
            f.reader->ops->read_log(f.reader, "t1", rows[i].by, rows[i].after, false, on_entry, &seen, NULL));
        ck_assert_str_eq(seen.text, rows[i].text);
    }
}
END_TEST

static bool check_changes(void *ctx, const struct log_entry *e)
{
    struct change *changes, *wanted = ctx;
    size_t count;
    struct err err = {0};
    ck_assert_msg(changes_read(e->changes, &changes, &count, &err), "%s", err.text);
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq((int)changes[i].kind, (int)wanted[i].kind);
        ck_assert(view_eq(changes[i].key, wanted[i].key));
        ck_assert(view_eq(changes[i].place.parent, wanted[i].place.parent));
        ck_assert_int_eq(changes[i].place.rank, wanted[i].place.rank);
        ck_assert_int_eq(changes[i].place.ord, wanted[i].place.ord);
        ck_assert(view_eq(changes[i].doc, wanted[i].doc));
    }
    changes_free(changes, count);
    return true;
}

/* Customers' JSON is kept byte for byte: big numbers, escaped NULs and lone surrogates, double keys. */
START_TEST(changes_come_back_as_they_went_in)
{
    struct change changes[] = {
        {DOC_RAW,
         VIEW("k \"1\" \xe2\x98\x83"),
         {.parent = VIEW("p|x"), .rank = -INT64_MAX, .ord = INT64_MAX},
         VIEW("{\"a\":\"\\u0000\\ud800\",\"n\":123456789012345678901234567890,\"$date\":1,\"a\":2}")},
        {DOC_FIGURES, VIEW("all"), {.rank = -5, .ord = 7}, VIEW("{}")},
    };
    struct entry e = store_entry("t1", 1, "[]", 1, 0);
    struct buf doc;
    bool found;
    e.changes = changes;
    e.change_count = 2;
    ck_assert(commit(&e));
    ck_assert(f.reader->ops->read_log(f.reader, "t1", LOG_BY_ENTRY, 0, true, check_changes, changes, NULL));
    buf_init(&doc, DOC_MAX);
    ck_assert(f.reader->ops->get(f.reader, "t1", DOC_RAW, changes[0].key, &doc, &found, NULL) && found);
    ck_assert(view_eq(buf_view(&doc), changes[0].doc));
    buf_free(&doc);
}
END_TEST

static bool on_row(void *ctx, const struct listed *row)
{
    struct seen *seen = ctx;
    size_t at = strlen(seen->text);
    snprintf(seen->text + at, sizeof seen->text - at, "%.*s ", VIEW_ARG(row->key));
    return true;
}

START_TEST(lists_are_newest_first_and_page_on)
{
    static const char *const keys[] = {"a", "b", "c", "d"};
    static const int64_t ranks[] = {10, 30, 20, 20}, ords[] = {1, 2, 3, 4};
    struct change changes[4];
    for (size_t i = 0; i < 4; i++)
        changes[i] = (struct change){DOC_MESSAGE,
                                     view_of(keys[i]),
                                     {.parent = VIEW("c1"), .rank = ranks[i], .ord = ords[i]},
                                     VIEW("{}")};
    struct entry e = store_entry("t1", 1, "[]", 1, 0);
    e.changes = changes;
    e.change_count = 4;
    ck_assert(commit(&e));
    static const struct {
        struct page page;
        const char *text;
    } rows[] = {{{.parent = VIEW("c1"), .limit = 10}, "b d c a "},
                {{.parent = VIEW("c1"), .limit = 2}, "b d "},
                {{.parent = VIEW("c1"), .limit = 2, .has_cursor = true, .rank = 20, .ord = 4}, "c a "},
                {{.parent = VIEW("c2"), .limit = 10}, ""}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct seen seen = {0};
        ck_assert(f.reader->ops->list(f.reader, "t1", DOC_MESSAGE, &rows[i].page, on_row, &seen, NULL));
        ck_assert_str_eq(seen.text, rows[i].text);
    }
}
END_TEST

static bool on_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    struct seen *seen = ctx;
    size_t at = strlen(seen->text);
    snprintf(seen->text + at, sizeof seen->text - at, "%s:%llu ", tenant_id,
             (unsigned long long)head->published);
    return true;
}

START_TEST(marks_move_forward_only)
{
    struct entry e1 = store_entry("t1", 1, "[]", 1, 0), e2 = store_entry("t1", 2, "[]", 1, 0);
    e2.figures_changed = true;
    ck_assert(commit(&e1) && commit(&e2));
    static const struct {
        struct mark mark;
        const char *text;
    } rows[] = {{{"t1", 1, 0}, "t1:1 "}, {{"t1", 2, 0}, "t1:2 "}, {{"t1", 1, 2}, ""}, {{"nobody", 1, 1}, ""}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct seen seen = {0};
        ck_assert(f.writer->ops->mark(f.writer, &rows[i].mark, 1, NULL));
        ck_assert(f.reader->ops->unpublished(f.reader, on_tenant, &seen, NULL));
        ck_assert_str_eq(seen.text, rows[i].text);
    }
}
END_TEST

START_TEST(channels_come_and_go)
{
    struct channel channel = {"100", "t1", "+1 555", "secret"}, out;
    bool found;
    ck_assert(f.writer->ops->channel_put(f.writer, &channel, NULL));
    snprintf(channel.tenant_id, sizeof channel.tenant_id, "t2");
    ck_assert(f.writer->ops->channel_put(f.writer, &channel, NULL));
    ck_assert(f.reader->ops->channel_get(f.reader, VIEW("100"), &out, &found, NULL) && found);
    ck_assert_str_eq(out.tenant_id, "t2");
    ck_assert_str_eq(out.access_token, "secret");
    ck_assert(f.writer->ops->channel_delete(f.writer, VIEW("100"), &found, NULL) && found);
    ck_assert(f.writer->ops->channel_delete(f.writer, VIEW("100"), &found, NULL) && !found);
    ck_assert(f.reader->ops->channel_get(f.reader, VIEW("100"), &out, &found, NULL) && !found);
}
END_TEST

START_TEST(the_quarantine_takes_any_bytes)
{
    struct quarantined rows[] = {{"not_utf8", VIEW("100"), VIEW("a\0b\xff"), 1},
                                 {"not_utf8", VIEW("100"), VIEW("a\0b\xff"), 2}};
    struct err err;
    ck_assert_msg(f.writer->ops->quarantine(f.writer, rows, 2, &err), "%s", err.text);
}
END_TEST

START_TEST(a_second_writer_is_told_who_holds_the_store)
{
    struct err err = {0};
    ck_assert_ptr_null(store_open(f.url, STORE_WRITER, &err));
    ck_assert_int_eq(err.code, ERR_CONFLICT);
    char pid[24];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    ck_assert_ptr_nonnull(strstr(err.text, pid));
}
END_TEST

START_TEST(a_reader_cannot_write)
{
    struct entry e = store_entry("t1", 1, "[]", 1, 0), *group = &e;
    struct err err = {0};
    ck_assert(!f.reader->ops->commit(f.reader, &group, 1, &err));
}
END_TEST

void store_contract_add(TCase *t, enum store_kind kind)
{
    tcase_add_checked_fixture(t, kind == STORE_MONGO ? setup_mongo : setup_sqlite, teardown);
    tcase_add_test(t, a_new_tenant_has_an_empty_head);
    tcase_add_test(t, an_entry_and_its_documents_are_there_together);
    tcase_add_test(t, the_second_writer_of_an_entry_loses);
    tcase_add_test(t, entries_of_several_tenants_go_in_one_commit);
    tcase_add_test(t, the_log_is_read_in_order_from_anywhere);
    tcase_add_test(t, changes_come_back_as_they_went_in);
    tcase_add_test(t, lists_are_newest_first_and_page_on);
    tcase_add_test(t, marks_move_forward_only);
    tcase_add_test(t, channels_come_and_go);
    tcase_add_test(t, the_quarantine_takes_any_bytes);
    tcase_add_test(t, a_reader_cannot_write);
}

Suite *suite_store(void)
{
    Suite *s = suite_create("store");
    TCase *t = tcase_create("store");
    store_contract_add(t, STORE_SQLITE);
    tcase_add_test(t, a_second_writer_is_told_who_holds_the_store);
    suite_add_tcase(s, t);
    return s;
}
