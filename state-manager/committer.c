#include "state-manager/committer.h"
#include "shared/backoff.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/committer_parts.h"
#include "state-manager/meters.h"
#include <stdlib.h>
#include <time.h>

enum {
    WAIT_MS = 200,
    PROBE_EVERY_MS = 3000,
    STUCK_MS = 3000,
    CONFLICTS_MAX = 12,
    DECIDE_US = 100, /* what a command takes, without its part of the commit, before there is experience */
    SLICE_US = 150,
    ROUND_US = 3 * SLICE_US, /* of deciding in a round, beside what the commit takes anyway */
    COMMITS_MAX = 3,         /* times as long as is usual is charged for one, at most */
    LETTERS_MAX = 4096
};

static void take_given(void *ctx, struct job *job)
{
    struct committer *c = ctx;
    c->given++;
    gather_add(c, job);
}

static void finish_slot(struct party *p)
{
    free(container_of(p, struct slot, party)->tasks);
}

struct committer *committer_create(struct store *store, struct jobs *jobs,
                                   const struct keeper_options *housekeeping,
                                   void (*on_committed)(void *ctx, const char *tenant_id), void *ctx)
{
    struct committer *c = xcalloc(1, sizeof *c);
    *c = (struct committer){.store = store, .jobs = jobs, .on_committed = on_committed, .ctx = ctx};
    if (housekeeping)
        c->keeper = keeper_create(store, housekeeping, take_given, c);
    struct turns_options turns = {.crowd = jobs_crowd(jobs),
                                  .share = jobs_share(jobs),
                                  .slice_us = SLICE_US,
                                  .party_bytes = sizeof(struct slot),
                                  .finish = finish_slot};
    turns_init(&c->turns, &turns);
    atomic_init(&c->healthy, true);
    owners_init(&c->owners, store);
    revocations_init(&c->revocations, store);
    return c;
}

void committer_destroy(struct committer *c)
{
    if (!c)
        return;
    owners_finish(&c->owners);
    revocations_finish(&c->revocations);
    turns_finish(&c->turns, job_discard);
    for (size_t i = 0; i < c->open_count; i++)
        job_destroy(c->open[i]);
    free(c->open);
    aside_finish(&c->aside);
    keeper_destroy(c->keeper);
    store_close(c->store);
    free(c);
}

bool committer_healthy(const struct committer *c)
{
    int64_t busy_since_ms = atomic_load(&c->busy_since_ms);
    return atomic_load(&c->healthy) && (!busy_since_ms || clock_mono_ms() - busy_since_ms < STUCK_MS);
}

void store_failed(struct committer *c, const struct err *err)
{
    count(METER_STORE_ERRORS, 1);
    if (atomic_exchange(&c->healthy, false))
        log_error("store_failed", "code=%s text=\"%s\"", err_code_name(err->code), err->text);
}

static void store_worked(struct committer *c)
{
    if (!atomic_exchange(&c->healthy, true))
        log_info("store_recovered", "%s", "");
}

void fail_job(struct job *job, const struct err *err)
{
    if (!job->err.code)
        job->err = *err;
}

/* --- deciding and committing -----------------------------------------------------------------------------
 */

static void settle_tasks(struct slot *s, size_t until)
{
    for (; s->done < until; s->done++)
        s->tasks[s->done].job->open_tasks--;
}

static void fail_slot(struct slot *s, const struct err *err)
{
    for (size_t i = s->done; i < s->count; i++)
        fail_job(s->tasks[i].job, err);
    settle_tasks(s, s->count);
}

/* A refused element of a webhook is kept aside; a refused call is answered. */
static void refuse(struct committer *c, struct task *task, const struct err *err)
{
    count(METER_COMMANDS_REFUSED, 1);
    if (task->job->type == JOB_WEBHOOK)
        aside_add(&c->aside, "refused", task->command.channel_id, task->command.element);
    else
        fail_job(task->job, err);
}

