/* What only a store of several writers must do: races, killed writers, a server that is slow or away. */
#include "state-manager/store/open.h"
#include "tests/contract/counter.h"
#include "tests/contract/mongo_faults.h"
#include "tests/contract/mongo_raw.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/suites.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RACE_ENTRIES = 25, KILLS = 6 };

static void setup(void)
{
    stores.kind = STORE_MONGO;
    store_fixture_open(&stores);
}

static void teardown(void)
{
    store_fixture_close(&stores);
}

static void *race(void *author)
{
    struct err err = {0};
    struct store *s = store_open(stores.url, STORE_WRITER, &err);
    ck_assert_msg(s != NULL, "%s", err.text);
    for (int i = 0; i < RACE_ENTRIES;)
        if (counter_add(s, author, i, &err))
            i++;
        else
            ck_assert_msg(!err.code, "%s", err.text);
    store_close(s);
    return NULL;
}

START_TEST(two_writers_of_one_tenant_lose_nothing)
{
    static char authors[2][2] = {"a", "b"};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert(!pthread_create(&threads[i], NULL, race, authors[i]));
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ck_assert_uint_eq(counter_audit(stores.reader), 2 * RACE_ENTRIES);
    ck_assert_int_eq(mongo_raw_count(stores.url, "documents", "{\"lists\":\"t1/message/c\"}"),
                     2 * RACE_ENTRIES);
    ck_assert_int_eq(mongo_raw_count(stores.url, "log", "{\"fresh\":1}"), 0);
}
END_TEST

/* --- killed writers -------------------------------------------------------------------------------------
 */

#define LOST_CHANGE(kind, key, n)                                                            \
    "{\\\"kind\\\":\\\"" kind "\\\",\\\"key\\\":\\\"" key                                    \
    "\\\",\\\"parent\\\":\\\"c\\\",\\\"rank\\\":1,\\\"ord\\\":" #n ",\\\"state\\\":\\\"s" #n \
    "\\\",\\\"owner\\\":\\\"@o" #n "\\\",\\\"doc\\\":{\\\"v\\\":" #n "}}"
#define LOST_ENTRY(n)                                                                        \
    "{\"tenant\":\"t1\",\"n\":" #n ",\"epoch\":\"e1\",\"first_seq\":" #n ",\"last_seq\":" #n \
    ",\"at\":1,\"figures_changed\":1,\"fresh\":1,\"events\":\"[" #n                          \
    "]\",\"changes\":\"[" LOST_CHANGE("message", "m", n) "," LOST_CHANGE("conversation", "k", n) "]\"}"

static void check_message(const char *wanted)
{
    ck_assert_str_eq(store_doc(stores.reader, "t1", DOC_MESSAGE, "m"), wanted);
}

static bool on_listed(void *ctx, const struct listed *row)
{
    return seen_add(ctx, "%.*s ", VIEW_ARG(row->key));
}

static void check_filed(const char *state, const char *owner, const char *wanted)
{
    struct seen seen = {0};
    struct page page = {.parent = VIEW("c"), .limit = 9, .states = {view_of(state)}, .owner = view_of(owner)};
    CK_STORE(stores.reader, list, "t1", DOC_CONVERSATION, &page, on_listed, &seen);
    ck_assert_str_eq(seen.text, wanted);
}

/* Leaves two entries of which only the log knows, behind one that is whole. */
static void lose_entries(void)
{
    struct entry e = store_entry("t1", 1, "[1]", 1, 1), *group = &e;
    ck_assert(stores.writer->ops->commit(stores.writer, &group, 1, NULL) && e.result == COMMIT_DONE);
    ck_assert(stores.writer->ops->mark(stores.writer, &(struct mark){"t1", 1, 1}, 1, NULL));
    mongo_raw_insert(stores.url, "log", LOST_ENTRY(2));
    mongo_raw_insert(stores.url, "log", LOST_ENTRY(3));
    check_message("-");
}

START_TEST(a_head_writes_what_a_killed_writer_left)
{
    struct store *handles[] = {stores.writer, stores.reader};
    struct head head;
    lose_entries();
    ck_assert(handles[_i]->ops->head(handles[_i], "t1", &head, NULL));
    ck_assert_uint_eq(head.n, 3);
    ck_assert_uint_eq(head.seq, 3);
    ck_assert_uint_eq(head.figures_rev, 3);
    check_message("{\"v\":3}");
    check_filed("s2", "", "");
    check_filed("s3", "", "k ");
    check_filed("", "@o3", "k ");
    check_filed("s3", "@o3", "k ");
    struct entry e = store_entry("t1", 4, "[4]", 4, 4), *group = &e;
    ck_assert(stores.writer->ops->commit(stores.writer, &group, 1, NULL) && e.result == COMMIT_DONE);
    check_message("{\"v\":3}");
}
END_TEST

