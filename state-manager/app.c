#include "state-manager/app.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/committer.h"
#include "state-manager/http/api.h"
#include "state-manager/intake/intake.h"
#include "state-manager/jobs.h"
#include "state-manager/outbox/relay.h"
#include "state-manager/reader.h"
#include "state-manager/rpc/responder.h"
#include "state-manager/store/open.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    DRAIN_CHECK_MS = 50,
    DRAIN_MAX_MS = 5000, /* calls that the store has not answered by then are cut off */
    HEAD_TIMEOUT_MS = 10000,
    BODY_TIMEOUT_MS = 30000
};

struct app {
    const struct settings *settings;
    struct loop *loop;
    struct token_rules *rules;
    struct jobs *jobs;
    struct committer *committer;
    struct reader *reader;
    struct relay *relay;
    struct responder *responder;
    struct intake *intake;
    struct server *server;
    struct api api;
    struct worker *workers[5];
    struct loop_timer *drain_timer;
    int64_t drain_until_ms;
};

static bool part_works(void *ctx, int part)
{
    const struct app *app = ctx;
    switch ((enum api_part)part) {
    case PART_STORE:
        return committer_healthy(app->committer);
    case PART_RELAY:
        return relay_connected(app->relay);
    case PART_RPC:
        return responder_connected(app->responder);
    case PART_COUNT:
        break;
    }
    return false;
}

static bool make_rules(struct app *app, struct err *err)
{
    const struct settings *s = app->settings;
    struct token_options options = {.algorithm = s->jwt_alg,
                                    .secret = s->jwt_secret,
                                    .secret_previous = s->jwt_secret_previous,
                                    .public_keys = s->jwt_public_keys,
                                    .issuer = s->jwt_issuer,
                                    .audience = s->jwt_audience,
                                    .leeway_s = 30};
    app->rules = token_rules_create(&options, err);
    return app->rules != NULL;
}

/* The parts that need the store; each gets a handle of its own. The writer comes first: it takes the lock. */
static bool make_store_parts(struct app *app, struct err *err)
{
    const struct settings *s = app->settings;
    struct store *writer = store_open(s->store_url, STORE_WRITER, err), *for_reads, *for_relay, *for_rpc;
    if (!writer)
        return false;
    /* The relay comes to life below, but nobody calls the committer before the workers start. */
    for_relay = store_open(s->store_url, STORE_READER, err);
    struct relay_options relay = {s->amqp_url, s->events_exchange, for_relay, app->jobs};
    app->relay = for_relay ? relay_create(&relay, err) : NULL;
    struct keeper_options housekeeping = {.every_s = s->housekeeping_seconds,
                                          .log_days = s->event_retention_days,
                                          .log_events = s->event_retention_count,
                                          .raw_days = s->raw_retention_days,
                                          .raw_count = s->raw_retention_count,
                                          .reply_hours = s->reply_retention_hours,
                                          .quarantine_days = s->quarantine_retention_days,
                                          .revocation_days = s->revocation_retention_days};
    app->committer = committer_create(writer, app->jobs, &housekeeping, relay_nudge, app->relay);
    if (!app->relay)
        return false;
    for_reads = store_open(s->store_url, STORE_READER, err);
    if (!for_reads)
        return false;
    app->reader = reader_create(for_reads, app->jobs);
    for_rpc = store_open(s->store_url, STORE_READER, err);
    if (!for_rpc)
        return false;
    struct responder_options rpc = {.amqp_url = s->amqp_url,
                                    .store = for_rpc,
                                    .jobs = app->jobs,
                                    .profiles = s->profiles,
                                    .commands_max = (size_t)s->queue_length,
                                    .command_body_max = (size_t)s->max_body_bytes};
    app->responder = responder_create(&rpc, err);
    app->intake = app->responder ? intake_create(s->amqp_url, app->jobs, err) : NULL;
    return app->intake != NULL;
}

