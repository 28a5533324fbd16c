#include "shared/mem.h"
#include "state-manager/core/figures.h"
#include "state-manager/keeper.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/suites.h"
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY INT64_C(86400000)

enum { EVERY_S = 60, GIVEN_MAX = 256, RAWS_MAX = 256 };

static struct store_fixture f;
static struct keeper *keeper;
static struct job *given[GIVEN_MAX];
static size_t given_count;
static int64_t wall, mono;

static void take(void *ctx, struct job *job)
{
    (void)ctx;
    ck_assert_uint_lt(given_count, GIVEN_MAX);
    given[given_count++] = job;
}

/* What the committer does with a job: it finds an owner, or fails. */
static void settle(const char *owner, enum err_code code)
{
    for (size_t i = 0; i < given_count; i++) {
        struct job *job = given[i];
        job->err.code = code;
        snprintf(job->tenant_id, sizeof job->tenant_id, "%s", *job->tenant_id ? job->tenant_id : owner);
        if (job->on_settled)
            job->on_settled(job->settled_ctx, job);
        else
            job_destroy(job);
    }
    given_count = 0;
}

static const struct keeper_options options = {.every_s = EVERY_S,
                                              .log_days = 7,
                                              .log_events = 1000,
                                              .raw_days = 30,
                                              .raw_count = 20,
                                              .reply_hours = 24,
                                              .quarantine_days = 7,
                                              .revocation_days = 30};

static void setup(void)
{
    store_fixture_open(&f);
    keeper = keeper_create(f.writer, &options, take, NULL);
    wall = 1800000000000;
    mono = 1;
    given_count = 0;
}

static void teardown(void)
{
    settle("", ERR_UNAVAILABLE);
    keeper_destroy(keeper);
    store_fixture_close(&f);
}

static void step(void)
{
    struct err err = {0};
    mono += keeper_wait_ms(keeper, mono, EVERY_S * 1000);
    ck_assert_msg(keeper_step(keeper, wall, mono, &err), "%s", err.text);
}

/* Steps until nothing is due at once; what is given is settled for the owner. */
static void run(const char *owner, enum err_code code)
{
    for (int i = 0; i < 2000; i++) {
        step();
        if (given_count)
            settle(owner, code);
        if (keeper_wait_ms(keeper, mono, EVERY_S * 1000) > 1000)
            return;
    }
    ck_abort_msg("the keeper does not come to an end");
}

/* `count` entries of one event each, made at the given time. */
static void add_entries(const char *tenant, uint64_t first, uint64_t count, int64_t at)
{
    for (uint64_t n = first; n < first + count; n++) {
        struct entry e = store_entry(tenant, n, "[{}]", n, n), *one = &e;
        e.at_wall_ms = at;
        ck_assert(f.writer->ops->commit(f.writer, &one, 1, NULL) && e.result == COMMIT_DONE);
    }
}

static void publish(const char *tenant, uint64_t n)
{
    struct mark mark = {tenant, n, n};
    ck_assert(f.writer->ops->mark(f.writer, &mark, 1, NULL));
}

static bool on_entry(void *ctx, const struct log_entry *entry)
{
    uint64_t *range = ctx;
    if (!range[0])
        range[0] = entry->n;
    range[1] = entry->n;
    return true;
}

/* The first and last entry kept. */
static void check_log(const char *tenant, uint64_t first, uint64_t last)
{
    uint64_t range[2] = {0, 0};
    ck_assert(f.reader->ops->read_log(f.reader, tenant, LOG_BY_ENTRY, 0, false, on_entry, range, NULL));
    ck_assert_uint_eq(range[0], first);
    ck_assert_uint_eq(range[1], last);
}

