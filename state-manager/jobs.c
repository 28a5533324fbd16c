#include "state-manager/jobs.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/list.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/meters.h"
#include <stdlib.h>

enum { REPLY_MAX = 16 << 20, DRAIN_MAX = 64, LATE_CHECK_MS = 100, OWNERS_MAX = 10000 };

/* A request that waits for its job, in the order of submission. */
struct waiter {
    struct list node;
    uint64_t request_id;
    struct lane *lane;
    uint64_t asked; /* the lane that was named */
    int64_t deadline_ms;
    char *origin; /* owned */
};

/* Who has calls waiting, and how many: one may not fill the queue for all. */
struct lane {
    uint64_t hash;
    size_t waiting;
};

struct jobs {
    struct jobs_options options;
    struct mailbox *writes, *reads, *done;
    struct loop_wake *wake;
    struct loop_timer *late_timer;
    struct list waiters;
    struct map by_request;
    struct map lanes;  /* hash -> struct lane; those with calls waiting */
    struct map owners; /* lane of a number -> hash of the tenant that owns it, as the last webhook found */
    struct crowd crowd;
};

struct job *job_create(enum job_type type, uint64_t request_id)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->type = type;
    job->request_id = request_id;
    buf_init(&job->reply, REPLY_MAX);
    return job;
}

void job_destroy(struct job *job)
{
    if (!job)
        return;
    buf_free(&job->reply);
    free(job->body);
    free(job->params);
    free(job->claims);
    free(job->filter);
    free(job->caller);
    free(job->if_none_match);
    free(job);
}

void job_command(struct job *job, struct command *out)
{
    *out = (struct command){.type = job->command,
                            .element = {job->body, job->body_n},
                            .conversation_id = view_of(job->id),
                            .author = view_of(job->author),
                            .idempotency_key = view_of(job->idempotency_key),
                            .key_use = job->key_use,
                            .profiles = job->profiles,
                            .operation = job->operation,
                            .params = view_of(job->params),
                            .claims = view_of(job->claims),
                            .reply = &job->reply};
    if (job->operation)
        crypto_random(out->seed, sizeof out->seed);
}

bool job_is_late(const struct job *job)
{
    return job->deadline_ms && clock_mono_ms() > job->deadline_ms;
}

void job_hide_error(struct job *job)
{
    bool internal = job->err.code == ERR_INTERNAL;
    if (internal)
        log_error("call_failed", "tenant=%s text=\"%s\"", job->tenant_id, job->err.text);
    else if (job->err.code == ERR_UNAVAILABLE) /* that the store is away the committer says */
        log_debug("call_unavailable", "tenant=%s text=\"%s\"", job->tenant_id, job->err.text);
    else
        return;
    err_set(&job->err, job->err.code, "%s",
            internal ? "something is wrong here; the log says what" : "the store is away: try again");
}

void job_discard(struct letter *letter)
{
    job_destroy(job_of(letter));
}

static struct view number_key(const uint64_t *number)
{
    return (struct view){(const char *)number, sizeof *number};
}

static void leave_lane(struct jobs *j, struct lane *lane)
{
    if (--lane->waiting)
        return;
    map_remove(&j->lanes, number_key(&lane->hash));
    free(lane);
}

static void waiter_destroy(struct waiter *w)
{
    if (!w)
        return;
    free(w->origin);
    free(w);
}

/* Takes it out of the queue; NULL: nobody is waiting any more. */
static struct waiter *stop_waiting(struct jobs *j, uint64_t request_id)
{
    struct waiter *w = map_remove(&j->by_request, number_key(&request_id));
    if (!w)
        return NULL;
    leave_lane(j, w->lane);
    list_unlink(&w->node);
    return w;
}

static void forget(struct jobs *j, uint64_t request_id)
{
    waiter_destroy(stop_waiting(j, request_id));
}

static void forget_owners(struct jobs *j)
{
    void *owner;
    for (size_t at = 0; map_next(&j->owners, &at, NULL, &owner);)
        free(owner);
    map_free(&j->owners);
}

/* A tenant may have many numbers: they are one, once it is known whose they are. */
static void learn_owner(struct jobs *j, uint64_t lane, const char *tenant_id)
{
    uint64_t *owner = map_get(&j->owners, number_key(&lane));
    if (!owner) {
        if (j->owners.count >= OWNERS_MAX)
            forget_owners(j);
        owner = xcalloc(1, sizeof *owner);
        map_put(&j->owners, number_key(&lane), owner);
    }
    *owner = map_hash(view_of(tenant_id));
}

static void on_wake(void *ctx)
{
    struct jobs *j = ctx;
    for (struct letter *l = mailbox_drain(j->done, DRAIN_MAX), *next; l; l = next) {
        next = l->next;
        struct job *job = job_of(l);
        struct waiter *w = stop_waiting(j, job->request_id);
        if (w && job->type == JOB_WEBHOOK && *job->tenant_id)
            learn_owner(j, w->asked, job->tenant_id);
        if (w)
            j->options.on_done(j->options.ctx, job);
        else
            job_destroy(job);
        waiter_destroy(w);
    }
    if (mailbox_count(j->done))
        loop_wake_signal(j->wake); /* the rest in the next turn, after others */
}

