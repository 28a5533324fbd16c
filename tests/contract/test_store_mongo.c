/* What only a store of several writers must do: races, killed writers, a server that is slow or away. */
#include "state-manager/store/changes.h"
#include "state-manager/store/open.h"
#include "tests/contract/mongo_raw.h"
#include "tests/contract/mongo_server.h"
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

enum { RACE_ENTRIES = 25, KILLS = 6, BACK_TRIES = 120 };

static struct store_fixture f;

static void setup(void)
{
    f.kind = STORE_MONGO;
    store_fixture_open(&f);
}

static void teardown(void)
{
    store_fixture_close(&f);
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A command that adds one to a counter of the tenant's and leaves a document of its own: false and no error:
 * another writer was first. */
static bool add_one(struct store *s, const char *author, int number, struct err *err)
{
    struct head head;
    struct buf doc;
    bool found, ok;
    char counter[24], key[64], event[80];
    buf_init(&doc, DOC_MAX);
    ok = s->ops->head(s, "t1", &head, err) &&
         s->ops->get(s, "t1", DOC_FIGURES, VIEW("all"), &doc, &found, err);
    snprintf(counter, sizeof counter, "%d",
             ok && found ? (int)strtol(doc.data, NULL, 10) + 1 : 1); /* our own digits */
    buf_free(&doc);
    snprintf(key, sizeof key, "%s-%d", author, number);
    snprintf(event, sizeof event, "[\"%s\"]", key);
    struct change changes[] = {
        {DOC_FIGURES, VIEW("all"), {.rank = 0, .ord = 0}, view_of(counter)},
        {DOC_MESSAGE, view_of(key), {.parent = VIEW("c"), .rank = 1, .ord = (int64_t)head.n}, VIEW("{}")}};
    struct entry e = store_entry("t1", head.n + 1, event, head.seq + 1, head.seq + 1), *group = &e;
    e.epoch = *head.epoch ? head.epoch : author;
    e.changes = changes;
    e.change_count = 2;
    return ok && s->ops->commit(s, &group, 1, err) && e.result == COMMIT_DONE;
}

/* --- the log against the state --------------------------------------------------------------------------
 */

struct audit {
    uint64_t n;
    size_t entries;
    char last_counter[24];
    struct store *store;
};

static bool audit_entry(void *ctx, const struct log_entry *e)
{
    struct audit *a = ctx;
    struct change *changes;
    size_t count;
    ck_assert_uint_eq(e->n, ++a->n);
    ck_assert_uint_eq(e->last_seq, a->n);
    ck_assert(changes_read(e->changes, &changes, &count, NULL));
    snprintf(a->last_counter, sizeof a->last_counter, "%.*s", VIEW_ARG(changes[0].doc));
    ck_assert_int_eq((int)strtol(a->last_counter, NULL, 10), (int)a->n);
    struct buf doc;
    bool found;
    buf_init(&doc, DOC_MAX);
    ck_assert(a->store->ops->get(a->store, "t1", DOC_MESSAGE, changes[1].key, &doc, &found, NULL));
    ck_assert_msg(found, "entry %zu has no document", (size_t)e->n);
    buf_free(&doc);
    changes_free(changes, count);
    return true;
}

/* The log is dense and the state is the log applied; gives the number of entries. */
static uint64_t audit(void)
{
    struct audit a = {.store = f.writer};
    struct head head;
    struct buf doc;
    bool found;
    struct err err = {0};
    buf_init(&doc, DOC_MAX);
    ck_assert_msg(f.reader->ops->head(f.reader, "t1", &head, &err), "%s", err.text);
    ck_assert(f.reader->ops->read_log(f.reader, "t1", LOG_BY_ENTRY, 0, true, audit_entry, &a, NULL));
    ck_assert_uint_eq(a.n, head.n);
    ck_assert_uint_eq(a.n, head.seq);
    ck_assert(f.reader->ops->get(f.reader, "t1", DOC_FIGURES, VIEW("all"), &doc, &found, NULL) && found);
    ck_assert_str_eq(doc.data, a.last_counter);
    buf_free(&doc);
    return a.n;
}

static void *race(void *author)
{
    struct err err = {0};
    struct store *s = store_open(f.url, STORE_WRITER, &err);
    ck_assert_msg(s != NULL, "%s", err.text);
    for (int i = 0; i < RACE_ENTRIES;)
        if (add_one(s, author, i, &err))
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
    ck_assert_uint_eq(audit(), 2 * RACE_ENTRIES);
    ck_assert_int_eq(mongo_raw_count(f.url, "messages", "{}"), 2 * RACE_ENTRIES);
    ck_assert_int_eq(mongo_raw_count(f.url, "log", "{\"fresh\":1}"), 0);
}
END_TEST

/* --- killed writers -------------------------------------------------------------------------------------
 */

#define LOST_ENTRY(n)                                                                                   \
    "{\"tenant\":\"t1\",\"n\":" #n ",\"epoch\":\"e1\",\"first_seq\":" #n ",\"last_seq\":" #n            \
    ",\"at\":1,\"figures_changed\":1,\"fresh\":1,\"events\":\"[" #n "]\",\"changes\":\"[{\\\"kind\\\":" \
    "\\\"message\\\",\\\"key\\\":\\\"m\\\",\\\"parent\\\":\\\"c\\\",\\\"rank\\\":1,\\\"ord\\\":" #n     \
    ",\\\"doc\\\":{\\\"v\\\":" #n "}}]\"}"

static void check_message(const char *wanted)
{
    struct buf doc;
    bool found;
    buf_init(&doc, DOC_MAX);
    ck_assert(f.reader->ops->get(f.reader, "t1", DOC_MESSAGE, VIEW("m"), &doc, &found, NULL));
    ck_assert_str_eq(found ? doc.data : "none", wanted);
    buf_free(&doc);
}

/* Leaves two entries of which only the log knows, behind one that is whole. */
static void lose_entries(void)
{
    struct entry e = store_entry("t1", 1, "[1]", 1, 1), *group = &e;
    ck_assert(f.writer->ops->commit(f.writer, &group, 1, NULL) && e.result == COMMIT_DONE);
    ck_assert(f.writer->ops->mark(f.writer, &(struct mark){"t1", 1, 1}, 1, NULL));
    mongo_raw_insert(f.url, "log", LOST_ENTRY(2));
    mongo_raw_insert(f.url, "log", LOST_ENTRY(3));
    check_message("none");
}

START_TEST(a_head_writes_what_a_killed_writer_left)
{
    struct store *handles[] = {f.writer, f.reader};
    struct head head;
    lose_entries();
    ck_assert(handles[_i]->ops->head(handles[_i], "t1", &head, NULL));
    ck_assert_uint_eq(head.n, 3);
    ck_assert_uint_eq(head.seq, 3);
    ck_assert_uint_eq(head.figures_rev, 3);
    check_message("{\"v\":3}");
    struct entry e = store_entry("t1", 4, "[4]", 4, 4), *group = &e;
    ck_assert(f.writer->ops->commit(f.writer, &group, 1, NULL) && e.result == COMMIT_DONE);
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
    mongo_raw_insert(f.url, "messages",
                     "{\"tenant\":\"t1\",\"key\":\"m\",\"parent\":\"c\",\"rank\":1,\"ord\":9,"
                     "\"doc\":\"{\\\"v\\\":9}\",\"n\":9}");
    ck_assert(f.writer->ops->head(f.writer, "t1", &head, NULL));
    check_message("{\"v\":9}");
    ck_assert_int_eq(mongo_raw_count(f.url, "messages", "{}"), 1);
}
END_TEST

START_TEST(the_relay_finds_what_a_killed_writer_left)
{
    char seen[64] = "";
    lose_entries();
    ck_assert(f.reader->ops->unpublished(f.reader, see_tenant, seen, NULL));
    ck_assert_str_eq(seen, "t1 3 1");
    check_message("{\"v\":3}");
    ck_assert_int_eq(mongo_raw_count(f.url, "log", "{\"fresh\":1}"), 0);
    ck_assert(f.writer->ops->mark(f.writer, &(struct mark){"t1", 3, 3}, 1, NULL));
    seen[0] = 0;
    ck_assert(f.reader->ops->unpublished(f.reader, see_tenant, seen, NULL));
    ck_assert_str_eq(seen, "");
    ck_assert_int_eq(mongo_raw_count(f.url, "tenants", "{\"dirty\":1}"), 0);
}
END_TEST

START_TEST(the_first_epoch_of_a_tenant_wins)
{
    struct entry e = store_entry("t1", 1, "[]", 1, 0), *group = &e;
    struct head head;
    mongo_raw_insert(f.url, "tenants", "{\"_id\":\"t1\",\"epoch\":\"first\",\"applied\":0}");
    ck_assert(f.writer->ops->commit(f.writer, &group, 1, NULL));
    ck_assert_int_eq(e.result, COMMIT_CONFLICT);
    ck_assert(f.writer->ops->head(f.writer, "t1", &head, NULL));
    ck_assert_str_eq(head.epoch, "first");
    e.epoch = head.epoch;
    ck_assert(f.writer->ops->commit(f.writer, &group, 1, NULL));
    ck_assert_int_eq(e.result, COMMIT_DONE);
}
END_TEST

/* Commits until it is killed; says each number that was committed. */
NORETURN static void write_until_killed(int said, int life)
{
    struct store *s = store_open(f.url, STORE_WRITER, NULL);
    char author[16];
    snprintf(author, sizeof author, "w%d", life);
    for (int i = 0; s; i++)
        if (add_one(s, author, i, NULL) && write(said, ".", 1) != 1)
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
        entries = audit();
        ck_assert_msg(entries >= answered && entries <= answered + (uint64_t)life + 1,
                      "%zu answered, %zu in the log", (size_t)answered, (size_t)entries);
    }
}
END_TEST

