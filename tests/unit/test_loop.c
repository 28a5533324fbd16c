#include "shared/compiler.h"
#include "shared/loop.h"
#include "tests/unit/suites.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

struct probe {
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_wake *wake;
    int fired;
    int stop_at; /* so many firings */
    int64_t last;
};

static void count(void *ctx)
{
    struct probe *p = ctx;
    p->last = loop_now_ms(p->loop);
    if (++p->fired == p->stop_at)
        loop_stop(p->loop);
}

START_TEST(timers_fire_once_or_again)
{
    struct probe once = {.loop = loop_create(), .stop_at = -1};
    struct probe again = {.loop = once.loop, .stop_at = 3};
    once.timer = loop_timer_create(once.loop, count, &once);
    again.timer = loop_timer_create(once.loop, count, &again);
    int64_t start = loop_now_ms(once.loop);
    loop_timer_start(once.timer, 1, 0);
    loop_timer_start(again.timer, 20, 10);
    loop_run(once.loop);
    ck_assert_int_eq(once.fired, 1);
    ck_assert_int_eq(again.fired, 3);
    ck_assert_int_ge(again.last - start, 40);
    loop_timer_destroy(once.timer);
    loop_timer_destroy(again.timer);
    loop_destroy(once.loop);
}
END_TEST

static void count_and_start_again(void *ctx)
{
    struct probe *p = ctx;
    if (++p->fired < 1000)
        loop_timer_start(p->timer, 0, 0);
}

START_TEST(a_timer_that_starts_itself_fires_once_a_turn)
{
    struct probe p = {.loop = loop_create()};
    p.timer = loop_timer_create(p.loop, count_and_start_again, &p);
    loop_timer_start(p.timer, 0, 0);
    for (int turn = 1; turn <= 5; turn++) {
        loop_turn(p.loop);
        ck_assert_int_eq(p.fired, turn);
    }
    loop_timer_destroy(p.timer);
    loop_destroy(p.loop);
}
END_TEST

START_TEST(a_started_timer_can_be_moved_and_stopped)
{
    struct probe moved = {.loop = loop_create(), .stop_at = 1}, stopped = {.loop = moved.loop};
    moved.timer = loop_timer_create(moved.loop, count, &moved);
    stopped.timer = loop_timer_create(moved.loop, count, &stopped);
    int64_t start = loop_now_ms(moved.loop);
    loop_timer_start(moved.timer, 1, 0);
    loop_timer_start(moved.timer, 40, 0);
    loop_timer_start(stopped.timer, 5, 5);
    loop_timer_stop(stopped.timer);
    loop_run(moved.loop);
    ck_assert_int_ge(moved.last - start, 40);
    ck_assert_int_eq(stopped.fired, 0);
    loop_timer_destroy(moved.timer);
    loop_timer_destroy(stopped.timer);
    loop_timer_destroy(NULL);
    loop_destroy(moved.loop);
}
END_TEST

static void destroy_itself(void *ctx)
{
    struct probe *p = ctx;
    p->fired++;
    loop_timer_destroy(p->timer);
    loop_stop(p->loop);
}

START_TEST(a_timer_may_destroy_itself)
{
    struct probe p = {.loop = loop_create()};
    p.timer = loop_timer_create(p.loop, destroy_itself, &p);
    loop_timer_start(p.timer, 0, 1);
    loop_run(p.loop);
    usleep(3000);
    loop_turn(p.loop);
    ck_assert_int_eq(p.fired, 1);
    loop_destroy(p.loop);
}
END_TEST

struct signaller {
    struct loop_wake *wake;
    atomic_bool done;
};

/* Several signals may be one call. */
static void *signal_until_done(void *ctx)
{
    struct signaller *s = ctx;
    while (!atomic_load(&s->done)) {
        loop_wake_signal(s->wake);
        usleep(1000);
    }
    return NULL;
}

START_TEST(another_thread_wakes_the_loop)
{
    struct probe p = {.loop = loop_create(), .stop_at = 3};
    p.wake = loop_wake_create(p.loop, count, &p);
    struct signaller signaller = {.wake = p.wake};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, signal_until_done, &signaller), 0);
    loop_run(p.loop);
    atomic_store(&signaller.done, true);
    pthread_join(thread, NULL);
    ck_assert_int_eq(p.fired, 3);
    loop_wake_destroy(p.wake);
    loop_wake_destroy(NULL);
    loop_destroy(p.loop);
}
END_TEST

struct work {
    struct loop_job *job;
    int done, wanted;
};

static void do_one(void *ctx)
{
    struct work *w = ctx;
    if (++w->done < w->wanted)
        loop_job_want(w->job);
}

