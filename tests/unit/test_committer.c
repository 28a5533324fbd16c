/* The write path as a whole, on a real store, with a rival writer and a failing disk in front of it. */
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/loop.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/committer.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A store that lets a rival be first, or fails, a number of times; everything else goes to the real one. */
struct troubled {
    struct store base;
    struct store *real;
    int rivals, failures; /* to come */
    int commits;
    bool hangs;   /* neither read nor written */
    bool toils;   /* the next commit takes long */
    int waits_ms; /* every commit waits, as for a disk */
    int64_t toiled_us;
    const char *victim; /* whom the rivals are first with; NULL: the first of the group */
};

static struct troubled *troubled_of(struct store *s)
{
    return container_of(s, struct troubled, base);
}

static void rival_commits(struct store *real, const char *tenant_id)
{
    struct head head;
    ck_assert(real->ops->head(real, tenant_id, &head, NULL));
    struct entry e = {.tenant_id = tenant_id,
                      .epoch = *head.epoch ? head.epoch : "rival",
                      .n = head.n + 1,
                      .first_seq = head.seq + 1,
                      .last_seq = head.seq + 1,
                      .events = VIEW("[{\"type\":\"rival\"}]")};
    struct entry *group = &e;
    ck_assert(real->ops->commit(real, &group, 1, NULL) && e.result == COMMIT_DONE);
}

/* As when the log is written into the database. */
static void toil(struct troubled *t)
{
    int64_t started = clock_mono_us(), end = clock_thread_us() + 20000;
    while (clock_thread_us() < end)
        continue;
    t->toiled_us += clock_mono_us() - started;
    t->toils = false;
}

static bool commit(struct store *s, struct entry **entries, size_t count, struct err *err)
{
    struct troubled *t = troubled_of(s);
    t->commits++;
    if (t->toils)
        toil(t);
    nanosleep(&(struct timespec){.tv_nsec = t->waits_ms * 1000000L}, NULL);
    if (t->failures-- > 0)
        return err_set(err, ERR_UNAVAILABLE, "no space left on the device");
    if (t->rivals-- > 0)
        rival_commits(t->real, t->victim ? t->victim : entries[0]->tenant_id);
    return t->real->ops->commit(t->real, entries, count, err);
}

static bool head(struct store *s, const char *tenant_id, struct head *out, struct err *err)
{
    if (troubled_of(s)->hangs)
        return err_set(err, ERR_UNAVAILABLE, "no answer");
    return troubled_of(s)->real->ops->head(troubled_of(s)->real, tenant_id, out, err);
}

static bool get(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key, struct buf *doc,
                bool *found, struct err *err)
{
    return troubled_of(s)->real->ops->get(troubled_of(s)->real, tenant_id, kind, key, doc, found, err);
}

static bool mark(struct store *s, const struct mark *marks, size_t count, struct err *err)
{
    if (troubled_of(s)->hangs)
        return err_set(err, ERR_UNAVAILABLE, "no answer");
    return troubled_of(s)->real->ops->mark(troubled_of(s)->real, marks, count, err);
}

static bool channel_get(struct store *s, struct view id, struct channel *out, bool *found, struct err *err)
{
    return troubled_of(s)->real->ops->channel_get(troubled_of(s)->real, id, out, found, err);
}

static bool quarantine(struct store *s, const struct quarantined *rows, size_t count, struct err *err)
{
    return troubled_of(s)->real->ops->quarantine(troubled_of(s)->real, rows, count, err);
}

static void close_nothing(struct store *s)
{
    (void)s; /* the fixture owns the real one */
}

static const struct store_ops troubled_ops = {.close = close_nothing,
                                              .commit = commit,
                                              .head = head,
                                              .get = get,
                                              .mark = mark,
                                              .channel_get = channel_get,
                                              .quarantine = quarantine};

static struct store_fixture f;
static struct troubled troubled;
static struct loop *loop;
static struct jobs *jobs;
static struct committer *committer;
static struct worker *worker;
static int done, expected, committed;
static enum err_code codes[64];
static uint64_t order[64]; /* the worker's, which the loop may be late to see */
static int settled;

static void on_done(void *ctx, struct job *job)
{
    (void)ctx;
    codes[job->request_id] = job->err.code;
    job_destroy(job);
    if (++done == expected)
        loop_stop(loop);
}

static void on_late(void *ctx, uint64_t request_id, const char *origin)
{
    (void)ctx;
    (void)origin;
    codes[request_id] = ERR_TIMEOUT;
    if (++done == expected)
        loop_stop(loop);
}