/* --- a server that does not answer ---------------------------------------------------------------------
 */

static bool is_away(const struct err *err)
{
    return err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT;
}

/* How long a command takes that must fail. */
static int64_t refused_after_ms(struct store *s)
{
    struct err err = {0};
    int64_t since = now_ms();
    ck_assert(!add_one(s, "x", 0, &err));
    ck_assert_msg(is_away(&err), "%s %s", err_code_name(err.code), err.text);
    return now_ms() - since;
}

static void works_again(struct store *s, const char *author)
{
    struct err err = {0};
    for (int tries = 0; tries < BACK_TRIES; tries++) {
        err = (struct err){0};
        if (add_one(s, author, 0, &err))
            return;
        ck_assert_msg(!err.code || is_away(&err), "%s %s", err_code_name(err.code), err.text);
        pause_ms(100);
    }
    ck_abort_msg("the store is back, but not for us: %s", err.text);
}

START_TEST(a_server_that_hangs_costs_seconds_only)
{
    struct mongo_server server;
    mongo_server_init(&server);
    mongo_server_start(&server);
    struct store *s = store_open(server.url, STORE_WRITER, NULL);
    ck_assert_ptr_nonnull(s);
    works_again(s, "a");
    kill(server.pid, SIGSTOP);
    ck_assert_int_lt(refused_after_ms(s), 5000);
    ck_assert_int_lt(refused_after_ms(s), 5000);
    kill(server.pid, SIGCONT);
    works_again(s, "b");
    store_close(s);
    mongo_server_finish(&server);
}
END_TEST