static void do_the_last(void *ctx)
{
    struct work *w = ctx;
    w->done++;
    loop_job_destroy(w->job);
}

START_TEST(one_job_is_done_in_a_turn_each_in_its_turn)
{
    static const int expected[][3] = {{1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {2, 1, 1},
                                      {2, 2, 1}, {3, 2, 1}, {3, 2, 1}};
    struct loop *loop = loop_create();
    struct work all[3] = {{.wanted = 3}, {.wanted = 2}, {.wanted = 1}};
    for (int i = 0; i < 3; i++)
        all[i].job = loop_job_create(loop, i < 2 ? do_one : do_the_last, &all[i]);
    for (int i = 0; i < 6; i++)
        loop_job_want(all[i % 3].job);
    for (size_t turn = 0; turn < countof(expected); turn++) {
        loop_turn(loop);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(all[i].done, expected[turn][i]);
    }
    loop_job_want(all[0].job);
    loop_job_want(all[1].job);
    loop_job_cancel(all[0].job);
    loop_turn(loop);
    ck_assert_int_eq(all[0].done, 3);
    ck_assert_int_eq(all[1].done, 3);
    loop_job_want(all[1].job);
    loop_job_destroy(all[0].job);
    loop_job_destroy(all[1].job);
    loop_job_destroy(NULL);
    loop_turn(loop);
    loop_destroy(loop);
}
END_TEST

START_TEST(what_is_done_at_once_makes_jobs_wait_for_one_turn)
{
    struct loop *loop = loop_create();
    struct work w = {.wanted = 100};
    w.job = loop_job_create(loop, do_one, &w);
    ck_assert(loop_may_do(loop));
    ck_assert(!loop_may_do(loop));
    loop_turn(loop);
    ck_assert(loop_may_do(loop));
    loop_job_want(w.job);
    loop_turn(loop);
    ck_assert_int_eq(w.done, 0);
    ck_assert(!loop_may_do(loop)); /* the job has waited for longer */
    for (int turn = 1; turn <= 10; turn++) {
        loop_has_done(loop);
        loop_turn(loop);
        ck_assert_int_eq(w.done, (turn + 1) / 2);
    }
    loop_job_destroy(w.job);
    loop_destroy(loop);
}
END_TEST

START_TEST(a_stop_before_run_is_kept)
{
    struct loop *loop = loop_create();
    loop_stop(loop);
    loop_run(loop);
    loop_destroy(loop);
    loop_destroy(NULL);
}
END_TEST

START_TEST(signals_are_events)
{
    struct probe p = {.loop = loop_create(), .stop_at = 2};
    loop_on_signal(p.loop, SIGHUP, count, &p);
    loop_on_signal(p.loop, SIGTERM, count, &p);
    raise(SIGHUP);
    loop_turn(p.loop);
    ck_assert_int_eq(p.fired, 1);
    raise(SIGTERM);
    loop_run(p.loop);
    ck_assert_int_eq(p.fired, 2);
    loop_destroy(p.loop);
}
END_TEST

START_TEST(the_second_request_to_end_is_obeyed_at_once)
{
    pid_t child = fork();
    if (!child) {
        struct probe p = {.loop = loop_create(), .stop_at = -1};
        loop_on_signal(p.loop, SIGINT, count, &p);
        loop_on_signal(p.loop, SIGTERM, count, &p);
        raise(SIGTERM);
        loop_turn(p.loop);
        raise(SIGINT);
        loop_turn(p.loop);
        _exit(p.fired == 1 ? 0 : 2); /* reached only if nothing happened */
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

Suite *suite_loop(void)
{
    Suite *suite = suite_create("loop");
    TCase *tc = tcase_create("loop");
    tcase_add_test(tc, timers_fire_once_or_again);
    tcase_add_test(tc, a_timer_that_starts_itself_fires_once_a_turn);
    tcase_add_test(tc, a_started_timer_can_be_moved_and_stopped);
    tcase_add_test(tc, a_timer_may_destroy_itself);
    tcase_add_test(tc, another_thread_wakes_the_loop);
    tcase_add_test(tc, one_job_is_done_in_a_turn_each_in_its_turn);
    tcase_add_test(tc, what_is_done_at_once_makes_jobs_wait_for_one_turn);
    tcase_add_test(tc, a_stop_before_run_is_kept);
    tcase_add_test(tc, signals_are_events);
    tcase_add_test(tc, the_second_request_to_end_is_obeyed_at_once);
    suite_add_tcase(suite, tc);
    return suite;
}
