/* Random commands of two writers on one tenant, one of whom may die at any moment: afterwards the log alone
 * says what is true, and every command that was answered is in it once. SEED=... repeats a run. */
#include "state-manager/store/open.h"
#include "tests/contract/log_audit.h"
#include "tests/contract/random_commands.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/suites.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ALONE_COMMANDS = 500,
    RACE_COMMANDS = 200,
    KILLED_COMMANDS = 200,
    KILLS = 10,
    MOMENT_US = 20000,
    SEED_MAX = 1000000000
};

static struct store_fixture f;
static struct deal *deal;

static int seed_of_run(const char *test)
{
    uint64_t seed = (uint64_t)time(NULL) % SEED_MAX;
    const char *given = getenv("SEED");
    if (given && *given)
        ck_assert_msg(view_u64(view_of(given), SEED_MAX, &seed), "SEED must be a number up to %d", SEED_MAX);
    printf("# seed %s %d\n", test, (int)seed);
    fflush(stdout);
    return (int)seed;
}

static void setup_sqlite(void)
{
    f = (struct store_fixture){.kind = STORE_SQLITE};
    store_fixture_open(&f);
}

static void setup_mongo(void)
{
    f = (struct store_fixture){.kind = STORE_MONGO};
    store_fixture_open(&f);
}

static void teardown(void)
{
    deal_destroy(deal);
    store_fixture_close(&f);
}

/* The audit comes from both kinds of handles. */
static void check(void)
{
    struct store *handles[] = {f.reader, f.writer};
    for (size_t i = 0; i < countof(handles); i++) {
        struct audit audit;
        audit_open(&audit, handles[i], "t1");
        deal_check(deal, &audit);
        audit_close(&audit);
    }
}

/* One writer's handle can only take turns. */
START_TEST(commands_of_two_callers)
{
    struct err err;
    deal = deal_create(seed_of_run("commands_of_two_callers"), ALONE_COMMANDS);
    for (int writer = 0, idle = 0; idle < DEAL_WRITERS; writer = (writer + 1) % DEAL_WRITERS) {
        size_t next = deal_next(deal, writer);
        idle = next == deal->count ? idle + 1 : 0;
        if (!idle)
            ck_assert_msg(deal_commit(deal, writer, next, f.writer, &err), "%s", err.text);
    }
    check();
    store_fixture_reopen(&f);
    check();
}
END_TEST

/* False: the store failed. */
static bool commit_all(int writer, struct err *err)
{
    struct store *store = store_open(f.url, STORE_WRITER, err);
    bool ok = store != NULL;
    for (size_t next; ok && (next = deal_next(deal, writer)) < deal->count;)
        ok = deal_commit(deal, writer, next, store, err);
    store_close(store);
    return ok;
}

static void *race(void *writer)
{
    struct err err;
    ck_assert_msg(commit_all(*(int *)writer, &err), "%s", err.text);
    return NULL;
}

START_TEST(two_writers_at_once)
{
    static int numbers[DEAL_WRITERS] = {0, 1};
    pthread_t threads[DEAL_WRITERS];
    deal = deal_create(seed_of_run("two_writers_at_once"), RACE_COMMANDS);
    for (int i = 0; i < DEAL_WRITERS; i++)
        ck_assert(!pthread_create(&threads[i], NULL, race, &numbers[i]));
    for (int i = 0; i < DEAL_WRITERS; i++)
        ck_assert(!pthread_join(threads[i], NULL));
    check();
}
END_TEST

static pid_t start_writer(int writer)
{
    struct err err;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (!child)
        _exit(commit_all(writer, &err) ? 0 : 1);
    return child;
}

/* True when the writer has ended by itself, all its commands answered. */
static bool has_ended(pid_t child)
{
    int status;
    if (waitpid(child, &status, WNOHANG) != child)
        return false;
    ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "a writer's store failed");
    return true;
}

/* Lets a writer answer so many commands more and live for a moment then; false: it came to its end. */
static bool outlives(pid_t child, int writer, size_t commands, int moment_us)
{
    size_t until = deal_next(deal, writer) + commands;
    while (!has_ended(child)) {
        if (deal_next(deal, writer) >= until) {
            usleep((useconds_t)moment_us);
            return true;
        }
        usleep(1000);
    }
    return false;
}

/* What a killed one had not answered is sent again, as senders do. */
START_TEST(writers_that_are_killed)
{
    pid_t children[DEAL_WRITERS];
    unsigned seed = (unsigned)seed_of_run("writers_that_are_killed");
    int kills = 0, alive = DEAL_WRITERS;
    deal = deal_create((int)seed, KILLED_COMMANDS);
    for (int i = 0; i < DEAL_WRITERS; i++)
        children[i] = start_writer(i);
    while (alive) {
        int i = children[0] && (!children[1] || rand_r(&seed) % 2) ? 0 : 1;
        size_t commands = 1 + (unsigned)rand_r(&seed) % (KILLED_COMMANDS / KILLS / 2);
        if (!outlives(children[i], i, commands, (int)(rand_r(&seed) % MOMENT_US))) {
            children[i] = 0;
            alive--;
            continue;
        }
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
        children[i] = start_writer(i);
        kills++;
    }
    ck_assert_int_ge(kills, KILLS);
    check();
}
END_TEST

Suite *suite_writers(void)
{
    Suite *s = suite_create("writers");
    TCase *sqlite = tcase_create("sqlite"), *mongo = tcase_create("mongo");
    tcase_add_checked_fixture(sqlite, setup_sqlite, teardown);
    tcase_set_timeout(sqlite, 60);
    tcase_add_test(sqlite, commands_of_two_callers);
    suite_add_tcase(s, sqlite);
    tcase_add_checked_fixture(mongo, setup_mongo, teardown);
    tcase_set_timeout(mongo, 120);
    tcase_add_test(mongo, two_writers_at_once);
    tcase_add_test(mongo, writers_that_are_killed);
    suite_add_tcase(s, mongo);
    return s;
}