/* Reads in one go what the tasks will ask for. */
static void foresee_slot(struct committer *c, struct slot *s)
{
    if (!c->store->remote || !s->batch)
        return;
    for (size_t i = s->done; i < s->count && i - s->done < s->most; i++)
        command_foresee(s->batch, &s->tasks[i].command);
    batch_fetch(s->batch);
}

/* Decides as many tasks as one entry takes. */
static void decide_slot(struct committer *c, struct slot *s)
{
    struct err err = {0};
    s->entry = NULL;
    s->decided = s->done;
    s->batch = batch_create(c->store, s->party.name, clock_wall_ms(), &err);
    foresee_slot(c, s);
    while (s->batch && s->decided < s->count && s->decided - s->done < s->most && !batch_full(s->batch)) {
        struct task *task = &s->tasks[s->decided++];
        if (task->command.reply)
            buf_clear(task->command.reply);
        err = (struct err){0};
        if (command_decide(s->batch, &task->command, &err))
            count(METER_COMMANDS_DUPLICATE, task->command.duplicate);
        else if (!batch_failed(s->batch, &err))
            refuse(c, task, &err);
    }
    struct err failure = {0};
    if (s->batch)
        s->entry = batch_seal(s->batch, &failure);
    else
        failure = err;
    if (failure.code) {
        store_failed(c, &failure);
        fail_slot(s, &failure);
    }
}

/* What became of the slot's entry. */
static void settle_slot(struct committer *c, struct slot *s)
{
    bool conflict = s->entry && s->entry->result == COMMIT_CONFLICT;
    if (s->entry && s->entry->result == COMMIT_DONE) {
        count(METER_COMMANDS, (int64_t)(s->decided - s->done));
        s->beside_us += EVENT_BESIDE_US * (int64_t)(s->entry->last_seq + 1 - s->entry->first_seq);
        c->on_committed(c->ctx, s->party.name);
    }
    if (c->keeper && s->entry && !conflict)
        keeper_saw(c->keeper, s->entry);
    if (!conflict && s->done < s->count)
        settle_tasks(s, s->decided);
    if (conflict) {
        struct err err = {0};
        c->conflicted = true;
        count(METER_COMMIT_CONFLICTS, 1);
        if (++s->conflicts > CONFLICTS_MAX) {
            err_set(&err, ERR_UNAVAILABLE, "other writers were first %d times", s->conflicts);
            fail_slot(s, &err);
        }
    } else
        s->conflicts = 0;
    batch_destroy(s->batch);
    s->batch = NULL;
    s->entry = NULL;
}

/* A commit that takes many times as long, for it writes the log into the database, is nobody's doing. */
static int64_t usual_cost(struct committer *c, int64_t commit_us)
{
    if (c->commit_us && commit_us > COMMITS_MAX * c->commit_us)
        commit_us = COMMITS_MAX * c->commit_us;
    c->commit_us = c->commit_us ? (7 * c->commit_us + commit_us) / 8 : commit_us;
    return commit_us;
}

/* What the commit took, by what each had in it; and what is known from it about the next time. */
static void share_cost(struct committer *c, int64_t took_us)
{
    int64_t commit_us = 0;
    size_t tasks = 0;
    for (struct slot *s = c->round; s; s = s->next)
        tasks += s->entry ? s->decided - s->done : 0;
    if (tasks)
        commit_us = usual_cost(c, took_us);
    for (struct slot *s = c->round; s; s = s->next) {
        size_t n = s->decided > s->done ? s->decided - s->done : 0; /* all may have failed */
        if (n)
            s->decide_us = (3 * s->decide_us + s->used_us / (int64_t)n) / 4;
        if (s->entry && tasks)
            s->used_us += commit_us * (int64_t)n / (int64_t)tasks;
    }
}