static void on_settled(void *ctx, struct job *job)
{
    (void)ctx;
    order[settled++] = job->request_id;
    jobs_finish(jobs, job);
}

static void on_committed(void *ctx, const char *tenant_id)
{
    (void)ctx;
    (void)tenant_id;
    committed++;
}

static void setup(void)
{
    store_fixture_open(&f);
    struct channel channel = {.phone_number_id = "100", .tenant_id = "t1"};
    ck_assert(f.writer->ops->channel_put(f.writer, &channel, NULL));
    troubled = (struct troubled){.base = {&troubled_ops}, .real = f.writer};
    loop = loop_create();
    struct jobs_options options = {
        .queue_length = 64, .timeout_ms = 5000, .share = 10, .on_done = on_done, .on_late = on_late};
    jobs = jobs_create(loop, &options);
    committer = committer_create(&troubled.base, jobs, NULL, on_committed, NULL);
    done = committed = settled = 0;
}

static void teardown(void)
{
    if (worker)
        worker_destroy(worker);
    worker = NULL;
    committer_destroy(committer);
    jobs_destroy(jobs);
    loop_destroy(loop);
    store_fixture_close(&f);
}

static void submit_of(const char *tenant_id, uint64_t id)
{
    struct job *job = job_create(JOB_COMMAND, id);
    job->on_settled = on_settled;
    snprintf(job->tenant_id, sizeof job->tenant_id, "%s", tenant_id);
    job->command = COMMAND_EVENTS;
    job->body = xstrdup("{\"event\":\"mine\",\"data\":1}");
    job->body_n = strlen(job->body);
    ck_assert(jobs_submit(jobs, job, view_of(tenant_id), NULL));
}

static void submit_event(uint64_t id)
{
    submit_of("t1", id);
}

static void submit_wrong_event(uint64_t id)
{
    struct job *job = job_create(JOB_COMMAND, id);
    snprintf(job->tenant_id, sizeof job->tenant_id, "t1");
    job->command = COMMAND_EVENTS;
    job->body = xstrdup("{\"event\":\"connect\"}");
    job->body_n = strlen(job->body);
    ck_assert(jobs_submit(jobs, job, VIEW("t1"), NULL));
}

/* All are queued before the committer starts, so that they share an entry; later ones find it running. */
static void run_until(int count)
{
    expected = count;
    if (!worker)
        worker = worker_start("committer", committer_run, committer);
    loop_run(loop);
}

struct tally {
    uint64_t next_n, next_seq;
    int rival, mine;
};

static bool on_entry(void *ctx, const struct log_entry *e)
{
    struct tally *t = ctx;
    struct view one;
    ck_assert_uint_eq(e->n, ++t->next_n); /* dense */
    ck_assert_uint_eq(e->first_seq, t->next_seq + 1);
    for (struct json_iter it = json_iter(e->events); json_next_element(&it, &one); t->next_seq++) {
        t->rival += json_string_is(json_get(one, "type"), "rival");
        t->mine += json_string_is(json_get(one, "type"), "mine");
    }
    ck_assert_uint_eq(e->last_seq, t->next_seq);
    return true;
}

static struct tally read_log(void)
{
    struct tally t = {0};
    ck_assert(f.reader->ops->read_log(f.reader, "t1", LOG_BY_ENTRY, 0, false, on_entry, &t, NULL));
    return t;
}

START_TEST(jobs_that_wait_share_an_entry)
{
    for (uint64_t id = 1; id <= 10; id++)
        submit_event(id);
    run_until(10);
    struct tally t = read_log();
    ck_assert_int_eq(t.mine, 10);
    ck_assert_uint_eq(t.next_n, 1);
    ck_assert_int_eq(committed, 1);
}
END_TEST

START_TEST(a_refused_call_harms_none_of_those_it_shares_an_entry_with)
{
    submit_event(1);
    submit_wrong_event(2);
    submit_event(3);
    submit_wrong_event(4);
    run_until(4);
    static const enum err_code want[] = {0, ERR_NONE, ERR_INVALID, ERR_NONE, ERR_INVALID};
    for (int id = 1; id <= 4; id++)
        ck_assert_int_eq(codes[id], want[id]);
    ck_assert_int_eq(read_log().mine, 2);
    ck_assert(committer_healthy(committer));
}
END_TEST