static bool make_server(struct app *app, struct err *err)
{
    static const struct server_handler handler = {
        .on_request = api_on_request, .on_gone = api_on_gone, .origin_may_read = api_origin_may_read};
    const struct settings *s = app->settings;
    int64_t max_body = s->max_webhook_bytes > s->max_body_bytes ? s->max_webhook_bytes : s->max_body_bytes;
    struct server_options options = {.host = s->host,
                                     .port = (int)s->port,
                                     .max_body = (size_t)max_body,
                                     .max_connections = (size_t)s->max_connections,
                                     .arrival_rate = s->arrival_rate,
                                     .head_timeout_ms = HEAD_TIMEOUT_MS,
                                     .body_timeout_ms = BODY_TIMEOUT_MS,
                                     .server_name = "portalcast",
                                     .handler = &handler,
                                     .ctx = &app->api};
    app->server = server_create(app->loop, &options, err);
    app->api.server = app->server;
    return app->server != NULL;
}

static void start_workers(struct app *app)
{
    app->workers[0] = worker_start("committer", committer_run, app->committer);
    app->workers[1] = worker_start("reader", reader_run, app->reader);
    app->workers[2] = worker_start("relay", relay_run, app->relay);
    app->workers[3] = worker_start("rpc", responder_run, app->responder);
    app->workers[4] = worker_start("intake", intake_run, app->intake);
}

static void on_drain_timer(void *ctx)
{
    struct app *app = ctx;
    if (!jobs_waiting(app->jobs) || loop_now_ms(app->loop) > app->drain_until_ms)
        loop_stop(app->loop);
}

/* Stops taking connections, lets what was accepted be answered, then ends. */
static void on_stop_signal(void *ctx)
{
    struct app *app = ctx;
    log_info("stopping", "waiting=%zu", jobs_waiting(app->jobs));
    app->api.draining = true;
    server_stop_listening(app->server);
    app->drain_until_ms = loop_now_ms(app->loop) + DRAIN_MAX_MS;
    loop_timer_start(app->drain_timer, DRAIN_CHECK_MS, DRAIN_CHECK_MS);
}

struct app *app_create(const struct settings *settings, struct err *err)
{
    struct app *app = xcalloc(1, sizeof *app);
    app->settings = settings;
    app->loop = loop_create();
    app->drain_timer = loop_timer_create(app->loop, on_drain_timer, app);
    struct jobs_options jobs = {.queue_length = (size_t)settings->queue_length,
                                .timeout_ms = (int)settings->request_timeout_ms,
                                .share = settings->tenant_share,
                                .on_done = api_on_done,
                                .on_late = api_on_late,
                                .ctx = &app->api};
    app->jobs = jobs_create(app->loop, &jobs);
    app->api =
        (struct api){.settings = settings, .jobs = app->jobs, .part_works = part_works, .parts_ctx = app};
    if (!make_rules(app, err) || !make_store_parts(app, err))
        goto fail;
    app->api.rules = app->rules;
    if (!make_server(app, err))
        goto fail;
    loop_on_signal(app->loop, SIGTERM, on_stop_signal, app);
    loop_on_signal(app->loop, SIGINT, on_stop_signal, app);
    start_workers(app);
    return app;
fail:
    app_destroy(app);
    return NULL;
}

void app_run(struct app *app)
{
    const char *store = app->settings->store_url; /* the rest of it may hold a password */
    log_info("listening", "host=%s port=%d store=%.*s version=%s", app->settings->host,
             server_port(app->server), (int)strcspn(store, ":"), store, VERSION);
    loop_run(app->loop);
    log_info("stopped", "%s", "");
}

void app_destroy(struct app *app)
{
    if (!app)
        return;
    server_destroy(app->server);
    for (size_t i = 0; i < countof(app->workers); i++)
        if (app->workers[i])
            worker_stop(app->workers[i]);
    if (app->relay)
        relay_wake(app->relay);
    for (size_t i = 0; i < countof(app->workers); i++)
        worker_destroy(app->workers[i]);
    intake_destroy(app->intake);
    responder_destroy(app->responder);
    reader_destroy(app->reader);
    relay_destroy(app->relay);
    committer_destroy(app->committer); /* the writer's handle is the last: it leaves a store without a log */
    jobs_destroy(app->jobs);
    token_rules_destroy(app->rules);
    loop_timer_destroy(app->drain_timer);
    loop_destroy(app->loop);
    free(app);
}
