#include "state-manager/rpc/responder.h"
#include "shared/backoff.h"
#include "shared/broker.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/meters.h"
#include "state-manager/rpc/answers.h"
#include "state-manager/rpc/commands.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { READS = 32, POLL_MS = 250 };

struct responder {
    struct broker *broker;
    struct store *store;
    const struct profiles *profiles;
    struct commands *commands;
    int prefetch;   /* all commands that may be under way, and some reads that never wait behind them */
    int connection; /* counts them: tags of an older one mean nothing */
    bool blocked;   /* the broker's alarm: no answer gets out */
    struct backoff backoff;
    struct buf answer;
    atomic_bool connected;
    bool failed;      /* ever: who tries for the first time does not wait */
    int64_t since_ms; /* monotonic: when the connection was made */
    struct err said;  /* the last reason for having no connection; it may come many times */
};

struct responder *responder_create(const struct responder_options *options, struct err *err)
{
    struct responder *r = xcalloc(1, sizeof *r);
    struct commands_options commands = {options->jobs, options->commands_max, options->command_body_max,
                                        options->profiles};
    r->store = options->store;
    r->profiles = options->profiles;
    r->commands = commands_create(&commands);
    r->prefetch = (int)commands_most(r->commands) + READS;
    backoff_init(&r->backoff, 200, 2500);
    buf_init(&r->answer, ANSWER_MAX);
    atomic_init(&r->connected, false);
    r->broker = broker_create(options->amqp_url, "state-manager rpc", err);
    if (!r->broker) {
        responder_destroy(r);
        return NULL;
    }
    return r;
}

void responder_destroy(struct responder *r)
{
    if (!r)
        return;
    broker_destroy(r->broker);
    commands_destroy(r->commands);
    store_close(r->store);
    buf_free(&r->answer);
    free(r);
}

bool responder_connected(const struct responder *r)
{
    return atomic_load(&r->connected);
}

static bool connect_broker(struct responder *r, struct err *err)
{
    struct broker_queue queue = {.name = RPC_QUEUE, .durable = true};
    r->connection++;
    r->blocked = false;
    return broker_open(r->broker, false, err) && broker_declare_queue(r->broker, &queue, err) &&
           broker_consume(r->broker, RPC_QUEUE, r->prefetch, err);
}

/* Publishes r->answer. One that cannot be delivered is nobody's loss: the gateway asks again. */
static bool send_answer(struct responder *r, struct view reply_to, struct view correlation_id,
                        uint64_t delivery_tag, struct err *err)
{
    struct broker_message message = {.exchange = VIEW(""),
                                     .routing_key = reply_to,
                                     .correlation_id = correlation_id,
                                     .body = buf_view(&r->answer)};
    bool ok = !reply_to.n || broker_publish(r->broker, &message, NULL, err);
    count(METER_RPC_CALLS, 1);
    return ok && broker_ack(r->broker, delivery_tag, false, err);
}

/* A read is answered at once, a command when it is settled. */
static bool take_request(struct responder *r, const struct broker_message *m, struct err *err)
{
    struct err why = {0};
    struct view request;
    bool readable = json_check(m->body, JSON_STRICT, &request, &why);
    if (readable && !commands_is_one(request))
        rpc_answer(&(struct answering){r->store, r->profiles, clock_wall_ms()}, request, &r->answer);
    else if (readable && commands_submit(r->commands, request, m, r->connection, &why))
        return true;
    else
        rpc_refuse(&why, &r->answer);
    return send_answer(r, m->reply_to, m->correlation_id, m->delivery_tag, err);
}

/* The committer's word about a command. */
static bool on_settled(void *ctx, const struct settled *s, struct err *err)
{
    struct responder *r = ctx;
    if (s->connection != r->connection)
        return true; /* the broker has taken it back already, and gives it to somebody again */
    if (s->job->err.code)
        rpc_refuse(&s->job->err, &r->answer);
    else
        rpc_reply(buf_view(&s->job->reply), &r->answer);
    return send_answer(r, s->reply_to, s->correlation_id, s->delivery_tag, err);
}

static void set_connected(struct responder *r, bool connected)
{
    atomic_store(&r->connected, connected);
    metric_set(&meters[METER_RPC_UP], connected);
}

static bool listen(struct responder *r, struct err *err)
{
    struct broker_event event;
    int wake_fd = r->blocked ? -1 : commands_fd(r->commands);
    enum broker_happening what = broker_next(r->broker, POLL_MS, wake_fd, &event, err);
    switch (what) {
    case BROKER_DELIVERY:
        return take_request(r, &event.message, err);
    case BROKER_CANCELLED:
        return err_set(err, ERR_UNAVAILABLE, "the queue is gone");
    case BROKER_CLOSED:
        return false;
    case BROKER_BLOCKED:
    case BROKER_UNBLOCKED:
        r->blocked = what == BROKER_BLOCKED;
        set_connected(r, !r->blocked);
        return true;
    case BROKER_NOTHING:
    case BROKER_ACK:
    case BROKER_NACK:
    case BROKER_RETURN:
        return true;
    }
    return true;
}

static bool serve(struct responder *r, struct err *err)
{
    return listen(r, err) && (r->blocked || commands_settle(r->commands, on_settled, r, err));
}

static void pause_before_retry(struct responder *r, struct worker *worker)
{
    for (int left = r->failed ? backoff_next_ms(&r->backoff) : 0; left > 0 && !worker_stopping(worker);
         left -= 100)
        nanosleep(&(struct timespec){.tv_nsec = (left < 100 ? left : 100) * 1000000L}, NULL);
}

void responder_run(struct worker *worker, void *ctx)
{
    struct responder *r = ctx;
    struct err err;
    while (!worker_stopping(worker)) {
        bool ok;
        if (broker_is_open(r->broker)) {
            ok = serve(r, &err);
        } else {
            pause_before_retry(r, worker);
            ok = worker_stopping(worker) || connect_broker(r, &err);
            r->since_ms = clock_mono_ms();
            set_connected(r, ok);
            if (ok)
                r->said = (struct err){0};
        }
        if (ok)
            continue;
        if (strcmp(err.text, r->said.text) != 0)
            log_warn("rpc_disconnected", "code=%s text=\"%s\"", err_code_name(err.code), err.text);
        r->said = err;
        set_connected(r, false);
        broker_close(r->broker);
        backoff_lasted(&r->backoff, clock_mono_ms() - r->since_ms);
        r->failed = true;
    }
}
