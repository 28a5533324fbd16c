#include "state-manager/intake/intake.h"
#include "shared/backoff.h"
#include "shared/broker.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/intake/foreign.h"
#include "state-manager/meters.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PREFETCH = 200,
    POLL_MS = 500,
    PUSH_MS = 1000,
    RETRY_MS = 500, /* before what the store could not take is given back to the queue */
    DEAD_LETTER_MAX = 64 << 20
};

/* A dead letter on its way: its original is acknowledged when the broker has it. */
struct burial {
    uint64_t confirm_tag, delivery_tag;
};

struct intake {
    struct broker *broker;
    struct jobs *jobs;
    struct mailbox *settled; /* jobs that the committer is done with */
    struct backoff backoff;
    int connection;   /* counts them: tags of an older one mean nothing */
    bool failed;      /* ever: who tries for the first time does not wait */
    int64_t since_ms; /* monotonic: when the connection was made */
    struct err said;  /* why the last try to connect failed */
    struct burial burials[PREFETCH];
    size_t burial_count;
    struct buf letter;
};

struct intake *intake_create(const char *amqp_url, struct jobs *jobs, struct err *err)
{
    struct intake *in = xcalloc(1, sizeof *in);
    in->jobs = jobs;
    backoff_init(&in->backoff, 200, 2500);
    buf_init(&in->letter, DEAD_LETTER_MAX);
    /* Room for all that can be under way, also from before a reconnect, in whichever lane. */
    in->settled = mailbox_create((size_t)PREFETCH * 8, NULL, NULL);
    mailbox_fd(in->settled);
    in->broker = broker_create(amqp_url, "state-manager intake", err);
    if (!in->broker) {
        intake_destroy(in);
        return NULL;
    }
    return in;
}

void intake_destroy(struct intake *in)
{
    if (!in)
        return;
    mailbox_destroy(in->settled, job_discard);
    broker_destroy(in->broker);
    buf_free(&in->letter);
    free(in);
}

/* On the committer's thread. What finds no room is delivered again by the broker, and known by its key. */
static void on_settled(void *ctx, struct job *job)
{
    struct intake *in = ctx;
    if (!mailbox_push(in->settled, job->delivery_tag, &job->letter))
        job_destroy(job);
}

static bool bury(struct intake *in, struct view body, const char *reason, uint64_t delivery_tag,
                 struct err *err)
{
    count(METER_INTAKE_POISON, 1);
    log_warn("intake_poison", "text=\"%s\" bytes=%zu", reason, body.n);
    buf_clear(&in->letter);
    foreign_dead_letter(body, reason, INTAKE_QUEUE, clock_wall_ms(), &in->letter);
    struct broker_message message = {.exchange = VIEW(""),
                                     .routing_key = VIEW(DEAD_LETTER_QUEUE),
                                     .body = buf_view(&in->letter),
                                     .persistent = true,
                                     .mandatory = true};
    uint64_t tag;
    if (!broker_publish(in->broker, &message, &tag, err))
        return false;
    in->burials[in->burial_count++] = (struct burial){tag, delivery_tag};
    return true;
}

static bool on_confirm(struct intake *in, uint64_t tag, bool multiple, struct err *err)
{
    for (size_t i = 0; i < in->burial_count;) {
        struct burial b = in->burials[i];
        if (b.confirm_tag != tag && !(multiple && b.confirm_tag < tag)) {
            i++;
            continue;
        }
        in->burials[i] = in->burials[--in->burial_count];
        if (!broker_ack(in->broker, b.delivery_tag, false, err))
            return false;
    }
    return true;
}

static bool take_delivery(struct intake *in, const struct broker_message *m, struct err *err)
{
    struct err why = {0};
    struct job *job = job_create(JOB_COMMAND, 0);
    uint64_t tag = m->delivery_tag;
    job->on_settled = on_settled;
    job->settled_ctx = in;
    job->delivery_tag = tag;
    job->connection = in->connection;
    switch (foreign_read(m->body, m->message_id, m->redelivered, job, &why)) {
    case FOREIGN_EVENT:
        if (mailbox_push_wait(jobs_writes(in->jobs), map_hash(view_of(job->tenant_id)), &job->letter,
                              PUSH_MS))
            return true;
        job_destroy(job);
        count(METER_INTAKE_RETRIED, 1);
        return broker_reject(in->broker, tag, true, err);
    case FOREIGN_OWN:
        job_destroy(job);
        count(METER_INTAKE_OWN, 1);
        return broker_ack(in->broker, tag, false, err);
    case FOREIGN_POISON:
        job_destroy(job);
        return bury(in, m->body, why.text, tag, err);
    }
    return true;
}