static bool see_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    char *text = ctx;
    snprintf(text, 64, "%s %d %d", tenant_id, (int)head->n, (int)head->published);
    return true;
}

/* Another healer was faster and the tenant went on: what is written late is older. */
START_TEST(a_late_writer_puts_nothing_old_back)
{
    struct head head;
    lose_entries();
    mongo_raw_insert(
        stores.url, "documents",
        "{\"_id\":\"t1/message/m\",\"lists\":[\"t1/message/c\"],\"parent\":\"c\",\"rank\":1,\"ord\":9,"
        "\"doc\":\"{\\\"v\\\":9}\",\"n\":9}");
    ck_assert(stores.writer->ops->head(stores.writer, "t1", &head, NULL));
    check_message("{\"v\":9}");
    ck_assert_int_eq(mongo_raw_count(stores.url, "documents", "{}"), 2);
}
END_TEST

START_TEST(the_relay_finds_what_a_killed_writer_left)
{
    char seen[64] = "";
    lose_entries();
    ck_assert(stores.reader->ops->unpublished(stores.reader, see_tenant, seen, NULL));
    ck_assert_str_eq(seen, "t1 3 1");
    check_message("{\"v\":3}");
    ck_assert_int_eq(mongo_raw_count(stores.url, "log", "{\"fresh\":1}"), 0);
    ck_assert(stores.writer->ops->mark(stores.writer, &(struct mark){"t1", 3, 3}, 1, NULL));
    seen[0] = 0;
    ck_assert(stores.reader->ops->unpublished(stores.reader, see_tenant, seen, NULL));
    ck_assert_str_eq(seen, "");
    ck_assert_int_eq(mongo_raw_count(stores.url, "tenants", "{\"dirty\":1}"), 0);
}
END_TEST

START_TEST(the_first_epoch_of_a_tenant_wins)
{
    struct entry e = store_entry("t1", 1, "[]", 1, 0), *group = &e;
    struct head head;
    mongo_raw_insert(stores.url, "tenants", "{\"_id\":\"t1\",\"epoch\":\"first\",\"applied\":0}");
    ck_assert(stores.writer->ops->commit(stores.writer, &group, 1, NULL));
    ck_assert_int_eq(e.result, COMMIT_CONFLICT);
    ck_assert(stores.writer->ops->head(stores.writer, "t1", &head, NULL));
    ck_assert_str_eq(head.epoch, "first");
    e.epoch = head.epoch;
    ck_assert(stores.writer->ops->commit(stores.writer, &group, 1, NULL));
    ck_assert_int_eq(e.result, COMMIT_DONE);
}
END_TEST

/* Commits until it is killed; says each number that was committed. */
NORETURN static void write_until_killed(int said, int life)
{
    struct store *s = store_open(stores.url, STORE_WRITER, NULL);
    char author[16];
    snprintf(author, sizeof author, "w%d", life);
    for (int i = 0; s; i++)
        if (counter_add(s, author, i, NULL) && write(said, ".", 1) != 1)
            break;
    _exit(1);
}

START_TEST(a_killed_writer_loses_nothing_that_it_answered)
{
    uint64_t answered = 0, entries = 0;
    for (int life = 0; life < KILLS; life++) {
        int pipes[2];
        char dots[4096];
        ssize_t got;
        ck_assert(!pipe(pipes));
        pid_t child = fork();
        if (!child)
            write_until_killed(pipes[1], life);
        close(pipes[1]);
        ck_assert_int_eq(read(pipes[0], dots, 1), 1);
        pause_ms(50 + life * 37);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        for (answered++; (got = read(pipes[0], dots, sizeof dots)) > 0;)
            answered += (uint64_t)got;
        close(pipes[0]);
        entries = counter_audit(stores.reader);
        ck_assert_msg(entries >= answered && entries <= answered + (uint64_t)life + 1,
                      "%zu answered, %zu in the log", (size_t)answered, (size_t)entries);
    }
}
END_TEST

static bool see_id(void *ctx, const char *tenant_id, const struct head *head)
{
    return seen_add(ctx, "%s:%d ", tenant_id, (int)head->n);
}

/* The very first entry of a tenant, whose writer did not live to tell the tenant's document. */
START_TEST(a_walk_over_tenants_misses_none)
{
    struct seen seen = {0};
    mongo_raw_insert(stores.url, "tenants", "{\"_id\":\"t0\",\"epoch\":\"e1\",\"head\":0,\"applied\":0}");
    mongo_raw_insert(stores.url, "log", LOST_ENTRY(1));
    CK_STORE(stores.reader, tenants, VIEW(""), 10, see_id, &seen);
    ck_assert_str_eq(seen.text, "t1:1 ");
}
END_TEST

