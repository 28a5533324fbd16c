#include "portal-gateway/app.h"
#include "portal-gateway/advertise.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/feed/consumer.h"
#include "portal-gateway/feed/rpc.h"
#include "portal-gateway/http/assets.h"
#include "portal-gateway/http/endpoint.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/mem.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    DRAIN_STEP_MS = 50,
    DRAIN_GRACE_MS = 3000, /* for close handshakes, after the window */
    LEEWAY_S = 60,
    BEAT_BYTES_MAX = 1024,
    EXCHANGE_NAME_MAX = 256
};

struct app {
    const struct settings *settings;
    struct loop *loop;
    struct token_rules *rules;
    struct assets *assets;
    struct bundle *bundle;
    struct hub *hub;
    struct consumer *consumer;
    struct rpc *rpc;
    struct endpoint *endpoint;
    struct loop_timer *drain_timer;
    int64_t drain_since_ms; /* 0: not draining */
    char gateway_id[24];
    char *beats_exchange; /* NULL: no secret to know other gateways by */
    struct peer_keys keys;
    struct beat beat; /* what we say about ourselves */
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

static void beat(void *ctx, enum beat_state state)
{
    struct app *app = ctx;
    struct buf body;
    buf_init(&body, BEAT_BYTES_MAX);
    app->beat.state = state;
    beat_write(&body, &app->beat, &app->keys, clock_wall_ms());
    rpc_beat(app->rpc, buf_view(&body));
    buf_free(&body);
}

static void hear_beats(void *ctx)
{
    consumer_bind_beats(((struct app *)ctx)->consumer);
}

static void ask_replay(void *ctx, const char *tenant_id, const struct position *after)
{
    rpc_ask_replay(((struct app *)ctx)->rpc, tenant_id, after);
}

static void ask_past(void *ctx, const char *tenant_id, const struct position *after)
{
    rpc_ask_past(((struct app *)ctx)->rpc, tenant_id, after);
}

static void ask(void *ctx, const char *tenant_id, uint64_t token, struct view request)
{
    rpc_ask(((struct app *)ctx)->rpc, tenant_id, token, request);
}

static void publish(void *ctx, const char *tenant_id, const char *type, struct view body)
{
    rpc_publish(((struct app *)ctx)->rpc, tenant_id, type, body);
}

/* --- drain --- */

/* Closes an even share of what is left, so that not all clients come back to the others at once. */
static void on_drain_step(void *ctx)
{
    struct app *app = ctx;
    size_t sessions = hub_session_count(app->hub), tunnels = endpoint_tunnels(app->endpoint);
    size_t left = sessions + tunnels;
    int64_t spent = loop_now_ms(app->loop) - app->drain_since_ms, window = app->settings->drain_s * 1000;
    if (!left || spent > window + DRAIN_GRACE_MS) {
        log_info("drained", "left=%zu", left);
        loop_timer_stop(app->drain_timer); /* the loop turns on while the endpoint ends */
        loop_stop(app->loop);
        return;
    }
    int64_t steps = spent < window ? (window - spent) / DRAIN_STEP_MS + 1 : 1;
    hub_drain(app->hub, sessions / (size_t)steps + 1);
    endpoint_drain_tunnels(app->endpoint, tunnels / (size_t)steps + 1);
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
    bool open = s->policy.conformance && !*s->jwt_secret;
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

/* The secret by which gateways know each other. Where tokens are signed with a key that we do not have, there
 * is none unless it is given. */
static void know_peers(struct app *app)
{
    const struct settings *s = app->settings;
    bool shared = !strcmp(s->jwt_alg, "HS256");
    bool own = *s->relay_secret;
    peer_keys_derive(&app->keys,
                     own      ? s->relay_secret
                     : shared ? s->jwt_secret
                              : "",
                     own || !shared ? "" : s->jwt_secret_previous);
    if (!app->keys.has_current) {
        log_info("relay_off", "why=\"no RELAY_SECRET: sessions can be recovered at their own gateway only\"");
        return;
    }
    struct buf name;
    buf_init(&name, EXCHANGE_NAME_MAX);
    buf_addf(&name, "%s.gateways", s->exchange);
    app->beats_exchange = buf_detach(&name, NULL);
}

struct app *app_create(const struct settings *settings, struct err *err)
{
    struct app *app = xcalloc(1, sizeof *app);
    app->settings = settings;
    crypto_random_id("gw", app->gateway_id);
    app->rules = make_rules(settings, err);
    app->assets = app->rules ? assets_load(settings->www_dir, err) : NULL;
    app->bundle = app->assets ? bundle_load(settings->client_dir, err) : NULL;
    if (!app->bundle) {
        app_destroy(app);
        return NULL;
    }
    app->loop = loop_create();
    know_peers(app);
    app->hub = hub_create(app->loop, &settings->policy, app->rules);
    if (app->keys.has_current)
        hub_share_pids(app->hub, &app->keys);
    app->drain_timer = loop_timer_create(app->loop, on_drain_step, app);
    return app;
}

/* What the others are told about us. */
static bool introduce(struct app *app, struct err *err)
{
    const struct settings *s = app->settings;
    memcpy(app->beat.gateway, app->gateway_id, sizeof app->gateway_id);
    memcpy(app->beat.tag, app->hub->peers.tag, sizeof app->beat.tag);
    return !app->beats_exchange ||
           advertise_find(s->advertise_url, s->host, endpoint_port(app->endpoint), &app->beat, err);
}

bool app_start(struct app *app, struct err *err)
{
    const struct settings *s = app->settings;
    struct consumer_options feed = {.url = s->amqp_url,
                                    .exchange = s->exchange,
                                    .gateway_id = app->gateway_id,
                                    .queue_messages = s->queue_messages,
                                    .queue_bytes = s->queue_bytes,
                                    .beats_exchange = app->beats_exchange,
                                    .keys = &app->keys,
                                    .inbox = hub_inbox(app->hub)};
    struct rpc_options rpc = {.url = s->amqp_url,
                              .gateway_id = app->gateway_id,
                              .exchange = s->exchange,
                              .beats_exchange = app->beats_exchange,
                              .inbox = hub_inbox(app->hub)};
    struct endpoint_options endpoint = {.host = s->host,
                                        .port = (int)s->port,
                                        .allowed_origins = s->allowed_origins,
                                        .max_connections = (size_t)s->max_connections,
                                        .hub = app->hub,
                                        .keys = &app->keys,
                                        .proxies = &s->proxies,
                                        .arrival_rate = s->arrival_rate,
                                        .assets = app->assets,
                                        .bundle = app->bundle};
    struct upstream upstream = {.ctx = app,
                                .bind = bind,
                                .unbind = unbind,
                                .bind_all = bind_all,
                                .ask_heads = ask_heads,
                                .ask_replay = ask_replay,
                                .ask_past = ask_past,
                                .ask = ask,
                                .publish = publish,
                                .beat = app->beats_exchange ? beat : NULL,
                                .hear_beats = hear_beats};
    loop_on_signal(app->loop, SIGTERM, on_stop_signal, app);
    loop_on_signal(app->loop, SIGINT, on_stop_signal, app);
    app->endpoint = endpoint_create(app->loop, &endpoint, err);
    if (!app->endpoint || !introduce(app, err))
        return false;
    app->rpc = rpc_start(&rpc, err);
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
    if (app->rpc)
        hub_leave(app->hub);
    /* The endpoint turns the loop until all its connections are closed. */
    loop_timer_destroy(app->drain_timer);
    endpoint_destroy(app->endpoint);
    consumer_stop(app->consumer);
    rpc_stop(app->rpc);
    hub_destroy(app->hub);
    if (app->loop)
        loop_destroy(app->loop);
    bundle_destroy(app->bundle);
    assets_destroy(app->assets);
    token_rules_destroy(app->rules);
    free(app->beats_exchange);
    free(app);
}