START_TEST(the_log_is_kept_for_its_days_and_its_count)
{
    add_entries("days", 1, 30, wall - 7 * DAY - 1);
    add_entries("days", 31, 5, wall - 7 * DAY + 1000);
    publish("days", 35);
    add_entries("count", 1, 1010, wall);
    publish("count", 1010);
    add_entries("unpublished", 1, 30, wall - 9 * DAY);
    publish("unpublished", 12);
    add_entries("old", 1, 500, wall - 9 * DAY);
    publish("old", 500);
    run("", ERR_NONE);
    check_log("days", 31, 35);
    check_log("count", 11, 1010);
    check_log("unpublished", 13, 30);
    check_log("old", 500, 500);
}
END_TEST

START_TEST(a_clock_that_jumps_ahead_drops_nothing_for_a_day)
{
    int64_t real = wall;
    add_entries("jump", 1, 20, wall);
    publish("jump", 20);
    run("", ERR_NONE);
    wall = real + 30 * DAY;
    run("", ERR_NONE);
    wall = real - DAY; /* nor does one that goes back, and then is right */
    run("", ERR_NONE);
    wall = real + 30 * DAY;
    mono += DAY / 2;
    run("", ERR_NONE);
    mono += DAY / 2;
    run("", ERR_NONE);
    check_log("jump", 1, 20);
    mono += DAY / 2;
    run("", ERR_NONE);
    check_log("jump", 20, 20);
}
END_TEST

START_TEST(a_step_is_small)
{
    add_entries("t1", 1, 450, wall - 9 * DAY);
    publish("t1", 450);
    uint64_t before = 1, range[2] = {0, 0};
    for (int i = 0; i < 20 && before < 450; i++) {
        step();
        range[0] = 0;
        ck_assert(f.reader->ops->read_log(f.reader, "t1", LOG_BY_ENTRY, 0, false, on_entry, range, NULL));
        ck_assert_uint_le(range[0] - before, 100);
        before = range[0];
    }
    ck_assert_uint_eq(before, 450);
}
END_TEST

enum { SLOW_MS = 50 };

static bool trim_slowly(struct store *s, const struct trim *trim, size_t *removed, struct err *err)
{
    (void)s, (void)err;
    nanosleep(&(struct timespec){.tv_nsec = SLOW_MS * 1000000}, NULL);
    *removed = trim->limit;
    return true;
}

/* A disk that is slow is not busy with old entries most of the time. */
START_TEST(a_slow_step_is_followed_by_a_long_rest)
{
    const struct store_ops *ops = f.writer->ops;
    static struct store_ops slow; /* outlives a failure */
    slow = *ops;
    slow.trim_log = trim_slowly;
    add_entries("t1", 1, 1, wall);
    f.writer->ops = &slow;
    for (int i = 0; i < 8; i++) /* what ages is looked at first, and what waits */
        step();
    ck_assert_int_ge(keeper_wait_ms(keeper, mono + SLOW_MS, EVERY_S * 1000), 3 * SLOW_MS);
    f.writer->ops = ops;
}
END_TEST

static void put_doc(enum doc_kind kind, const char *key, uint64_t n, int64_t at)
{
    struct change c = {.kind = kind, .key = view_of(key), .place = {.rank = at}, .doc = VIEW("{}")};
    struct entry e = store_entry("t1", n, "[]", 1, 0), *one = &e;
    e.changes = &c;
    e.change_count = 1;
    e.at_wall_ms = wall;
    ck_assert(f.writer->ops->commit(f.writer, &one, 1, NULL) && e.result == COMMIT_DONE);
}

static bool has_doc(enum doc_kind kind, const char *key)
{
    struct buf doc;
    bool found;
    buf_init(&doc, DOC_MAX);
    ck_assert(f.reader->ops->get(f.reader, "t1", kind, view_of(key), &doc, &found, NULL));
    buf_free(&doc);
    return found;
}