/* What is in the log only is in no document yet: it must not go. */
START_TEST(nothing_is_trimmed_that_is_not_applied)
{
    const struct trim all = {"t1", INT64_MAX, 0, 10};
    size_t removed = 9;
    struct head head;
    lose_entries();
    CK_STORE(stores.writer, mark, &(struct mark){"t1", 3, 3}, 1);
    CK_STORE(stores.writer, trim_log, &all, &removed);
    ck_assert_uint_eq(removed, 1); /* entry 1; 2 and 3 were lost */
    CK_STORE(stores.reader, head, "t1", &head);
    check_message("{\"v\":3}");
    CK_STORE(stores.writer, trim_log, &all, &removed);
    ck_assert_uint_eq(removed, 1); /* 3 is the last */
}
END_TEST

START_TEST(a_log_whose_tenant_is_lost_is_not_begun_again)
{
    const struct head at = {.epoch = "new", .n = 50, .seq = 70};
    bool taken = true;
    struct head head;
    mongo_raw_insert(stores.url, "log", LOST_ENTRY(1));
    CK_STORE(stores.writer, adopt, "t1", &at, &taken);
    ck_assert(!taken);
    CK_STORE(stores.writer, head, "t1", &head);
    ck_assert_str_eq(head.epoch, "e1");
    ck_assert_uint_eq(head.n, 1);
}
END_TEST

START_TEST(what_is_settled_is_fresh_until_the_next_mark)
{
    struct entry first = store_entry("t1", 1, "[1]", 1, 1), second = store_entry("t1", 2, "[2]", 2, 2);
    ck_assert(store_commit(&first) && store_commit(&second));
    ck_assert_int_eq(mongo_raw_count(stores.url, "log", "{\"fresh\":1}"), 2);
    CK_STORE(stores.writer, mark, &(struct mark){"t1", 1, 0}, 1);
    ck_assert_int_eq(mongo_raw_count(stores.url, "log", "{\"fresh\":1}"), 0);
}
END_TEST

START_TEST(two_writers_take_turns)
{
    struct store *other = store_open(stores.url, STORE_WRITER, NULL);
    struct err err = {0};
    ck_assert_ptr_nonnull(other);
    for (int i = 0; i < 3; i++) { /* neither works with what it remembers */
        ck_assert_msg(counter_add(stores.writer, "a", i, &err), "%s", err.text);
        ck_assert_msg(counter_add(other, "b", i, &err), "%s", err.text);
    }
    ck_assert_uint_eq(counter_audit(stores.reader), 6);
    store_close(other);
}
END_TEST

static const struct {
    int version;
    bool opens;
} schemas[] = {{1, false}, {2, true}, {3, true}, {4, false}, {99, false}};

/* Services of two neighbouring versions run side by side. */
START_TEST(a_schema_next_to_ours_is_taken_and_no_other)
{
    char meta[64];
    mongo_raw_drop(stores.url);
    snprintf(meta, sizeof meta, "{\"_id\":\"schema\",\"version\":%d}", schemas[_i].version);
    mongo_raw_insert(stores.url, "meta", meta);
    for (int mode = STORE_WRITER; mode <= STORE_READER; mode++) {
        struct err err = {0};
        struct head head;
        struct store *s = store_open(stores.url, (enum store_mode)mode, &err);
        bool works = s && s->ops->head(s, "t1", &head, &err);
        ck_assert_msg(works == schemas[_i].opens, "%s", err.text);
        ck_assert(works || (err.code == ERR_INTERNAL && strstr(err.text, "schema")));
        store_close(s);
    }
}
END_TEST

Suite *suite_store_mongo(void)
{
    Suite *s = suite_create("store_mongo");
    TCase *contract = tcase_create("contract"), *writers = tcase_create("writers");
    store_contract_add(contract, STORE_MONGO);
    tcase_set_timeout(contract, 30);
    suite_add_tcase(s, contract);
    tcase_add_checked_fixture(writers, setup, teardown);
    tcase_set_timeout(writers, 60);
    tcase_add_test(writers, two_writers_of_one_tenant_lose_nothing);
    tcase_add_loop_test(writers, a_head_writes_what_a_killed_writer_left, 0, 2);
    tcase_add_test(writers, a_late_writer_puts_nothing_old_back);
    tcase_add_test(writers, the_relay_finds_what_a_killed_writer_left);
    tcase_add_test(writers, the_first_epoch_of_a_tenant_wins);
    tcase_add_test(writers, a_killed_writer_loses_nothing_that_it_answered);
    tcase_add_test(writers, a_walk_over_tenants_misses_none);
    tcase_add_test(writers, nothing_is_trimmed_that_is_not_applied);
    tcase_add_test(writers, a_log_whose_tenant_is_lost_is_not_begun_again);
    tcase_add_test(writers, what_is_settled_is_fresh_until_the_next_mark);
    tcase_add_test(writers, two_writers_take_turns);
    tcase_add_loop_test(writers, a_schema_next_to_ours_is_taken_and_no_other, 0, countof(schemas));
    suite_add_tcase(s, writers);
    mongo_faults_add(s);
    return s;
}
