/* Alive, ready, metrics. Ready means that it really stores, publishes and answers gateways right now. */
#include "shared/json.h"
#include "state-manager/http/handlers.h"
#include "state-manager/meters.h"

static const char *const part_names[PART_COUNT] = {
    [PART_STORE] = "store", [PART_RELAY] = "broker", [PART_RPC] = "rpc"};

void health_alive(struct call *c)
{
    api_answer(c, 200, "text/plain", VIEW("ok\n"));
}

void health_ready(struct call *c)
{
    struct buf body;
    struct json_writer w;
    bool ready = !c->api->draining;
    for (int part = 0; part < PART_COUNT; part++)
        ready = ready && c->api->part_works(c->api->parts_ctx, part);
    buf_init(&body, 1024);
    jw_init(&w, &body);
    jw_begin(&w, '{');
    jw_key_bool(&w, "ready", ready);
    jw_key_bool(&w, "draining", c->api->draining);
    for (int part = 0; part < PART_COUNT; part++)
        jw_key_bool(&w, part_names[part], c->api->part_works(c->api->parts_ctx, part));
    jw_end(&w, '}');
    api_answer(c, ready ? 200 : 503, "application/json", buf_view(&body));
    buf_free(&body);
}

void health_metrics(struct call *c)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    metric_set(&meters[METER_STORE_UP], c->api->part_works(c->api->parts_ctx, PART_STORE));
    metrics_render(meters, METER_COUNT, &body);
    api_answer(c, 200, "text/plain; version=0.0.4", buf_view(&body));
    buf_free(&body);
}
