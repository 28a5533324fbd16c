#include "tests/contract/mongo_faults.h"
#include "shared/clock.h"
#include "state-manager/store/open.h"
#include "tests/contract/counter.h"
#include "tests/contract/mongo_proxy.h"
#include "tests/contract/mongo_server.h"
#include "tests/contract/store_fixture.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SOCKET_TIMEOUT_MS = 400, LATE_MS = 800, LATE_TRIES = 12 };

static bool is_away(const struct err *err)
{
    return err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT;
}

static struct store *open_store(const char *url, enum store_mode mode)
{
    struct err err = {0};
    struct store *s = store_open(url, mode, &err);
    ck_assert_msg(s != NULL, "%s", err.text);
    return s;
}

/* --- a server that does not answer -----------------------------------------------------------------------
 */

/* How long a command takes that must fail. */
static int64_t refused_after_ms(struct store *s)
{
    struct err err = {0};
    int64_t since = clock_mono_ms();
    ck_assert(!counter_add(s, "x", 0, &err));
    ck_assert_msg(is_away(&err), "%s %s", err_code_name(err.code), err.text);
    return clock_mono_ms() - since;
}

START_TEST(a_server_that_hangs_costs_seconds_only)
{
    struct mongo_server server;
    mongo_server_init(&server);
    mongo_server_start(&server);
    struct store *s = open_store(server.url, STORE_WRITER);
    counter_add_patiently(s, "a");
    kill(server.pid, SIGSTOP);
    ck_assert_int_lt(refused_after_ms(s), 5000);
    ck_assert_int_lt(refused_after_ms(s), 5000);
    kill(server.pid, SIGCONT);
    counter_add_patiently(s, "b");
    store_close(s);
    mongo_server_finish(&server);
}
END_TEST

START_TEST(a_server_that_was_away_is_used_again)
{
    struct mongo_server server;
    struct err err = {0};
    mongo_server_init(&server);
    struct store *s = open_store(server.url, STORE_WRITER);
    ck_assert_int_lt(refused_after_ms(s), 3000);
    ck_assert(!s->ops->mark(s, NULL, 0, &err));
    mongo_server_start(&server);
    counter_add_patiently(s, "a");
    mongo_server_kill(&server);
    ck_assert_int_lt(refused_after_ms(s), 5000);
    mongo_server_start(&server);
    counter_add_patiently(s, "b");
    CK_STORE(s, mark, NULL, 0);
    ck_assert_uint_eq(counter_audit(s), 2);
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
    struct store *s = open_store("mongodb://u:geheim@127.0.0.1:1/db", STORE_READER);
    struct head head;
    ck_assert(!s->ops->head(s, "t1", &head, &err));
    ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
    ck_assert_ptr_null(strstr(err.text, "geheim"));
    store_close(s);
}
END_TEST

/* --- between the store and its server --------------------------------------------------------------------
 */

/* The server of these tests; each uses a database of its own. */
static struct mongo_server shared_server;
static struct mongo_proxy proxy;
static char direct_url[128], proxied_url[256];
static struct store *through, *auditor; /* the store under test; a handle that goes round the proxy */

static void start_server(void)
{
    mongo_server_init(&shared_server);
    mongo_server_start(&shared_server);
}

static void finish_server(void)
{
    mongo_server_finish(&shared_server);
}

static void begin(void)
{
    static int count;
    mongo_proxy_start(&proxy, shared_server.port, NULL);
    snprintf(direct_url, sizeof direct_url, "mongodb://127.0.0.1:%d/p%d_%d", shared_server.port,
             (int)proxy.pid, ++count);
    snprintf(proxied_url, sizeof proxied_url, "mongodb://127.0.0.1:%d/%s", proxy.port,
             strrchr(direct_url, '/') + 1);
    through = open_store(proxied_url, STORE_WRITER);
    auditor = open_store(direct_url, STORE_READER);
    counter_add_patiently(through, "first");
}

static void end(void)
{
    store_close(through);
    store_close(auditor);
    mongo_proxy_stop(&proxy);
}

/* What one command of one tenant costs in round trips, and what a group of three tenants does. */
START_TEST(a_commit_takes_few_round_trips)
{
    struct err err = {0};
    mongo_proxy_tell(&proxy, "count");
    ck_assert(counter_add(through, "a", 1, &err));
    ck_assert_str_eq(mongo_proxy_tell(&proxy, "count"),
                     "find:2 insert:1 update:2"); /* head, get; log; both */
    struct change change = {DOC_MESSAGE, VIEW("m"), {.parent = VIEW("c")}, VIEW("1")};
    struct change changes[] = {change, change, change, change};
    changes[1].kind = DOC_ALIAS;
    changes[2].kind = DOC_CONVERSATION;
    changes[3].kind = DOC_FIGURES;
    for (int round = 0; round < 2; round++) {
        struct entry entries[3], *group[3];
        static const char *const ids[] = {"a", "b", "c"};
        for (size_t i = 0; i < 3; i++) {
            struct head head;
            CK_STORE(through, head, ids[i], &head);
            entries[i] = store_entry(ids[i], head.n + 1, "[]", 1, 0);
            entries[i].changes = changes;
            entries[i].change_count = countof(changes);
            group[i] = &entries[i];
        }
        mongo_proxy_tell(&proxy, "count");
        CK_STORE(through, commit, group, 3);
    }
    ck_assert_str_eq(mongo_proxy_tell(&proxy, "count"), "insert:1 update:2");
}
END_TEST

