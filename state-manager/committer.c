#include "state-manager/committer.h"
#include "shared/backoff.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/aside.h"
#include "state-manager/core/batch.h"
#include "state-manager/core/whatsapp.h"
#include "state-manager/meters.h"
#include "state-manager/owners.h"
#include "state-manager/revocations.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GROUP_JOBS_MAX = 256, WAIT_MS = 200, PROBE_EVERY_MS = 3000, STUCK_MS = 3000, CONFLICTS_MAX = 12 };

/* A command and the job that waits for it. */
struct task {
    struct command command;
    struct job *job;
};

/* The commands of one tenant in this group. */
struct slot {
    struct slot *next;
    char tenant_id[TENANT_ID_MAX + 1];
    struct task *tasks;
    size_t count, cap;
    size_t done;    /* tasks before this one are settled */
    size_t decided; /* tasks before this one are in the batch */
    int conflicts;
    struct batch *batch;
    struct entry *entry;
};

struct committer {
    struct store *store;
    struct jobs *jobs;
    void (*on_committed)(void *ctx, const char *tenant_id);
    void *ctx;
    atomic_bool healthy;
    _Atomic int64_t busy_since_ms; /* monotonic; 0: waits for work */
    struct owners owners;
    struct revocations revocations;
    struct map by_tenant;
    struct slot *slots;
    struct aside aside;
    struct keeper *keeper;
    struct letter *given, **last_given; /* jobs of the keeper's */
    struct mark marks[GROUP_JOBS_MAX];  /* of this group's jobs */
    size_t mark_count;
    bool conflicted;     /* in the last round */
    int64_t probe_at_ms; /* monotonic */
};

static void take_given(void *ctx, struct job *job)
{
    struct committer *c = ctx;
    *c->last_given = &job->letter;
    c->last_given = &job->letter.next;
}

struct committer *committer_create(struct store *store, struct jobs *jobs,
                                   const struct keeper_options *housekeeping,
                                   void (*on_committed)(void *ctx, const char *tenant_id), void *ctx)
{
    struct committer *c = xcalloc(1, sizeof *c);
    *c = (struct committer){.store = store, .jobs = jobs, .on_committed = on_committed, .ctx = ctx};
    if (housekeeping)
        c->keeper = keeper_create(store, housekeeping, take_given, c);
    c->last_given = &c->given;
    atomic_init(&c->healthy, true);
    owners_init(&c->owners, store);
    revocations_init(&c->revocations, store);
    map_init(&c->by_tenant);
    return c;
}

void committer_destroy(struct committer *c)
{
    if (!c)
        return;
    owners_finish(&c->owners);
    revocations_finish(&c->revocations);
    map_free(&c->by_tenant);
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

static void store_failed(struct committer *c, const struct err *err)
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

/* The first failure of a job is the one that its caller hears. */
static void fail_job(struct job *job, const struct err *err)
{
    if (!job->err.code)
        job->err = *err;
}

/* --- gathering: jobs become tasks ------------------------------------------------------------------------
 */

static struct slot *slot_for(struct committer *c, const char *tenant_id)
{
    struct slot *s = map_get(&c->by_tenant, view_of(tenant_id));
    if (s)
        return s;
    s = xcalloc(1, sizeof *s);
    memcpy(s->tenant_id, tenant_id, strlen(tenant_id) + 1);
    s->next = c->slots;
    c->slots = s;
    map_put(&c->by_tenant, view_of(s->tenant_id), s);
    return s;
}

static void add_task(struct committer *c, const char *tenant_id, const struct command *command,
                     struct job *job)
{
    struct slot *s = slot_for(c, tenant_id);
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 8;
        s->tasks = xrealloc(s->tasks, s->cap * sizeof *s->tasks);
    }
    s->tasks[s->count++] = (struct task){*command, job};
    job->open_tasks++;
}

/* A webhook being taken apart. */
struct unpacking {
    struct committer *c;
    struct job *job;
    int messages, statuses, others;
};

static void on_command(void *ctx, const struct command *command)
{
    struct unpacking *u = ctx;
    struct err err = {0};
    const char *tenant_id = owners_find(&u->c->owners, command->channel_id, &err);
    u->messages += command->type == COMMAND_INBOUND || command->type == COMMAND_ECHO;
    u->statuses += command->type == COMMAND_RECEIPT;
    u->others += command->type == COMMAND_ACCOUNT;
    if (!tenant_id) {
        store_failed(u->c, &err);
        fail_job(u->job, &err);
    } else if (!*tenant_id) {
        aside_add_waiting(&u->c->aside, command);
    } else {
        memcpy(u->job->tenant_id, tenant_id, strlen(tenant_id) + 1);
        add_task(u->c, tenant_id, command, u->job);
    }
}