START_TEST(documents_that_age_go_after_their_time_and_others_stay)
{
    static const struct {
        enum doc_kind kind;
        int64_t keep;
    } ages[] = {{DOC_RAW, 30 * DAY},
                {DOC_PARKED, 30 * DAY},
                {DOC_REPLY, DAY},
                {DOC_SESSION, 8 * DAY},
                {DOC_REVOCATION, 30 * DAY}};
    uint64_t n = 0;
    for (size_t i = 0; i < countof(ages); i++) {
        put_doc(ages[i].kind, "old", ++n, wall - ages[i].keep - 1);
        put_doc(ages[i].kind, "young", ++n, wall - ages[i].keep + 1000);
    }
    put_doc(DOC_MESSAGE, "old", ++n, 1);
    put_doc(DOC_LATEST, "old", ++n, 0);
    run("", ERR_NONE);
    for (size_t i = 0; i < countof(ages); i++)
        ck_assert_msg(!has_doc(ages[i].kind, "old") && has_doc(ages[i].kind, "young"), "kind %zu", i);
    ck_assert(has_doc(DOC_MESSAGE, "old") && has_doc(DOC_LATEST, "old"));
}
END_TEST

/* A tenant's entry n of so many raw documents, and no others. */
static void put_raws(const char *tenant, uint64_t n, size_t count)
{
    static char keys[RAWS_MAX][32];
    static struct change changes[RAWS_MAX];
    struct entry e = store_entry(tenant, n, "[]", 1, 0), *one = &e;
    for (size_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "%llu.%03zu", (unsigned long long)n, i);
        changes[i] = (struct change){
            DOC_RAW, view_of(keys[i]), {.rank = wall, .ord = (int64_t)(n * RAWS_MAX + i)}, VIEW("{}")};
    }
    e.changes = changes;
    e.change_count = count;
    ck_assert(f.writer->ops->commit(f.writer, &one, 1, NULL) && e.result == COMMIT_DONE);
    keeper_saw(keeper, &e);
}

static bool on_raw(void *ctx, const struct listed *row)
{
    (void)row;
    ++*(size_t *)ctx;
    return true;
}

static size_t raws_of(const char *tenant)
{
    size_t count = 0;
    const struct page page = {.limit = PAGE_ROWS_MAX};
    ck_assert(f.reader->ops->list(f.reader, tenant, DOC_RAW, &page, on_raw, &count, NULL));
    return count;
}

START_TEST(of_what_was_not_understood_the_newest_are_kept)
{
    put_raws("few", 1, 20);
    put_raws("t1", 1, 250);
    put_raws("t1", 2, 5);
    size_t before = 255, left;
    do {
        step();
        left = raws_of("t1");
        ck_assert_uint_le(before - left, 100);
        before = left;
    } while (keeper_wait_ms(keeper, mono, EVERY_S * 1000) <= 1000); /* one sweep */
    ck_assert_uint_eq(raws_of("t1"), 20);
    ck_assert(has_doc(DOC_RAW, "1.235") && has_doc(DOC_RAW, "2.004"));
    ck_assert_uint_eq(raws_of("few"), 20);
}
END_TEST

static struct {
    struct store_ops ops;
    size_t calls, failures;
} counted; /* outlives a failure */

static bool count_keep_newest(struct store *s, const char *tenant_id, enum doc_kind kind, size_t keep,
                              size_t limit, size_t *removed, struct err *err)
{
    counted.calls++;
    if (counted.failures && counted.failures--)
        return err_set(err, ERR_UNAVAILABLE, "the store is away");
    return f.reader->ops->keep_newest(s, tenant_id, kind, keep, limit, removed, err);
}

static void count_looks(size_t failures)
{
    counted.ops = *f.writer->ops;
    counted.ops.keep_newest = count_keep_newest;
    counted.calls = 0;
    counted.failures = failures;
    f.writer->ops = &counted.ops;
}

/* How often a sweep looks whether there are too many. */
static size_t looks(void)
{
    counted.calls = 0;
    run("", ERR_NONE);
    return counted.calls;
}