START_TEST(a_slow_server_is_borne)
{
    struct err err = {0};
    mongo_proxy_tell(&proxy, "delay 200");
    ck_assert_msg(counter_add(through, "a", 1, &err), "%s", err.text);
    mongo_proxy_tell(&proxy, "pass");
    ck_assert_uint_eq(counter_audit(auditor), 2);
}
END_TEST

/* What fails under a command: whether it is called done then, and how many entries the log gains. An answer
 * that was lost leaves it open; the entry is whole or not there at all. */
static const struct {
    const char *fault;
    bool done;
    uint64_t entries;
} faults[] = {
    {"drop-request find", false, 0},  {"drop-answer find", false, 0},   {"noise find", false, 0},
    {"stepped-down find", false, 0},  {"empty find", false, 0},         {"drop-request insert", false, 0},
    {"drop-answer insert", false, 1}, {"noise insert", false, 0},       {"stepped-down insert", false, 0},
    {"empty insert", false, 0},       {"drop-request update", true, 1}, {"drop-answer update", true, 1},
    {"noise update", true, 1},        {"stepped-down update", true, 1}, {"empty update", true, 1},
};

START_TEST(what_fails_is_done_wholly_or_not_at_all)
{
    struct err err = {0};
    mongo_proxy_tell(&proxy, faults[_i].fault);
    bool done = counter_add(through, "a", 1, &err);
    ck_assert_msg(done == faults[_i].done, "%s: %s", faults[_i].fault, err.text);
    ck_assert_msg(done || is_away(&err), "%s: %s %s", faults[_i].fault, err_code_name(err.code), err.text);
    ck_assert_uint_eq(counter_audit(auditor), 1 + faults[_i].entries);
    counter_add_patiently(through, "b");
    ck_assert_uint_eq(counter_audit(auditor), 2 + faults[_i].entries);
}
END_TEST

/* The command was given up when it reaches the server, and others have gone on. */
START_TEST(what_comes_too_late_does_no_harm)
{
    static const char *const commands[] = {"insert", "update", "find"};
    char url[sizeof proxied_url + 32], line[64];
    struct err err = {0};
    snprintf(url, sizeof url, "%s?socketTimeoutMS=%d", proxied_url, SOCKET_TIMEOUT_MS);
    struct store *hasty = open_store(url, STORE_WRITER);
    snprintf(line, sizeof line, "late %s %d", commands[_i], LATE_MS);
    mongo_proxy_tell(&proxy, line);
    bool done = counter_add(hasty, "late", 1, &err);
    ck_assert_msg(done ? _i == 1 : is_away(&err), "%s %s", err_code_name(err.code), err.text);
    uint64_t entries = counter_audit(auditor);
    for (int i = 0; i < LATE_TRIES; i++) { /* longer than it is late */
        counter_add_patiently(i % 2 ? hasty : through, "on");
        pause_ms(LATE_MS / 8);
        ck_assert_uint_ge(counter_audit(auditor), entries + 1);
        entries++;
    }
    store_close(hasty);
}
END_TEST

static void put(struct store *s, const struct change *changes, size_t count)
{
    struct head head;
    CK_STORE(s, head, "t1", &head);
    struct entry e = store_entry("t1", head.n + 1, "[]", head.seq + 1, head.seq), *one = &e;
    e.epoch = head.epoch;
    e.changes = changes;
    e.change_count = count;
    CK_STORE(s, commit, &one, 1);
    ck_assert_int_eq(e.result, COMMIT_DONE);
}

/* What another handle does between two commands of one that drops the oldest three of five. */
static const struct {
    const char *late; /* the command that comes after it */
    bool renews;      /* the oldest; else it drops them, too */
    const char *left;
} rivals[] = {
    {"find", false, "e d "}, {"count", false, "e d "}, {"delete", false, "e d "}, {"delete", true, "a e d "}};

static struct change raw_of(const char *key, int64_t rank)
{
    return (struct change){DOC_RAW, view_of(key), {.rank = rank}, VIEW("1")};
}

static void *meddle(void *index)
{
    int i = *(int *)index;
    struct store *s = open_store(direct_url, STORE_WRITER);
    struct change renewed = raw_of("a", 9);
    size_t removed;
    pause_ms(LATE_MS / 4);
    if (rivals[i].renews)
        put(s, &renewed, 1);
    else
        CK_STORE(s, keep_newest, "t1", DOC_RAW, 2, 3, &removed);
    store_close(s);
    return NULL;
}

static bool on_listed(void *ctx, const struct listed *row)
{
    return seen_add(ctx, "%.*s ", VIEW_ARG(row->key));
}