static void on_late_timer(void *ctx)
{
    struct jobs *j = ctx;
    int64_t now = clock_mono_ms();
    metric_set(&meters[METER_QUEUED], (int64_t)jobs_waiting(j));
    while (!list_empty(&j->waiters)) {
        struct waiter *first = container_of(j->waiters.next, struct waiter, node);
        if (first->deadline_ms > now)
            return;
        stop_waiting(j, first->request_id);
        j->options.on_late(j->options.ctx, first->request_id, first->origin);
        waiter_destroy(first);
    }
}

struct jobs *jobs_create(struct loop *loop, const struct jobs_options *options)
{
    struct jobs *j = xcalloc(1, sizeof *j);
    j->options = *options;
    list_init(&j->waiters);
    map_init(&j->by_request);
    map_init(&j->lanes);
    map_init(&j->owners);
    crowd_init(&j->crowd);
    j->wake = loop_wake_create(loop, on_wake, j);
    j->writes = mailbox_create(options->queue_length, NULL, NULL);
    j->reads = mailbox_create(options->queue_length, NULL, NULL);
    /* Whatever was accepted must fit on its way back, even if all of it lands in one lane. */
    j->done = mailbox_create(options->queue_length * 8, loop_wake_signal, j->wake);
    j->late_timer = loop_timer_create(loop, on_late_timer, j);
    loop_timer_start(j->late_timer, LATE_CHECK_MS, LATE_CHECK_MS);
    return j;
}

void jobs_destroy(struct jobs *j)
{
    if (!j)
        return;
    loop_timer_destroy(j->late_timer);
    mailbox_destroy(j->writes, job_discard);
    mailbox_destroy(j->reads, job_discard);
    mailbox_destroy(j->done, job_discard);
    loop_wake_destroy(j->wake);
    while (!list_empty(&j->waiters))
        forget(j, container_of(j->waiters.next, struct waiter, node)->request_id);
    map_free(&j->by_request);
    map_free(&j->lanes);
    forget_owners(j);
    crowd_finish(&j->crowd);
    free(j);
}

/* Takes the origin. */
static void start_waiting(struct jobs *j, uint64_t request_id, uint64_t asked, uint64_t hash,
                          struct lane *lane, char *origin)
{
    if (!lane) {
        lane = xcalloc(1, sizeof *lane);
        lane->hash = hash;
        map_put(&j->lanes, number_key(&lane->hash), lane);
    }
    lane->waiting++;
    struct waiter *w = xcalloc(1, sizeof *w);
    w->request_id = request_id;
    w->lane = lane;
    w->asked = asked;
    w->origin = origin;
    w->deadline_ms = clock_mono_ms() + j->options.timeout_ms;
    list_init(&w->node);
    list_append(&j->waiters, &w->node);
    map_put(&j->by_request, number_key(&w->request_id), w);
}

bool jobs_submit(struct jobs *j, struct job *job, struct view lane_name, struct err *err)
{
    struct mailbox *to = job->type >= JOB_GET_CHANNEL ? j->reads : j->writes;
    uint64_t request_id = job->request_id, asked = map_hash(lane_name);
    const uint64_t *owner = job->type == JOB_WEBHOOK ? map_get(&j->owners, number_key(&asked)) : NULL;
    uint64_t hash = owner ? *owner : asked;
    struct lane *lane = map_get(&j->lanes, number_key(&hash));
    bool limited = lane && lane->waiting >= (j->options.queue_length + 3) / 4;
    job->deadline_ms = clock_mono_ms() + j->options.timeout_ms;
    char *origin = xstrdup(job->origin); /* once pushed, the job is another thread's */
    if (!limited && jobs_waiting(j) < j->options.queue_length && mailbox_push(to, hash, &job->letter)) {
        start_waiting(j, request_id, asked, hash, lane, origin);
        return true;
    }
    count(METER_QUEUE_FULL, 1);
    free(origin);
    job_destroy(job);
    return limited ? err_set(err, ERR_LIMITED, "too many calls of yours are waiting")
                   : err_set(err, ERR_UNAVAILABLE, "too many calls are waiting");
}

void jobs_forget(struct jobs *j, uint64_t request_id)
{
    forget(j, request_id);
}

void jobs_finish(struct jobs *j, struct job *job)
{
    /* Full only if the loop stands still for longer than any caller waits: then nobody misses the answer. */
    if (!mailbox_push_wait(j->done, job->request_id, &job->letter, 1000))
        job_destroy(job);
}

struct mailbox *jobs_writes(struct jobs *j)
{
    return j->writes;
}

struct mailbox *jobs_reads(struct jobs *j)
{
    return j->reads;
}

struct crowd *jobs_crowd(struct jobs *j)
{
    return &j->crowd;
}

int64_t jobs_share(const struct jobs *j)
{
    return j->options.share ? j->options.share : 100;
}

size_t jobs_waiting(const struct jobs *j)
{
    return j->by_request.count;
}