static void on_quarantine(void *ctx, const char *reason, struct view channel_id, struct view bytes)
{
    struct unpacking *u = ctx;
    aside_add(&u->c->aside, reason, channel_id, bytes);
}

static void unpack_webhook(struct committer *c, struct job *job)
{
    struct unpacking u = {.c = c, .job = job};
    struct whatsapp_sink sink = {on_command, on_quarantine, &u};
    whatsapp_decode((struct view){job->body, job->body_n}, &sink);
    log_debug("webhook_in", "tenant=%s messages=%d statuses=%d others=%d bytes=%zu",
              *job->tenant_id ? job->tenant_id : "-", u.messages, u.statuses, u.others, job->body_n);
}

static void change_channel(struct committer *c, struct job *job)
{
    struct err err = {0};
    bool found = true, put = job->type == JOB_CHANNEL_PUT;
    bool ok = put ? c->store->ops->channel_put(c->store, &job->channel, &err)
                  : c->store->ops->channel_delete(c->store, view_of(job->id), &found, &err);
    if (ok && put) {
        owners_learn(&c->owners, view_of(job->channel.phone_number_id), job->channel.tenant_id);
        if (c->keeper)
            keeper_deliver(c->keeper);
    }
    if (ok && !put)
        owners_learn(&c->owners, view_of(job->id), "");
    if (!ok)
        store_failed(c, &err);
    else if (!found)
        err_set(&err, ERR_NOT_FOUND, "no such channel");
    if (err.code)
        fail_job(job, &err);
}

static void take_mark(struct committer *c, struct job *job)
{
    job->mark.tenant_id = job->tenant_id;
    c->marks[c->mark_count++] = job->mark;
}

static void keep_marks(struct committer *c)
{
    struct err err = {0};
    if (c->mark_count && !c->store->ops->mark(c->store, c->marks, c->mark_count, &err))
        store_failed(c, &err);
    c->mark_count = 0;
}

static void take_job(struct committer *c, struct job *job)
{
    struct command command;
    struct err err = {0};
    job_command(job, &command);
    if (!revocations_admit(&c->revocations, job->caller, &err)) {
        if (err.code != ERR_UNAUTHENTICATED)
            store_failed(c, &err);
        fail_job(job, &err);
    } else if (job->type == JOB_WEBHOOK)
        unpack_webhook(c, job);
    else if (job->type == JOB_COMMAND)
        add_task(c, job->tenant_id, &command, job);
    else if (job->type == JOB_MARK)
        take_mark(c, job);
    else
        change_channel(c, job);
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
    for (size_t i = s->done; i < s->count && i - s->done < ENTRY_COMMANDS_MAX; i++)
        command_foresee(s->batch, &s->tasks[i].command);
    batch_fetch(s->batch);
}