START_TEST(who_drops_the_oldest_takes_no_others_for_them)
{
    struct change changes[] = {raw_of("a", 1), raw_of("b", 2), raw_of("c", 3), raw_of("d", 4),
                               raw_of("e", 5)};
    struct seen seen = {0};
    char line[64];
    size_t removed;
    pthread_t thread;
    put(through, changes, countof(changes));
    snprintf(line, sizeof line, "late %s %d", rivals[_i].late, LATE_MS);
    mongo_proxy_tell(&proxy, line);
    ck_assert(!pthread_create(&thread, NULL, meddle, &(int){_i}));
    CK_STORE(through, keep_newest, "t1", DOC_RAW, 2, 3, &removed);
    pthread_join(thread, NULL);
    CK_STORE(auditor, list, "t1", DOC_RAW, &(struct page){.limit = 9}, on_listed, &seen);
    ck_assert_str_eq(seen.text, rivals[_i].left);
}
END_TEST

START_TEST(a_password_reaches_the_server_and_nobody_else)
{
    char url[256];
    struct err err = {0};
    struct head head;
    snprintf(url, sizeof url, "mongodb://anna:geheim@127.0.0.1:%d/p?authMechanism=SCRAM-SHA-256", proxy.port);
    mongo_proxy_tell(&proxy, "count");
    ck_assert_ptr_null(store_open(url, STORE_WRITER, &err));
    ck_assert_int_eq(err.code, ERR_INTERNAL);
    ck_assert_ptr_null(strstr(err.text, "geheim"));
    ck_assert_ptr_nonnull(strstr(mongo_proxy_tell(&proxy, "count"), "saslStart:"));
    struct store *reader = open_store(url, STORE_READER);
    ck_assert(!reader->ops->head(reader, "t1", &head, &err));
    ck_assert_ptr_null(strstr(err.text, "geheim"));
    store_close(reader);
}
END_TEST

/* --- TLS -------------------------------------------------------------------------------------------------
 */

/* A certificate of its own for localhost, with its key, at `path`. */
static void make_certificate(const char *path)
{
    char command[512];
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
             "-addext subjectAltName=DNS:localhost -keyout %s.key -out %s.crt 2>/dev/null && "
             "cat %s.key %s.crt >%s",
             path, path, path, path, path);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(tls_is_spoken_and_the_server_is_checked)
{
    char ours[128], others[128], url[384];
    struct mongo_proxy tls;
    snprintf(ours, sizeof ours, "%s/ours.pem", shared_server.directory);
    snprintf(others, sizeof others, "%s/others.pem", shared_server.directory);
    make_certificate(ours);
    make_certificate(others);
    mongo_proxy_start(&tls, shared_server.port, ours);
    const struct {
        int port;
        const char *host, *options, *file;
        bool works;
    } rows[] = {{tls.port, "localhost", "?tls=true&tlsCAFile=", ours, true},
                {tls.port, "127.0.0.1", "?tls=true&tlsCAFile=", ours, false}, /* not its name */
                {tls.port, "localhost", "?tls=true&tlsCAFile=", others, false},
                {tls.port, "localhost", "?tls=true", "", false}, /* of nobody that the system knows */
                {tls.port, "localhost", "", "", false},
                {proxy.port, "localhost", "?tls=true&tlsCAFile=", ours, false}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        snprintf(url, sizeof url, "mongodb://%s:%d/tls%s%s", rows[i].host, rows[i].port, rows[i].options,
                 rows[i].file);
        struct store *s = open_store(url, STORE_WRITER);
        bool done = counter_add(s, "tls", (int)i, &err);
        ck_assert_msg(done == rows[i].works, "%s: %s", url, err.text);
        ck_assert_msg(done || is_away(&err), "%s: %s", url, err.text);
        store_close(s);
    }
    mongo_proxy_stop(&tls);
}
END_TEST

void mongo_faults_add(Suite *s)
{
    TCase *away = tcase_create("away"), *between = tcase_create("between");
    tcase_set_timeout(away, 90);
    tcase_add_test(away, a_server_that_hangs_costs_seconds_only);
    tcase_add_test(away, a_server_that_was_away_is_used_again);
    tcase_add_test(away, a_wrong_url_is_refused_and_no_password_is_told);
    suite_add_tcase(s, away);
    tcase_add_unchecked_fixture(between, start_server, finish_server);
    tcase_add_checked_fixture(between, begin, end);
    tcase_set_timeout(between, 60);
    tcase_add_test(between, a_commit_takes_few_round_trips);
    tcase_add_test(between, a_slow_server_is_borne);
    tcase_add_loop_test(between, what_fails_is_done_wholly_or_not_at_all, 0, countof(faults));
    tcase_add_loop_test(between, what_comes_too_late_does_no_harm, 0, 3);
    tcase_add_loop_test(between, who_drops_the_oldest_takes_no_others_for_them, 0, countof(rivals));
    tcase_add_test(between, a_password_reaches_the_server_and_nobody_else);
    tcase_add_test(between, tls_is_spoken_and_the_server_is_checked);
    suite_add_tcase(s, between);
}