/* One entry per tenant, all in one commit. */
static void commit_round(struct committer *c)
{
    size_t slots = 0, count_entries = 0;
    for (struct slot *s = c->round; s; s = s->next)
        slots++;
    struct entry **entries = xcalloc(slots + 1, sizeof *entries);
    for (struct slot *s = c->round; s; s = s->next) {
        int64_t started = clock_thread_us();
        if (s->done < s->count)
            decide_slot(c, s);
        if (s->entry)
            entries[count_entries++] = s->entry;
        s->used_us += clock_thread_us() - started;
    }
    struct err err = {0};
    int64_t started = clock_thread_us(), began = clock_mono_us();
    bool ok = !count_entries || c->store->ops->commit(c->store, entries, count_entries, &err);
    share_cost(c, clock_thread_us() - started);
    if (count_entries)
        c->wait_us = (7 * c->wait_us + clock_mono_us() - began) / 8;
    if (!ok) {
        store_failed(c, &err);
    } else if (count_entries) { /* nothing to commit says nothing: perhaps the store could not even be read */
        count(METER_COMMITS, 1);
        store_worked(c);
    }
    c->conflicted = false;
    for (struct slot *s = c->round; s; s = s->next) {
        if (s->entry && s->entry->result == COMMIT_PENDING && !ok)
            fail_slot(s, &err);
        settle_slot(c, s);
    }
    free(entries);
}

static void keep_aside(struct committer *c)
{
    struct err err = {0};
    if (c->aside.count && !c->store->ops->quarantine(c->store, c->aside.rows, c->aside.count, &err)) {
        store_failed(c, &err);
        for (size_t i = 0; i < c->open_count; i++)
            if (c->open[i]->type == JOB_WEBHOOK)
                fail_job(c->open[i], &err);
    } else {
        count(METER_QUARANTINED, (int64_t)c->aside.count);
    }
    aside_clear(&c->aside);
}

static void finish_job(struct committer *c, struct job *job)
{
    if (job->settled_ctx && job->settled_ctx == c->keeper)
        c->given--;
    if (job->type == JOB_WEBHOOK && job->request_id)
        count(job->err.code ? METER_WEBHOOKS_FAILED : METER_WEBHOOKS, 1);
    if (job->on_settled)
        job->on_settled(job->settled_ctx, job);
    else if (job->request_id)
        jobs_finish(c->jobs, job);
    else
        job_destroy(job);
}

static void keep_marks(struct committer *c)
{
    struct err err = {0};
    if (c->mark_count && !c->store->ops->mark(c->store, c->marks, c->mark_count, &err))
        store_failed(c, &err);
    c->mark_count = 0;
}

/* Answers whose commands are all settled: a tenant that meets conflicts, or has more than a round takes, does
 * not hold up the others. What was put aside, and marks, are kept first. */
static void finish_settled(struct committer *c)
{
    size_t left = 0;
    keep_aside(c);
    keep_marks(c);
    for (size_t i = 0; i < c->open_count; i++)
        if (c->open[i]->open_tasks)
            c->open[left++] = c->open[i];
        else
            finish_job(c, c->open[i]);
    c->open_count = left;
}

