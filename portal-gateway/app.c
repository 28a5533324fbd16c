#include "portal-gateway/app.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/feed/consumer.h"
#include "portal-gateway/feed/rpc.h"
#include "portal-gateway/http/assets.h"
#include "portal-gateway/http/endpoint.h"
#include "shared/crypto.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/mem.h"
#include <signal.h>
#include <stdlib.h>

enum {
    DRAIN_STEP_MS = 50,
    DRAIN_GRACE_MS = 3000, /* for close handshakes, after the window */
    LEEWAY_S = 60
};

struct app {
    const struct settings *settings;
    struct loop *loop;
    struct token_rules *rules;
    struct assets *assets;
    struct hub *hub;
    struct consumer *consumer;
    struct rpc *rpc;
    struct endpoint *endpoint;
    struct loop_timer *drain_timer;
    int64_t drain_since_ms; /* 0: not draining */
    char gateway_id[24];
};

/* --- what the hub asks of the feed --- */

static void bind(void *ctx, const char *tenant_id)
{
    consumer_bind(((struct app *)ctx)->consumer, tenant_id);
}

static void unbind(void *ctx, const char *tenant_id)
{
    consumer_unbind(((struct app *)ctx)->consumer, tenant_id);
}

static void bind_all(void *ctx)
{
    consumer_bind_all(((struct app *)ctx)->consumer);
}

static void ask_heads(void *ctx, struct heads *heads)
{
    rpc_ask_heads(((struct app *)ctx)->rpc, heads);
}

static void ask_replay(void *ctx, const char *tenant_id, const struct position *after)
{
    rpc_ask_replay(((struct app *)ctx)->rpc, tenant_id, after);
}

/* --- drain --- */

/* Closes an even share of what is left, so that not all clients come back to the others at once. */
static void on_drain_step(void *ctx)
{
    struct app *app = ctx;
    size_t left = hub_session_count(app->hub);
    int64_t spent = loop_now_ms(app->loop) - app->drain_since_ms, window = app->settings->drain_s * 1000;
    if (!left || spent > window + DRAIN_GRACE_MS) {
        log_info("drained", "left=%zu", left);
        loop_stop(app->loop);
        return;
    }
    int64_t steps = spent < window ? (window - spent) / DRAIN_STEP_MS + 1 : 1;
    hub_drain(app->hub, left / (size_t)steps + 1);
}

static void on_stop_signal(void *ctx)
{
    struct app *app = ctx;
    if (app->drain_since_ms)
        return;
    app->drain_since_ms = loop_now_ms(app->loop);
    log_info("draining", "sessions=%zu seconds=%lld", hub_session_count(app->hub),
             (long long)app->settings->drain_s);
    endpoint_stop_accepting(app->endpoint);
    loop_timer_start(app->drain_timer, 0, DRAIN_STEP_MS);
}

/* --- life --- */

static struct token_rules *make_rules(const struct settings *s, struct err *err)
{
    /* The conformance profile asks for no tokens: without a secret its /ws lets nobody in. */
    char nobodys[64];
    bool open = s->policy.profile == PROFILE_CONFORMANCE && !*s->jwt_secret;
    crypto_random_id("nobody signs with this ", nobodys);
    struct token_options options = {.algorithm = s->jwt_alg,
                                    .secret = open ? nobodys : s->jwt_secret,
                                    .secret_previous = s->jwt_secret_previous,
                                    .public_keys = s->jwt_public_keys,
                                    .issuer = s->jwt_issuer,
                                    .audience = s->jwt_audience,
                                    .leeway_s = LEEWAY_S};
    return token_rules_create(&options, err);
}

struct app *app_create(const struct settings *settings, struct err *err)
{
    struct app *app = xcalloc(1, sizeof *app);
    app->settings = settings;
    crypto_random_id("gw", app->gateway_id);
    app->rules = make_rules(settings, err);
    app->assets = app->rules ? assets_load(settings->www_dir, err) : NULL;
    if (!app->assets) {
        app_destroy(app);
        return NULL;
    }
    app->loop = loop_create();
    app->hub = hub_create(app->loop, &settings->policy, app->rules);
    app->drain_timer = loop_timer_create(app->loop, on_drain_step, app);
    return app;
}

bool app_start(struct app *app, struct err *err)
{
    const struct settings *s = app->settings;
    struct consumer_options feed = {.url = s->amqp_url,
                                    .exchange = s->exchange,
                                    .gateway_id = app->gateway_id,
                                    .queue_messages = s->queue_messages,
                                    .queue_bytes = s->queue_bytes,
                                    .inbox = hub_inbox(app->hub)};
    struct endpoint_options endpoint = {.host = s->host,
                                        .port = (int)s->port,
                                        .allowed_origins = s->allowed_origins,
                                        .max_connections = (size_t)s->max_connections,
                                        .hub = app->hub,
                                        .assets = app->assets};
    struct upstream upstream = {.ctx = app,
                                .bind = bind,
                                .unbind = unbind,
                                .bind_all = bind_all,
                                .ask_heads = ask_heads,
                                .ask_replay = ask_replay};
    loop_on_signal(app->loop, SIGTERM, on_stop_signal, app);
    loop_on_signal(app->loop, SIGINT, on_stop_signal, app);
    app->endpoint = endpoint_create(app->loop, &endpoint, err);
    if (!app->endpoint)
        return false;
    app->rpc = rpc_start(s->amqp_url, app->gateway_id, hub_inbox(app->hub), err);
    app->consumer = app->rpc ? consumer_start(&feed, err) : NULL;
    if (!app->consumer)
        return false;
    hub_connect(app->hub, &upstream);
    log_info("listening", "host=%s port=%d gateway=%s", s->host, endpoint_port(app->endpoint),
             app->gateway_id);
    return true;
}

void app_run(struct app *app)
{
    loop_run(app->loop);
}

void app_destroy(struct app *app)
{
    if (!app)
        return;
    endpoint_destroy(app->endpoint);
    consumer_stop(app->consumer);
    rpc_stop(app->rpc);
    hub_destroy(app->hub);
    if (app->loop) {
        loop_timer_destroy(app->drain_timer);
        loop_destroy(app->loop);
    }
    assets_destroy(app->assets);
    token_rules_destroy(app->rules);
    free(app);
}
