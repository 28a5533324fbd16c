#include "state-manager/rpc/responder.h"
#include "shared/backoff.h"
#include "shared/broker.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/meters.h"
#include "state-manager/rpc/answers.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PREFETCH = 16, POLL_MS = 250 };

struct responder {
    struct broker *broker;
    struct store *store;
    struct backoff backoff;
    struct buf answer;
    atomic_bool connected;
    bool failed;     /* since the last answer */
    struct err said; /* the last reason for having no connection; it may come many times */
};

struct responder *responder_create(const char *amqp_url, struct store *store, struct err *err)
{
    struct responder *r = xcalloc(1, sizeof *r);
    r->store = store;
    backoff_init(&r->backoff, 200, 5000);
    buf_init(&r->answer, ANSWER_MAX);
    atomic_init(&r->connected, false);
    r->broker = broker_create(amqp_url, "state-manager rpc", err);
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
    return broker_open(r->broker, false, err) && broker_declare_queue(r->broker, &queue, err) &&
           broker_consume(r->broker, RPC_QUEUE, PREFETCH, err);
}

/* An answer that cannot be delivered is nobody's loss: the gateway asks again. */
static bool answer_one(struct responder *r, const struct broker_message *request, struct err *err)
{
    uint64_t tag = request->delivery_tag;
    rpc_answer(r->store, request->body, clock_wall_ms(), &r->answer);
    struct broker_message message = {.exchange = VIEW(""),
                                     .routing_key = request->reply_to,
                                     .correlation_id = request->correlation_id,
                                     .body = buf_view(&r->answer)};
    bool ok = !request->reply_to.n || broker_publish(r->broker, &message, NULL, err);
    count(METER_RPC_CALLS, 1);
    return ok && broker_ack(r->broker, tag, false, err);
}

static void set_connected(struct responder *r, bool connected)
{
    atomic_store(&r->connected, connected);
    metric_set(&meters[METER_RPC_UP], connected);
}

static bool serve(struct responder *r, struct err *err)
{
    struct broker_event event;
    enum broker_happening what = broker_next(r->broker, POLL_MS, -1, &event, err);
    switch (what) {
    case BROKER_DELIVERY:
        r->failed = false;
        backoff_reset(&r->backoff);
        return answer_one(r, &event.message, err);
    case BROKER_CANCELLED:
        return err_set(err, ERR_UNAVAILABLE, "the queue is gone");
    case BROKER_CLOSED:
        return false;
    case BROKER_BLOCKED: /* the broker's alarm: no answer gets out */
    case BROKER_UNBLOCKED:
        set_connected(r, what == BROKER_UNBLOCKED);
        return true;
    case BROKER_NOTHING:
    case BROKER_ACK:
    case BROKER_NACK:
    case BROKER_RETURN:
        return true;
    }
    return true;
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
        r->failed = true;
    }
}