static void conflict_pause(struct backoff *pause)
{
    int ms = backoff_next_ms(pause);
    nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

/* Takes jobs apart for the slot until it has what it may decide in this round; returns how many. */
static size_t fill_slot(struct committer *c, struct slot *s, size_t most_jobs)
{
    int64_t started = clock_thread_us();
    size_t jobs = 0;
    struct letter *letter;
    s->beside_us = 0;
    while (jobs < most_jobs && s->count - s->done < s->most && (letter = turns_take(&s->party))) {
        s->beside_us += job_of(letter)->spent_us + JOB_BESIDE_US;
        gather_take(c, job_of(letter));
        jobs++;
    }
    s->used_us = clock_thread_us() - started;
    return jobs;
}

/* Alone one may have as much as an entry takes. With others about it is one command: who are answered at once
 * ask again at once, and all of that is read in one turn of the loop. */
static void plan_slot(struct committer *c, struct slot *s, int64_t now)
{
    s->decide_us = s->decide_us ? s->decide_us : DECIDE_US;
    s->most = turns_is_shared(&c->turns, &s->party, now) ? 1 : ENTRY_COMMANDS_MAX;
    s->next = NULL;
}

/* Those whose turn it is: the more is decided for one commit the better, up to what the commit itself takes.
 */
static void gather_round(struct committer *c)
{
    int64_t planned_us = 0, now = clock_mono_us();
    size_t jobs = 0;
    struct slot **last = &c->round;
    struct party *p = turns_next(&c->turns, NULL, now);
    c->round = NULL;
    for (; p && planned_us < ROUND_US + c->wait_us && jobs < GROUP_JOBS_MAX;
         p = turns_next(&c->turns, p, now)) {
        struct slot *s = container_of(p, struct slot, party);
        plan_slot(c, s, now);
        jobs += fill_slot(c, s, GROUP_JOBS_MAX - jobs);
        planned_us += s->decide_us * (int64_t)(s->count - s->done < s->most ? s->count - s->done : s->most);
        *last = s;
        last = &s->next;
    }
}

static void charge_round(struct committer *c)
{
    for (struct slot *s = c->round; s; s = s->next) {
        s->party.has_more = s->done < s->count;
        turns_charge(&c->turns, &s->party, s->used_us, s->beside_us, clock_mono_us());
    }
    c->round = NULL;
}

/* False: it is nobody's turn. */
static bool run_round(struct committer *c, struct backoff *pause)
{
    gather_round(c);
    if (!c->round)
        return false;
    commit_round(c);
    charge_round(c);
    finish_settled(c);
    if (c->conflicted)
        conflict_pause(pause);
    else
        backoff_reset(pause);
    return true;
}

/* The store is tried although nobody writes: at the start, now and then, and all the time once it failed. */
static void probe_store(struct committer *c)
{
    struct err err = {0};
    int64_t now = clock_mono_ms();
    if (c->probed_ms && now - c->probed_ms < (atomic_load(&c->healthy) ? PROBE_EVERY_MS : WAIT_MS))
        return;
    c->probed_ms = now;
    if (c->store->ops->mark(c->store, NULL, 0, &err))
        store_worked(c);
    else
        store_failed(c, &err);
}

/* One step, and what came of it, unless the store has other worries. */
static void keep_house(struct committer *c)
{
    struct err err = {0};
    if (!c->keeper || c->given || !atomic_load(&c->healthy))
        return;
    if (!keeper_step(c->keeper, clock_wall_ms(), clock_mono_ms(), &err))
        store_failed(c, &err);
}

static int wait_ms(const struct committer *c)
{
    int wait = turns_wait_ms(&c->turns, clock_mono_us(), WAIT_MS);
    bool keeps = c->keeper && !c->given && atomic_load(&c->healthy);
    return keeps ? keeper_wait_ms(c->keeper, clock_mono_ms(), wait) : wait;
}

static bool take_letters(struct committer *c)
{
    struct letter *letters = mailbox_drain(jobs_writes(c->jobs), LETTERS_MAX);
    for (struct letter *l = letters, *next; l; l = next) {
        next = l->next;
        gather_add(c, job_of(l));
    }
    return letters != NULL;
}

/* Waits for jobs, or for the turn of those that are here; false: nothing has come. */
static bool await(struct committer *c)
{
    atomic_store(&c->busy_since_ms, 0);
    bool some = mailbox_wait(jobs_writes(c->jobs), wait_ms(c));
    atomic_store(&c->busy_since_ms, clock_mono_ms());
    return some;
}

void committer_run(struct worker *worker, void *ctx)
{
    struct committer *c = ctx;
    struct backoff pause;
    backoff_init(&pause, 2, 50);
    probe_store(c);
    while (!worker_stopping(worker)) {
        atomic_store(&c->busy_since_ms, clock_mono_ms());
        bool some = take_letters(c);
        if (!run_round(c, &pause) && !some && !await(c))
            probe_store(c);
        keep_house(c);
    }
}