START_TEST(a_server_that_was_away_is_used_again)
{
    struct mongo_server server;
    struct head head;
    mongo_server_init(&server);
    struct err err = {0};
    struct store *s = store_open(server.url, STORE_WRITER, &err);
    ck_assert_msg(s != NULL, "%s", err.text);
    ck_assert_int_lt(refused_after_ms(s), 3000);
    ck_assert(!s->ops->mark(s, NULL, 0, &err));
    mongo_server_start(&server);
    works_again(s, "a");
    mongo_server_kill(&server);
    ck_assert_int_lt(refused_after_ms(s), 5000);
    mongo_server_start(&server);
    works_again(s, "b");
    ck_assert(s->ops->mark(s, NULL, 0, NULL));
    ck_assert(s->ops->head(s, "t1", &head, NULL));
    ck_assert_uint_eq(head.n, 2);
    store_close(s);
    mongo_server_finish(&server);
}
END_TEST

START_TEST(a_wrong_url_is_refused_and_no_password_is_told)
{
    static const char *const wrong[] = {"mongodb:", "mongodb://", "mongodb://u:geheim@h:x/db",
                                        "mongodb://u:%zzgeheim@h/db"};
    struct err err;
    for (size_t i = 0; i < countof(wrong); i++) {
        err = (struct err){0};
        ck_assert_msg(!store_open(wrong[i], STORE_READER, &err), "%s", wrong[i]);
        ck_assert_int_eq(err.code, ERR_INVALID);
        ck_assert_ptr_null(strstr(err.text, "gehe"));
    }
    struct store *s = store_open("mongodb://u:geheim@127.0.0.1:1/db", STORE_READER, &err);
    struct head head;
    ck_assert_ptr_nonnull(s);
    ck_assert(!s->ops->head(s, "t1", &head, &err));
    ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
    ck_assert_ptr_null(strstr(err.text, "geheim"));
    store_close(s);
}
END_TEST

START_TEST(a_newer_schema_is_left_alone)
{
    struct err err = {0};
    mongo_raw_drop(f.url);
    mongo_raw_insert(f.url, "meta", "{\"_id\":\"schema\",\"version\":99}");
    ck_assert_ptr_null(store_open(f.url, STORE_WRITER, &err));
    ck_assert_int_eq(err.code, ERR_INTERNAL);
}
END_TEST

Suite *suite_store_mongo(void)
{
    Suite *s = suite_create("store_mongo");
    TCase *contract = tcase_create("contract"), *writers = tcase_create("writers"),
          *servers = tcase_create("servers");
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
    tcase_add_test(writers, a_newer_schema_is_left_alone);
    suite_add_tcase(s, writers);
    tcase_set_timeout(servers, 90);
    tcase_add_test(servers, a_server_that_hangs_costs_seconds_only);
    tcase_add_test(servers, a_server_that_was_away_is_used_again);
    tcase_add_test(servers, a_wrong_url_is_refused_and_no_password_is_told);
    suite_add_tcase(s, servers);
    return s;
}
