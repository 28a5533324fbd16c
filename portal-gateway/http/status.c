/* /healthz, /readyz and /metrics. */
#include "portal-gateway/core/meters.h"
#include "portal-gateway/http/endpoint_parts.h"
#include "shared/json.h"

enum { METRICS_BYTES_MAX = 256 * 1024 };

void status_healthz(struct endpoint *e, const struct request *r)
{
    answer(e, r, 200, "application/json", VIEW("{\"status\":\"alive\"}"));
}

void status_readyz(struct endpoint *e, const struct request *r)
{
    const struct hub *h = e->options.hub;
    bool ready = hub_is_ready(h) && !e->draining;
    struct json_writer w;
    struct buf b;
    buf_init(&b, 1024);
    jw_init(&w, &b);
    jw_begin(&w, '{');
    jw_key_bool(&w, "ready", ready);
    jw_key_text(&w, "feed", h->feed_up ? "consuming" : "away");
    jw_key_text(&w, "stateManager", h->heads_fresh ? "answering" : h->heads_once ? "away" : "never answered");
    jw_key_bool(&w, "draining", e->draining);
    jw_key_i64(&w, "sessions", (int64_t)hub_session_count(h));
    jw_key_i64(&w, "tenants", (int64_t)h->tenants.count);
    jw_end(&w, '}');
    answer(e, r, ready ? 200 : 503, "application/json", buf_view(&b));
    buf_free(&b);
}

void status_metrics(struct endpoint *e, const struct request *r)
{
    struct buf b;
    buf_init(&b, METRICS_BYTES_MAX);
    metrics_render(gateway_meters, METER_COUNT, &b);
    metrics_render(close_meters, CLOSE_REASON_COUNT, &b);
    answer(e, r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_view(&b));
    buf_free(&b);
}