START_TEST(an_entry_that_a_rival_was_first_with_is_decided_again)
{
    troubled.rivals = 3;
    for (uint64_t id = 1; id <= 5; id++)
        submit_event(id);
    run_until(5);
    struct tally t = read_log();
    ck_assert_int_eq(t.rival, 3);
    ck_assert_int_eq(t.mine, 5); /* each once, although decided four times */
    for (int id = 1; id <= 5; id++)
        ck_assert_int_eq(codes[id], ERR_NONE);
}
END_TEST

START_TEST(who_meets_rivals_holds_up_nobody_else)
{
    troubled.rivals = 4;
    troubled.victim = "t1";
    submit_event(1);
    submit_of("t2", 2);
    run_until(2);
    ck_assert_int_eq(codes[1], ERR_NONE);
    ck_assert_int_eq(codes[2], ERR_NONE);
    ck_assert_uint_eq(order[0], 2); /* answered while the other was still being decided again */
}
END_TEST

START_TEST(a_mark_shares_a_group_with_calls)
{
    struct head head;
    submit_event(1);
    struct job *job = job_create(JOB_MARK, 0);
    memcpy(job->tenant_id, "t1", 3);
    job->mark.published = 1;
    ck_assert(jobs_submit(jobs, job, VIEW("t1"), NULL));
    run_until(1);
    for (int i = 0; i < 200; i++) {
        ck_assert(f.reader->ops->head(f.reader, "t1", &head, NULL));
        if (head.published == 1)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    ck_abort_msg("the mark was lost");
}
END_TEST

START_TEST(a_rival_who_is_always_first_ends_in_503)
{
    troubled.rivals = 1000;
    submit_event(1);
    run_until(1);
    ck_assert_int_eq(codes[1], ERR_UNAVAILABLE);
    ck_assert_int_eq(read_log().mine, 0);
}
END_TEST

START_TEST(a_failed_commit_answers_nobody_ok)
{
    troubled.failures = 1;
    for (uint64_t id = 1; id <= 3; id++)
        submit_event(id);
    run_until(3);
    for (int id = 1; id <= 3; id++)
        ck_assert_int_eq(codes[id], ERR_UNAVAILABLE);
    ck_assert_int_eq(read_log().mine, 0);
    ck_assert_int_eq(committed, 0);
}
END_TEST

/* A round that could read nothing has nothing to commit either; that is no success. */
START_TEST(a_store_that_hangs_is_not_well_between_two_calls)
{
    troubled.hangs = true;
    for (uint64_t id = 1; id <= 3; id++) {
        submit_event(id);
        run_until((int)id);
        ck_assert_int_eq(codes[id], ERR_UNAVAILABLE);
        ck_assert(!committer_healthy(committer));
    }
    troubled.hangs = false;
    submit_event(4);
    run_until(4);
    ck_assert(committer_healthy(committer));
}
END_TEST

START_TEST(health_comes_back_without_a_caller)
{
    troubled.failures = 1;
    submit_event(1);
    run_until(1);
    for (int i = 0; i < 100 && !committer_healthy(committer); i++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    ck_assert(committer_healthy(committer));
}
END_TEST

#define CHANGE(number, id)                                                           \
    "{\"field\":\"messages\",\"value\":{\"metadata\":{\"phone_number_id\":\"" number \
    "\"},\"messages\":[{\"from\":\"1\",\"id\":\"" id                                 \
    "\",\"timestamp\":\"1\",\"type\":\"text\",\"text\":{\"body\":\"x\"}}]}}"

static void submit_webhook(uint64_t id, const char *body)
{
    struct job *job = job_create(JOB_WEBHOOK, id);
    job->body = xstrdup(body);
    job->body_n = strlen(body);
    ck_assert(jobs_submit(jobs, job, VIEW("t1"), NULL));
}

START_TEST(a_refused_call_harms_no_webhook_that_changes_nothing)
{
    static const char body[] =
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"changes\":[" CHANGE("100", "a") "]}]}";
    submit_webhook(1, body);
    run_until(1);
    worker_destroy(worker);
    worker = NULL;
    submit_webhook(2, body); /* known already */
    submit_wrong_event(3);
    run_until(3);
    ck_assert_int_eq(codes[2], ERR_NONE);
    ck_assert_int_eq(codes[3], ERR_INVALID);
}
END_TEST

START_TEST(a_webhook_of_several_tenants_commits_for_each)
{
    struct channel other = {.phone_number_id = "200", .tenant_id = "t2"};
    ck_assert(f.writer->ops->channel_put(f.writer, &other, NULL));
    static const char body[] = "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"changes\":[" CHANGE(
        "100", "a") "," CHANGE("200", "a") "," CHANGE("300", "a") "]}]}";
    submit_webhook(1, body);
    run_until(1);
    ck_assert_int_eq(codes[1], ERR_NONE);
    struct head one, two, none;
    ck_assert(f.reader->ops->head(f.reader, "t1", &one, NULL) &&
              f.reader->ops->head(f.reader, "t2", &two, NULL) &&
              f.reader->ops->head(f.reader, "t3", &none, NULL));
    ck_assert_uint_eq(one.seq, 1);
    ck_assert_uint_eq(two.seq, 1);
    ck_assert_uint_eq(none.seq, 0);
}
END_TEST

START_TEST(single_calls_of_many_tenants_share_a_commit)
{
    char tenant_id[8];
    for (uint64_t id = 1; id <= 5; id++) {
        snprintf(tenant_id, sizeof tenant_id, "t%d", (int)id);
        submit_of(tenant_id, id);
    }
    run_until(5);
    ck_assert_int_eq(committed, 5);
    ck_assert_int_eq(troubled.commits, 1);
}
END_TEST

START_TEST(on_a_slow_disk_more_calls_share_a_commit)
{
    enum { TENANTS = 40 };
    char tenant_id[8];
    troubled.waits_ms = 40;
    for (uint64_t id = 1; id <= TENANTS; id++) {
        snprintf(tenant_id, sizeof tenant_id, "t%d", (int)id);
        submit_of(tenant_id, id);
    }
    run_until(TENANTS);
    ck_assert_int_eq(committed, TENANTS);
    ck_assert_int_le(troubled.commits, 4); /* by deciding alone it were eight */
}
END_TEST

START_TEST(a_flood_is_taken_in_slices_while_somebody_else_is_there)
{
    for (uint64_t id = 1; id <= 14; id++)
        submit_event(id);
    submit_of("t2", 15);
    run_until(15);
    int place = 0;
    while (order[place] != 15)
        place++;
    ck_assert_int_lt(place, 6); /* behind a slice */
    struct tally t = read_log();
    ck_assert_int_eq(t.mine, 14);
    ck_assert_uint_gt(t.next_n, 2);
}
END_TEST

/* They are answered at once, and their callers ask again at once: the loop would read all of that in one
 * turn. */
START_TEST(while_somebody_else_is_there_each_call_has_a_commit_of_its_own)
{
    uint64_t id = 0;
    for (int round = 0; round < 3; round++) { /* alone: what a call takes as one of many is known */
        for (int i = 0; i < 14; i++)
            submit_event(++id);
        run_until((int)id);
    }
    int before = committed;
    submit_of("t2", ++id);
    for (int i = 0; i < 6; i++)
        submit_event(++id);
    run_until((int)id);
    ck_assert_int_eq(committed - before, 7);
}
END_TEST

START_TEST(a_commit_that_takes_long_now_and_then_is_nobodys_doing)
{
    enum { ROUNDS = 12, EVERY = 6 };
    int64_t took[2]; /* without, and with such commits */
    uint64_t id = 0;
    for (int toils = 0; toils < 2; toils++) {
        int64_t started = clock_mono_us();
        for (int i = 0; i < ROUNDS; i++) {
            troubled.toils = toils && i % EVERY == 0;
            submit_event(++id);
            submit_of("t2", ++id);
            run_until((int)id);
        }
        took[toils] = clock_mono_us() - started;
    }
    ck_assert_int_lt(took[1], 3 * (took[0] + troubled.toiled_us));
}
END_TEST

START_TEST(the_numbers_of_a_tenant_are_one)
{
    struct err err = {0};
    struct channel other = {.phone_number_id = "200", .tenant_id = "t1"};
    ck_assert(f.writer->ops->channel_put(f.writer, &other, NULL));
    static const char *const bodies[] = {
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"changes\":[" CHANGE("100", "a") "]}]}",
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"changes\":[" CHANGE("200", "b") "]}]}"};
    static const char *const numbers[] = {"100", "200"};
    for (uint64_t id = 1; id <= 2; id++) {
        struct job *job = job_create(JOB_WEBHOOK, id);
        job->body = xstrdup(bodies[id - 1]);
        job->body_n = strlen(job->body);
        ck_assert(jobs_submit(jobs, job, view_of(numbers[id - 1]), &err));
    }
    run_until(2);
    worker_destroy(worker);
    worker = NULL;
    int taken = 0;
    for (uint64_t id = 3; id <= 42; id++)
        taken += jobs_submit(jobs, job_create(JOB_WEBHOOK, id), view_of(numbers[id % 2]), &err);
    ck_assert_int_eq(taken, 16); /* a quarter */
    ck_assert_int_eq(err.code, ERR_LIMITED);
}
END_TEST

START_TEST(what_nobody_waits_for_any_more_is_not_begun)
{
    submit_event(1);
    struct job *late = job_create(JOB_COMMAND, 2);
    snprintf(late->tenant_id, sizeof late->tenant_id, "t1");
    late->command = COMMAND_EVENTS;
    late->body = xstrdup("{\"event\":\"mine\",\"data\":1}");
    late->body_n = strlen(late->body);
    late->deadline_ms = 1;
    ck_assert(mailbox_push(jobs_writes(jobs), 0, &late->letter));
    submit_event(3);
    run_until(2);
    ck_assert_int_eq(read_log().mine, 2);
}
END_TEST

START_TEST(a_flood_keeps_to_its_quarter_and_a_full_queue_refuses)
{
    int taken = 0;
    struct err err = {0};
    for (uint64_t id = 1; id <= 60; id++)
        taken += jobs_submit(jobs, job_create(JOB_COMMAND, id), VIEW("flood"), &err);
    ck_assert_int_eq(taken, 16);
    ck_assert_int_eq(err.code, ERR_LIMITED);
    for (uint64_t id = 61; id <= 108; id++) { /* others, one call each, fill the rest */
        char quiet[16];
        snprintf(quiet, sizeof quiet, "quiet%d", (int)id);
        ck_assert(jobs_submit(jobs, job_create(JOB_GET_STATS, id), view_of(quiet), &err));
    }
    ck_assert(!jobs_submit(jobs, job_create(JOB_COMMAND, 109), VIEW("late"), &err));
    ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
}
END_TEST

START_TEST(who_was_answered_may_call_again)
{
    struct err err = {0};
    for (uint64_t id = 1; id <= 16; id++)
        ck_assert(jobs_submit(jobs, job_create(JOB_COMMAND, id), VIEW("flood"), &err));
    jobs_forget(jobs, 7);
    ck_assert(jobs_submit(jobs, job_create(JOB_COMMAND, 17), VIEW("flood"), &err));
    ck_assert(!jobs_submit(jobs, job_create(JOB_COMMAND, 18), VIEW("flood"), &err));
}
END_TEST

Suite *suite_committer(void)
{
    Suite *s = suite_create("committer");
    TCase *t = tcase_create("committer");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, jobs_that_wait_share_an_entry);
    tcase_add_test(t, a_refused_call_harms_none_of_those_it_shares_an_entry_with);
    tcase_add_test(t, a_refused_call_harms_no_webhook_that_changes_nothing);
    tcase_add_test(t, an_entry_that_a_rival_was_first_with_is_decided_again);
    tcase_add_test(t, who_meets_rivals_holds_up_nobody_else);
    tcase_add_test(t, a_mark_shares_a_group_with_calls);
    tcase_add_test(t, a_rival_who_is_always_first_ends_in_503);
    tcase_add_test(t, a_failed_commit_answers_nobody_ok);
    tcase_add_test(t, a_store_that_hangs_is_not_well_between_two_calls);
    tcase_add_test(t, health_comes_back_without_a_caller);
    tcase_add_test(t, a_webhook_of_several_tenants_commits_for_each);
    tcase_add_test(t, single_calls_of_many_tenants_share_a_commit);
    tcase_add_test(t, on_a_slow_disk_more_calls_share_a_commit);
    tcase_add_test(t, a_flood_is_taken_in_slices_while_somebody_else_is_there);
    tcase_add_test(t, while_somebody_else_is_there_each_call_has_a_commit_of_its_own);
    tcase_add_test(t, a_commit_that_takes_long_now_and_then_is_nobodys_doing);
    tcase_add_test(t, the_numbers_of_a_tenant_are_one);
    tcase_add_test(t, what_nobody_waits_for_any_more_is_not_begun);
    tcase_add_test(t, a_flood_keeps_to_its_quarter_and_a_full_queue_refuses);
    tcase_add_test(t, who_was_answered_may_call_again);
    suite_add_tcase(s, t);
    return s;
}
