/* The contract of core/store.h, for every kind of store. */
#include "state-manager/store/changes.h"
#include "state-manager/store/open.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void setup_sqlite(void)
{
    stores.kind = STORE_SQLITE;
    store_fixture_open(&stores);
}

static void setup_mongo(void)
{
    stores.kind = STORE_MONGO;
    store_fixture_open(&stores);
}

static void teardown(void)
{
    store_fixture_close(&stores);
}

START_TEST(a_new_tenant_has_an_empty_head)
{
    struct head head;
    ck_assert(stores.writer->ops->head(stores.writer, "nobody", &head, NULL));
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
    ck_assert(store_commit(&e));
    store_fixture_reopen(&stores);
    struct head head;
    struct buf doc;
    bool found;
    buf_init(&doc, DOC_MAX);
    ck_assert(stores.reader->ops->head(stores.reader, "t1", &head, NULL));
    ck_assert_str_eq(head.epoch, "e1");
    ck_assert_uint_eq(head.n, 1);
    ck_assert_uint_eq(head.seq, 2);
    ck_assert(stores.reader->ops->get(stores.reader, "t1", DOC_MESSAGE, VIEW("m1"), &doc, &found, NULL));
    ck_assert(found);
    ck_assert_str_eq(doc.data, "{\"a\":1}");
    buf_clear(&doc);
    ck_assert(stores.reader->ops->get(stores.reader, "t2", DOC_MESSAGE, VIEW("m1"), &doc, &found, NULL));
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
    ck_assert(store_commit(&first));
    ck_assert(!store_commit(&second));
    ck_assert_int_eq(second.result, COMMIT_CONFLICT);
    ck_assert(!store_commit(&gap));
    ck_assert(!store_commit(&other));
    struct buf doc;
    bool found = true;
    buf_init(&doc, DOC_MAX);
    ck_assert(stores.writer->ops->get(stores.writer, "t1", DOC_RAW, VIEW("lost"), &doc, &found, NULL));
    ck_assert(!found);
    buf_free(&doc);
}
END_TEST

START_TEST(entries_of_several_tenants_go_in_one_commit)
{
    struct entry a = store_entry("a", 1, "[]", 1, 0), b = store_entry("b", 1, "[]", 1, 0),
                 late = store_entry("b", 1, "[]", 1, 0);
    struct entry *group[] = {&a, &b}, *again[] = {&late};
    ck_assert(stores.writer->ops->commit(stores.writer, group, 2, NULL));
    ck_assert(a.result == COMMIT_DONE && b.result == COMMIT_DONE);
    ck_assert(stores.writer->ops->commit(stores.writer, again, 1, NULL));
    ck_assert_int_eq(late.result, COMMIT_CONFLICT);
}
END_TEST

static bool on_entry(void *ctx, const struct log_entry *e)
{
    return seen_add(ctx, "%llu:%.*s ", (unsigned long long)e->n, VIEW_ARG(e->events));
}

START_TEST(the_log_is_read_in_order_from_anywhere)
{
    static const char *const events[] = {"[1,2]", "[]", "[3]", "[4,5]"};
    static const uint64_t first[] = {1, 3, 3, 4}, last[] = {2, 2, 3, 5};
    for (size_t i = 0; i < 4; i++) {
        struct entry e = store_entry("t1", i + 1, events[i], first[i], last[i]),
                     x = store_entry("t2", i + 1, "[9]", i + 1, i + 1);
        ck_assert(store_commit(&e) && store_commit(&x));
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
        ck_assert(stores.reader->ops->read_log(stores.reader, "t1", rows[i].by, rows[i].after, false,
                                               on_entry, &seen, NULL));
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
        ck_assert(view_eq(changes[i].place.state, wanted[i].place.state));
        ck_assert(view_eq(changes[i].place.owner, wanted[i].place.owner));
        ck_assert(view_eq(changes[i].doc, wanted[i].doc));
    }
    changes_free(changes, count);
    return true;
}

#define NEST_7(text)  "[[[[[[[" text "]]]]]]]"
#define NEST_63(text) NEST_7(NEST_7(NEST_7(NEST_7(NEST_7(NEST_7(NEST_7(NEST_7(NEST_7(text)))))))))

/* Customers' JSON is kept byte for byte: big numbers, escaped NULs and lone surrogates, double keys, and as
 * deep as it may come. */
START_TEST(changes_come_back_as_they_went_in)
{
    struct change changes[] = {
        {DOC_RAW,
         VIEW("k \"1\" \xe2\x98\x83"),
         {.parent = VIEW("p|x"), .rank = -INT64_MAX, .ord = INT64_MAX},
         VIEW("{\"a\":\"\\u0000\\ud800\",\"n\":123456789012345678901234567890,\"$date\":1,\"a\":2}")},
        {DOC_CONVERSATION,
         VIEW("all"),
         {.rank = -5, .ord = 7, .state = VIEW("waiting"), .owner = VIEW("@a \"b\"")},
         VIEW("{\"deep\":" NEST_63("1") "}")},
    };
    struct entry e = store_entry("t1", 1, "[]", 1, 0);
    struct buf doc;
    bool found;
    e.changes = changes;
    e.change_count = 2;
    ck_assert(store_commit(&e));
    ck_assert(stores.reader->ops->read_log(stores.reader, "t1", LOG_BY_ENTRY, 0, true, check_changes, changes,
                                           NULL));
    buf_init(&doc, DOC_MAX);
    ck_assert(stores.reader->ops->get(stores.reader, "t1", DOC_RAW, changes[0].key, &doc, &found, NULL) &&
              found);
    ck_assert(view_eq(buf_view(&doc), changes[0].doc));
    buf_free(&doc);
}
END_TEST

static bool on_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    return seen_add(ctx, "%s:%llu ", tenant_id, (unsigned long long)head->published);
}

START_TEST(marks_move_forward_only)
{
    struct entry e1 = store_entry("t1", 1, "[]", 1, 0), e2 = store_entry("t1", 2, "[]", 1, 0);
    e2.figures_changed = true;
    ck_assert(store_commit(&e1) && store_commit(&e2));
    static const struct {
        struct mark mark;
        const char *text;
    } rows[] = {{{"t1", 1, 0}, "t1:1 "}, {{"t1", 2, 0}, "t1:2 "}, {{"t1", 1, 2}, ""}, {{"nobody", 1, 1}, ""}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct seen seen = {0};
        ck_assert(stores.writer->ops->mark(stores.writer, &rows[i].mark, 1, NULL));
        ck_assert(stores.reader->ops->unpublished(stores.reader, on_tenant, &seen, NULL));
        ck_assert_str_eq(seen.text, rows[i].text);
    }
}
END_TEST

START_TEST(a_second_writer_is_told_who_holds_the_store)
{
    struct err err = {0};
    ck_assert_ptr_null(store_open(stores.url, STORE_WRITER, &err));
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
    ck_assert(!stores.reader->ops->commit(stores.reader, &group, 1, &err));
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
    tcase_add_test(t, marks_move_forward_only);
    tcase_add_test(t, a_reader_cannot_write);
    contract_docs_add(t);
    contract_aside_add(t);
    contract_keep_add(t);
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