START_TEST(who_got_nothing_new_is_counted_once)
{
    put_raws("t1", 1, 5);
    add_entries("t2", 1, 1, wall);
    add_entries("t3", 1, 1, wall);
    count_looks(0);
    ck_assert_uint_eq(looks(), 3);
    ck_assert_uint_eq(looks(), 0);
    put_raws("t2", 2, 20);
    add_entries("t3", 2, 1, wall);
    ck_assert_uint_eq(looks(), 1);
    ck_assert_uint_eq(looks(), 0);
    put_raws("t2", 3, 3);
    ck_assert_uint_eq(looks(), 1);
    ck_assert_uint_eq(raws_of("t2"), 20);
    ck_assert_uint_eq(looks(), 1); /* once more after some were dropped */
    ck_assert_uint_eq(looks(), 0);
}
END_TEST

START_TEST(a_sweep_that_failed_has_counted_nobody)
{
    put_raws("t1", 1, 25);
    put_raws("t2", 1, 25);
    keeper_destroy(keeper); /* one that was not there when they were written */
    keeper = keeper_create(f.writer, &options, take, NULL);
    count_looks(1);
    for (int i = 0; i < 50 && !counted.calls; i++) {
        mono += keeper_wait_ms(keeper, mono, EVERY_S * 1000);
        ck_assert(keeper_step(keeper, wall, mono, NULL) != (counted.calls > 0));
    }
    run("", ERR_NONE);
    ck_assert_uint_eq(raws_of("t1"), 20);
    ck_assert_uint_eq(raws_of("t2"), 20);
}
END_TEST

START_TEST(without_a_bound_none_is_counted)
{
    struct keeper_options unbounded = options;
    unbounded.raw_count = 0;
    keeper_destroy(keeper);
    keeper = keeper_create(f.writer, &unbounded, take, NULL);
    put_raws("t1", 1, 25);
    count_looks(0);
    ck_assert_uint_eq(looks(), 0);
    ck_assert_uint_eq(raws_of("t1"), 25);
}
END_TEST

static void let_wait(const char *channel, const char *body, const char *reason, int64_t at)
{
    struct quarantined row = {reason, view_of(channel), view_of(body), at};
    ck_assert(f.writer->ops->quarantine(f.writer, &row, 1, NULL));
}

static void own(const char *channel_id)
{
    struct channel channel = {.tenant_id = "t1"};
    snprintf(channel.phone_number_id, sizeof channel.phone_number_id, "%s", channel_id);
    ck_assert(f.writer->ops->channel_put(f.writer, &channel, NULL));
    keeper_deliver(keeper);
}

static bool on_kept(void *ctx, const char *digest, const struct quarantined *row)
{
    (void)digest;
    (void)row;
    ++*(size_t *)ctx;
    return true;
}

static size_t kept(void)
{
    size_t count = 0;
    ck_assert(f.reader->ops->quarantine_scan(f.reader, VIEW(""), 1000, on_kept, &count, NULL));
    return count;
}

START_TEST(what_waits_is_delivered_once_its_channel_has_an_owner)
{
    char body[32];
    for (int i = 0; i < 120; i++) {
        snprintf(body, sizeof body, "body %03d", i);
        let_wait("100", body, QUARANTINE_NO_TENANT, wall - 120 + i);
    }
    let_wait("200", "another's", QUARANTINE_NO_TENANT, wall);
    let_wait("100", "refused", "refused", wall);
    run("", ERR_NONE);
    ck_assert_uint_eq(kept(), 122);
    own("100");
    step();
    ck_assert_uint_eq(given_count, 50);
    for (int i = 0; i < 50; i++) {
        snprintf(body, sizeof body, "body %03d", i);
        ck_assert(view_is((struct view){given[i]->body, given[i]->body_n}, body));
        ck_assert_int_eq(given[i]->type, JOB_WEBHOOK);
    }
    settle("t1", ERR_NONE);
    run("t1", ERR_NONE);
    ck_assert_uint_eq(kept(), 2);
}
END_TEST

