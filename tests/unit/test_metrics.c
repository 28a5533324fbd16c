#include "shared/metrics.h"
#include "shared/worker.h"
#include "tests/unit/suites.h"

START_TEST(help_and_type_once_a_name)
{
    struct metric rows[] = {
        {"webhooks_total{result=\"ok\"}", "counter", "Webhooks by result.", 0},
        {"webhooks_total{result=\"refused\"}", "counter", "Webhooks by result.", 0},
        {"webhooks_totals", "gauge", "Another one.", 0},
    };
    struct buf out;
    buf_init(&out, 4096);
    metric_add(&rows[0], 3);
    metric_add(&rows[0], 4);
    metric_set(&rows[2], -9);
    metrics_render(rows, 3, &out);
    ck_assert_str_eq(buf_view(&out).p, "# HELP webhooks_total Webhooks by result.\n"
                                       "# TYPE webhooks_total counter\n"
                                       "webhooks_total{result=\"ok\"} 7\n"
                                       "webhooks_total{result=\"refused\"} 0\n"
                                       "# HELP webhooks_totals Another one.\n"
                                       "# TYPE webhooks_totals gauge\n"
                                       "webhooks_totals -9\n");
    buf_free(&out);
}
END_TEST

static void count_up(struct worker *worker, void *ctx)
{
    (void)worker;
    for (int i = 0; i < 100000; i++)
        metric_add(ctx, 1);
}

START_TEST(threads_lose_no_count)
{
    struct metric m = {"m", "counter", "", 0};
    struct worker *workers[4];
    for (int i = 0; i < 4; i++)
        workers[i] = worker_start("count", count_up, &m);
    for (int i = 0; i < 4; i++)
        worker_destroy(workers[i]);
    ck_assert_int_eq(metric_get(&m), 400000);
}
END_TEST

Suite *suite_metrics(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = tcase_create("metrics");
    tcase_add_test(tests, help_and_type_once_a_name);
    tcase_add_test(tests, threads_lose_no_count);
    suite_add_tcase(suite, tests);
    return suite;
}