/* The committer's word about one event. */
static bool settle(struct intake *in, struct job *job, struct err *err)
{
    if (job->connection != in->connection)
        return true; /* the broker has taken it back already */
    if (err_is_transient(&job->err)) {
        count(METER_INTAKE_RETRIED, 1);
        nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000L}, NULL);
        return broker_reject(in->broker, job->delivery_tag, true, err);
    }
    if (job->err.code)
        return bury(in, (struct view){job->body, job->body_n}, job->err.text, job->delivery_tag, err);
    count(METER_INTAKE, 1);
    return broker_ack(in->broker, job->delivery_tag, false, err);
}

static bool settle_all(struct intake *in, struct err *err)
{
    bool ok = true;
    for (struct letter *l = mailbox_drain(in->settled, PREFETCH), *next; l; l = next) {
        next = l->next;
        ok = ok && settle(in, job_of(l), err);
        job_destroy(job_of(l));
    }
    return ok;
}

static bool listen(struct intake *in, struct err *err)
{
    struct broker_event event;
    switch (broker_next(in->broker, POLL_MS, mailbox_fd(in->settled), &event, err)) {
    case BROKER_DELIVERY:
        return take_delivery(in, &event.message, err);
    case BROKER_ACK:
        return on_confirm(in, event.tag, event.multiple, err);
    case BROKER_NACK:
    case BROKER_RETURN:
        return err_set(err, ERR_UNAVAILABLE, "a dead letter was not taken");
    case BROKER_CANCELLED:
        return err_set(err, ERR_UNAVAILABLE, "the queue is gone");
    case BROKER_CLOSED:
        return false;
    case BROKER_NOTHING:
    case BROKER_BLOCKED:
    case BROKER_UNBLOCKED:
        break;
    }
    return true;
}

static bool connect_broker(struct intake *in, struct err *err)
{
    struct broker_queue letters = {.name = DEAD_LETTER_QUEUE, .durable = true};
    struct broker_queue queue = {.name = INTAKE_QUEUE, .durable = true};
    in->connection++;
    in->burial_count = 0;
    return broker_open(in->broker, true, err) && broker_declare_queue(in->broker, &letters, err) &&
           broker_declare_queue(in->broker, &queue, err) &&
           broker_consume(in->broker, INTAKE_QUEUE, PREFETCH, err);
}

static void pause_for(struct worker *worker, int ms)
{
    for (int left = ms; left > 0 && !worker_stopping(worker); left -= 100)
        nanosleep(&(struct timespec){.tv_nsec = (left < 100 ? left : 100) * 1000000L}, NULL);
}

/* Without this queue the rest of the service works; so a queue that somebody declared otherwise is said, and
 * left. */
static void reconnect(struct intake *in, struct worker *worker)
{
    struct err err;
    pause_for(worker, in->failed ? backoff_next_ms(&in->backoff) : 0);
    if (worker_stopping(worker))
        return;
    bool up = connect_broker(in, &err);
    metric_set(&meters[METER_INTAKE_UP], up);
    if (up) {
        in->since_ms = clock_mono_ms();
        in->said = (struct err){0};
        return;
    }
    if (strcmp(err.text, in->said.text) != 0)
        log_warn("intake_connect", "code=%s text=\"%s\"", err_code_name(err.code), err.text);
    in->said = err;
    broker_close(in->broker);
    in->failed = true;
}

void intake_run(struct worker *worker, void *ctx)
{
    struct intake *in = ctx;
    struct err err;
    while (!worker_stopping(worker)) {
        if (!broker_is_open(in->broker)) {
            reconnect(in, worker);
            continue;
        }
        if (listen(in, &err) && settle_all(in, &err))
            continue;
        log_warn("intake_disconnected", "code=%s text=\"%s\"", err_code_name(err.code), err.text);
        metric_set(&meters[METER_INTAKE_UP], 0);
        broker_close(in->broker);
        backoff_lasted(&in->backoff, clock_mono_ms() - in->since_ms);
        in->failed = true;
    }
}