START_TEST(what_could_not_be_committed_goes_on_waiting)
{
    let_wait("100", "body", QUARANTINE_NO_TENANT, wall);
    own("100");
    run("t1", ERR_UNAVAILABLE);
    ck_assert_uint_eq(kept(), 1);
    run("", ERR_NONE); /* somebody took the channel away in between */
    ck_assert_uint_eq(kept(), 1);
    run("t1", ERR_NONE);
    ck_assert_uint_eq(kept(), 0);
}
END_TEST

START_TEST(the_quarantine_is_emptied_after_its_time)
{
    let_wait("100", "old", QUARANTINE_NO_TENANT, wall - 7 * DAY - 1);
    let_wait("100", "young", QUARANTINE_NO_TENANT, wall - 7 * DAY + 1000);
    run("", ERR_NONE);
    ck_assert_uint_eq(kept(), 1);
}
END_TEST

static void put_figures(int64_t messages, int64_t at)
{
    struct figures figures;
    struct buf doc;
    figures_read(VIEW(""), &figures);
    figures_roll(&figures, at);
    figures.messages_today = messages;
    buf_init(&doc, DOC_MAX);
    figures_write(&figures, &doc);
    struct change c = {.kind = DOC_FIGURES, .key = VIEW("all"), .doc = buf_view(&doc)};
    struct entry e = store_entry("t1", 1, "[]", 1, 0), *one = &e;
    e.changes = &c;
    e.change_count = 1;
    ck_assert(f.writer->ops->commit(f.writer, &one, 1, NULL) && e.result == COMMIT_DONE);
    buf_free(&doc);
}

/* How many refreshes come of a sweep. */
static size_t refreshes(void)
{
    size_t count = 0;
    for (int i = 0; i < 50; i++) {
        step();
        for (size_t k = 0; k < given_count; k++)
            count += given[k]->type == JOB_COMMAND && given[k]->command == COMMAND_REFRESH &&
                     !strcmp(given[k]->tenant_id, "t1");
        settle("", ERR_NONE);
        if (keeper_wait_ms(keeper, mono, EVERY_S * 1000) > 1000)
            return count;
    }
    ck_abort_msg("the keeper does not come to an end");
}

START_TEST(a_day_that_is_over_is_announced)
{
    int64_t midnight = (wall / DAY + 1) * DAY;
    wall = midnight - 1000;
    put_figures(5, wall);
    ck_assert_uint_eq(refreshes(), 0);
    wall = midnight + 1000;
    ck_assert_uint_eq(refreshes(), 1);
    wall += EVERY_S * 1000; /* the same quarter of an hour: nothing is read again */
    ck_assert_uint_eq(refreshes(), 0);
}
END_TEST

Suite *suite_keeper(void)
{
    Suite *s = suite_create("keeper");
    TCase *t = tcase_create("keeper");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_log_is_kept_for_its_days_and_its_count);
    tcase_add_test(t, a_clock_that_jumps_ahead_drops_nothing_for_a_day);
    tcase_add_test(t, a_step_is_small);
    tcase_add_test(t, a_slow_step_is_followed_by_a_long_rest);
    tcase_add_test(t, documents_that_age_go_after_their_time_and_others_stay);
    tcase_add_test(t, of_what_was_not_understood_the_newest_are_kept);
    tcase_add_test(t, who_got_nothing_new_is_counted_once);
    tcase_add_test(t, a_sweep_that_failed_has_counted_nobody);
    tcase_add_test(t, without_a_bound_none_is_counted);
    tcase_add_test(t, what_waits_is_delivered_once_its_channel_has_an_owner);
    tcase_add_test(t, what_could_not_be_committed_goes_on_waiting);
    tcase_add_test(t, the_quarantine_is_emptied_after_its_time);
    tcase_add_test(t, a_day_that_is_over_is_announced);
    suite_add_tcase(s, t);
    return s;
}