/* Decides as many tasks as one entry takes. */
static void decide_slot(struct committer *c, struct slot *s)
{
    struct err err = {0};
    s->entry = NULL;
    s->decided = s->done;
    s->batch = batch_create(c->store, s->tenant_id, clock_wall_ms(), &err);
    foresee_slot(c, s);
    while (s->batch && s->decided < s->count && !batch_full(s->batch)) {
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

/* What became of the slot's entry; true when another round is due. */
static bool settle_slot(struct committer *c, struct slot *s)
{
    bool conflict = s->entry && s->entry->result == COMMIT_CONFLICT;
    if (s->entry && s->entry->result == COMMIT_DONE) {
        count(METER_COMMANDS, (int64_t)(s->decided - s->done));
        c->on_committed(c->ctx, s->tenant_id);
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
    }
    batch_destroy(s->batch);
    s->batch = NULL;
    s->entry = NULL;
    return s->done < s->count;
}

/* One entry per tenant, all in one commit. True when there is more to do. */
static bool commit_round(struct committer *c)
{
    size_t tenants = c->by_tenant.count, count_entries = 0;
    struct entry **entries = xcalloc(tenants, sizeof *entries);
    for (struct slot *s = c->slots; s; s = s->next) {
        if (s->done < s->count)
            decide_slot(c, s);
        if (s->entry)
            entries[count_entries++] = s->entry;
    }
    struct err err = {0};
    bool ok = !count_entries || c->store->ops->commit(c->store, entries, count_entries, &err);
    if (!ok) {
        store_failed(c, &err);
    } else if (count_entries) { /* nothing to commit says nothing: perhaps the store could not even be read */
        count(METER_COMMITS, 1);
        store_worked(c);
    }
    bool more = false;
    c->conflicted = false;
    for (struct slot *s = c->slots; s; s = s->next) {
        if (s->entry && s->entry->result == COMMIT_PENDING && !ok)
            fail_slot(s, &err);
        more |= settle_slot(c, s);
    }
    free(entries);
    return more;
}

static void keep_aside(struct committer *c, struct job **jobs, size_t n)
{
    struct err err = {0};
    if (c->aside.count && !c->store->ops->quarantine(c->store, c->aside.rows, c->aside.count, &err)) {
        store_failed(c, &err);
        for (size_t i = 0; i < n; i++)
            if (jobs[i] && jobs[i]->type == JOB_WEBHOOK)
                fail_job(jobs[i], &err);
    } else {
        count(METER_QUARANTINED, (int64_t)c->aside.count);
    }
    aside_clear(&c->aside);
}

static void finish_job(struct committer *c, struct job *job)
{
    if (job->type == JOB_WEBHOOK && job->request_id)
        count(job->err.code ? METER_WEBHOOKS_FAILED : METER_WEBHOOKS, 1);
    if (job->on_settled)
        job->on_settled(job->settled_ctx, job);
    else if (job->request_id)
        jobs_finish(c->jobs, job);
    else
        job_destroy(job);
}

/* Marks name the tenant of their job until they are kept. */
static bool is_settled(const struct committer *c, const struct job *job)
{
    return !job->open_tasks && (job->type != JOB_MARK || !c->mark_count);
}

/* Answers whose commands are all settled: a tenant that meets conflicts, or has more than one entry takes,
 * does not hold up the others of its group. What was put aside is kept first. */
static void finish_settled(struct committer *c, struct job **jobs, size_t n)
{
    keep_aside(c, jobs, n);
    for (size_t i = 0; i < n; i++)
        if (jobs[i] && is_settled(c, jobs[i])) {
            finish_job(c, jobs[i]);
            jobs[i] = NULL;
        }
}

static void free_slots(struct committer *c)
{
    for (struct slot *s = c->slots, *next; s; s = next) {
        next = s->next;
        free(s->tasks);
        free(s);
    }
    c->slots = NULL;
    map_free(&c->by_tenant);
}

static void conflict_pause(struct backoff *pause)
{
    int ms = backoff_next_ms(pause);
    nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

static void commit_group(struct committer *c, struct letter *letters)
{
    struct job *jobs[GROUP_JOBS_MAX];
    size_t n = 0;
    for (struct letter *l = letters; l; l = l->next)
        jobs[n++] = job_of(l);
    for (size_t i = 0; i < n; i++)
        take_job(c, jobs[i]);
    struct backoff pause;
    backoff_init(&pause, 2, 50);
    bool more = c->slots != NULL;
    while (more) {
        more = commit_round(c);
        finish_settled(c, jobs, n);
        if (more && c->conflicted)
            conflict_pause(&pause);
    }
    keep_marks(c);
    finish_settled(c, jobs, n);
    free_slots(c);
}

/* The store is tried although nobody writes: at the start, now and then, and all the time once it failed. */
static void probe_store(struct committer *c)
{
    struct err err = {0};
    if (atomic_load(&c->healthy) && clock_mono_ms() < c->probe_at_ms)
        return;
    if (c->store->ops->mark(c->store, NULL, 0, &err))
        store_worked(c);
    else
        store_failed(c, &err);
    c->probe_at_ms = clock_mono_ms() + PROBE_EVERY_MS;
}

/* One step, and what came of it, unless the store has other worries. */
static void keep_house(struct committer *c)
{
    struct err err = {0};
    if (!c->keeper || !atomic_load(&c->healthy))
        return;
    if (!keeper_step(c->keeper, clock_wall_ms(), clock_mono_ms(), &err))
        store_failed(c, &err);
    struct letter *given = c->given;
    c->given = NULL;
    c->last_given = &c->given;
    if (given)
        commit_group(c, given);
}

static int wait_ms(const struct committer *c)
{
    return c->keeper && atomic_load(&c->healthy) ? keeper_wait_ms(c->keeper, clock_mono_ms(), WAIT_MS)
                                                 : WAIT_MS;
}

static void work(struct committer *c, struct letter *letters)
{
    atomic_store(&c->busy_since_ms, clock_mono_ms());
    if (letters)
        commit_group(c, letters);
    else
        probe_store(c);
    keep_house(c);
    atomic_store(&c->busy_since_ms, 0);
}

void committer_run(struct worker *worker, void *ctx)
{
    struct committer *c = ctx;
    probe_store(c);
    while (!worker_stopping(worker)) {
        struct letter *letters = NULL;
        if (mailbox_wait(jobs_writes(c->jobs), wait_ms(c)))
            letters = mailbox_drain(jobs_writes(c->jobs), GROUP_JOBS_MAX);
        work(c, letters);
    }
}
