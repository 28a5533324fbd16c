#include "shared/clock.h"
#include "shared/worker.h"
#include "tests/unit/suites.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct probe {
    atomic_int turns;
    atomic_bool over, blocked;
    char name[16];
};

static void run(struct worker *worker, void *ctx)
{
    struct probe *probe = ctx;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    probe->blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT);
    while (!worker_stopping(worker)) {
        atomic_fetch_add(&probe->turns, 1);
        usleep(1000);
    }
    pthread_getname_np(pthread_self(), probe->name, sizeof probe->name);
    probe->over = true;
}

START_TEST(runs_until_stopped)
{
    struct probe probe = {0};
    struct worker *worker = worker_start("unit-worker", run, &probe);
    int64_t deadline_ms = clock_mono_ms() + 5000;
    while (!atomic_load(&probe.turns) && clock_mono_ms() < deadline_ms)
        usleep(1000);
    ck_assert_int_gt(probe.turns, 0);
    ck_assert(!worker_stopping(worker));
    worker_stop(worker);
    ck_assert(worker_stopping(worker));
    worker_destroy(worker);
    ck_assert(probe.over);
    ck_assert(probe.blocked);
    ck_assert_str_eq(probe.name, "unit-worker");
}
END_TEST

START_TEST(destroy_stops_and_the_mask_of_the_creator_stays)
{
    struct probe probe = {0};
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    worker_destroy(worker_start("w", run, &probe));
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    ck_assert(probe.over);
    for (int signal = 1; signal < 32; signal++)
        ck_assert_int_eq(sigismember(&before, signal), sigismember(&after, signal));
    worker_destroy(NULL);
}
END_TEST

Suite *suite_worker(void)
{
    Suite *suite = suite_create("worker");
    TCase *tests = tcase_create("worker");
    tcase_add_test(tests, runs_until_stopped);
    tcase_add_test(tests, destroy_stops_and_the_mask_of_the_creator_stays);
    suite_add_tcase(suite, tests);
    return suite;
}
