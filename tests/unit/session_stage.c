#include "tests/unit/session_stage.h"
#include "portal-gateway/core/news.h"
#include "shared/clock.h"
#include "shared/mem.h"
#include "tests/unit/idle_upstream.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "kX2vQ9mTz7Lr4WcB8nYd6HsJ1pGf3aEu"

struct stage stage;

static size_t sink_write(void *link, const struct iovec *frames, size_t n)
{
    struct sink *k = link;
    size_t taken = n < k->takes ? n : k->takes;
    k->writes++;
    for (int64_t end = clock_mono_us() + stage.write_us; clock_mono_us() < end;)
        continue;
    for (size_t i = 0; i < taken; i++) {
        struct view left = {frames[i].iov_base, frames[i].iov_len};
        for (bool is_text; left.n; k->frames++) {
            buf_add_view(&k->text, frame_next(&left, &is_text));
            buf_add_char(&k->text, '\n');
        }
    }
    return taken;
}

static void sink_close(void *link, int code, const char *reason)
{
    struct sink *k = link;
    (void)reason;
    k->closed = true;
    k->code = code;
}

static void sink_slow(void *link, bool slow)
{
    ((struct sink *)link)->slowed = slow;
}

static const struct link_ops sink_ops = {.write = sink_write, .close = sink_close, .slow = sink_slow};

static void count_bind(void *ctx, const char *tenant_id)
{
    (void)ctx;
    (void)tenant_id;
    stage.binds++;
}

static void keep_past(void *ctx, const char *tenant_id, const struct position *after)
{
    (void)ctx;
    (void)tenant_id;
    stage.past_asked++;
    stage.past_after = *after;
}

static void keep_ask(void *ctx, const char *tenant_id, uint64_t token, struct view request)
{
    (void)ctx;
    (void)tenant_id;
    stage.asks++;
    stage.asked_token = token;
    buf_clear(&stage.asked);
    buf_add_view(&stage.asked, request);
}

static void keep_publish(void *ctx, const char *tenant_id, const char *type, struct view body)
{
    (void)ctx;
    (void)tenant_id;
    (void)type;
    stage.publishes++;
    buf_clear(&stage.published);
    buf_add_view(&stage.published, body);
}

void stage_set_up(void)
{
    struct err err;
    struct token_options options = {.algorithm = "HS256", .secret = SECRET, .issuer = "", .audience = ""};
    struct upstream upstream = {.bind = count_bind,
                                .unbind = ignore_tenant,
                                .bind_all = ignore_all,
                                .ask_heads = drop_heads,
                                .ask_replay = ignore_place,
                                .ask_past = keep_past,
                                .ask = keep_ask,
                                .publish = keep_publish,
                                .beat = ignore_beat,
                                .hear_beats = ignore_all};
    stage.policy = (struct policy){.agent_portal = true,
                                   .ping_interval_ms = 25000,
                                   .ping_timeout_ms = 20000,
                                   .connect_timeout_ms = 10000,
                                   .upgrade_timeout_ms = 10000,
                                   .token_warning_ms = 60000,
                                   .linger_ms = 60000,
                                   .heads_interval_ms = 5000,
                                   .max_payload = 1000000,
                                   .connections_per_user = 3,
                                   .ring_events = 4096,
                                   .ring_bytes = 1 << 24,
                                   .recovery_events = 5000,
                                   .recovery_bytes = 4000000,
                                   .pid_ms = 7 * 24 * 3600 * 1000,
                                   .lag_bytes = 1 << 20,
                                   .lag_ms = 30000,
                                   .bind_all_over = 1000,
                                   .recovery = true};
    stage.write_us = 0;
    stage.binds = stage.past_asked = stage.asks = stage.publishes = 0;
    stage.asked_token = 0;
    buf_init(&stage.asked, 512 << 10);
    buf_init(&stage.published, 64 << 10);
    stage.token_seconds = 3600;
    stage.token_tenant = "t1";
    stage.rules = token_rules_create(&options, &err);
    ck_assert_ptr_nonnull(stage.rules);
    stage.loop = loop_create();
    stage.hub = hub_create(stage.loop, &stage.policy, stage.rules);
    hub_connect(stage.hub, &upstream);
}

void stage_tear_down(void)
{
    buf_free(&stage.asked);
    buf_free(&stage.published);
    hub_destroy(stage.hub);
    loop_destroy(stage.loop);
    token_rules_destroy(stage.rules);
}

char *token_of(const char *sub, const char *more)
{
    char claims[512];
    struct err err;
    int64_t now = clock_wall_ms() / 1000;
    snprintf(claims, sizeof claims, "{\"tenantId\":\"%s\",\"sub\":\"%s\",\"iat\":%lld,\"exp\":%lld%s%s}",
             stage.token_tenant, sub, (long long)now, (long long)now + stage.token_seconds,
             strstr(more, "\"role\"") ? "" : ",\"role\":\"agent\"", more);
    return token_sign_hs256(SECRET, claims, &err);
}

struct sink *opened(const struct protocol *protocol)
{
    struct sink *k = xcalloc(1, sizeof *k);
    k->takes = SIZE_MAX;
    buf_init(&k->text, SINK_BYTES);
    k->session = session_create(stage.hub, protocol, NULL);
    session_on_open(k->session, &sink_ops, k);
    return k;
}

void gone(struct sink *k)
{
    session_gone(k->session);
    buf_free(&k->text);
    free(k);
}

void say(struct sink *k, const char *message)
{
    session_on_message(k->session, view_of(message), true);
    while (k->session && k->session->words) /* another stranger was heard in this turn */
        run_for(0);
}

void forget_output(struct sink *k)
{
    buf_clear(&k->text);
    k->writes = k->frames = 0;
}

const char *asked(void)
{
    return stage.asked.data ? stage.asked.data : "";
}

const char *heard(const struct sink *k)
{
    return k->text.data ? k->text.data : "";
}

int times_heard(const struct sink *k, const char *text)
{
    int n = 0;
    for (const char *at = heard(k); (at = strstr(at, text)); at++)
        n++;
    return n;
}

void sign_in(struct sink *k, const char *sub, const char *more)
{
    struct buf b;
    char *token = token_of(sub, more);
    bool sio = k->session->protocol == &protocol_sio;
    buf_init(&b, 4096);
    buf_addf(&b, sio ? "40{\"token\":\"%s\"}" : "{\"type\":\"auth\",\"token\":\"%s\"}", token);
    say(k, b.data);
    buf_free(&b);
    free(token);
}

void settle(uint64_t token, const char *text)
{
    asks_settle(&stage.hub->asks, token, view_of(text));
}

void answer_heads(const struct position *asked, const char *epoch, uint64_t seq)
{
    struct news *n = news_create(NEWS_HEADS, NULL);
    n->heads = heads_create(1);
    n->heads->count = 1;
    struct head *item = &n->heads->items[0];
    *item = (struct head){.tenant_id = "t1", .asked = *asked, .head = {"", seq}, .answered = true};
    snprintf(item->head.epoch, sizeof item->head.epoch, "%s", epoch);
    stage.hub->heads_out++;
    news_take(stage.hub, n);
}

void place(const char *epoch, uint64_t seq)
{
    answer_heads(&(struct position){"", 0}, epoch, seq);
}

static struct record *record_of(const char *body)
{
    struct err err = {0};
    struct record *r = record_create(view_of(body), &err);
    ck_assert_msg(r != NULL, "%s", err.text);
    return r;
}

static struct record *event(uint64_t seq, const char *type, const char *more)
{
    char body[512];
    if (seq)
        snprintf(body, sizeof body,
                 "{\"type\":\"%s\",\"tenantId\":\"t1\",\"epoch\":\"e\",\"seq\":%d%s,\"data\":%d}", type,
                 (int)seq, more, (int)seq);
    else
        snprintf(body, sizeof body, "{\"type\":\"%s\",\"tenantId\":\"t1\"%s,\"data\":0}", type, more);
    return record_of(body);
}

struct tenant *t1(void)
{
    return map_get(&stage.hub->tenants, VIEW("t1"));
}

void flush(void)
{
    while (tenant_flush(t1(), SIZE_MAX))
        ;
}

struct record *stream_of(uint64_t seq, size_t count, const char *type, const char *more)
{
    struct record *first = NULL, **tail = &first;
    for (size_t i = 0; i < count; i++, tail = &(*tail)->next)
        *tail = event(seq ? seq + i : 0, type, more);
    return first;
}

void feed_letter(uint64_t seq, size_t count, const char *type, const char *more)
{
    struct news *n = news_create(NEWS_EVENTS, "t1");
    n->records = stream_of(seq, count, type, more);
    news_take(stage.hub, n);
}

void hear_of_session(const char *pid, uint64_t seq, const char *more)
{
    char body[512];
    struct news *n = news_create(NEWS_EVENTS, "t1");
    snprintf(body, sizeof body,
             "{\"v\":1,\"type\":\"portalcast:session\",\"tenantId\":\"t1\",\"epoch\":\"e\",\"seq\":%d,"
             "\"data\":{\"pid\":\"%s\",\"sub\":\"u1\"%s}}",
             (int)seq, pid, more);
    n->records = record_of(body);
    news_take(stage.hub, n);
}

void feed(uint64_t seq, size_t count, const char *type, const char *more)
{
    feed_letter(seq, count, type, more);
    flush();
}

struct sink *live(const struct protocol *protocol, const char *sub, const char *more)
{
    struct sink *k = opened(protocol);
    sign_in(k, sub, more);
    if (!t1()->stream.placed)
        place("e", 10);
    ck_assert_int_eq(k->session->state, SESSION_LIVE);
    forget_output(k);
    return k;
}

static void stop(void *ctx)
{
    (void)ctx;
    loop_stop(stage.loop);
}

void run_for(int64_t ms)
{
    struct loop_timer *timer = loop_timer_create(stage.loop, stop, NULL);
    loop_timer_start(timer, ms, 0);
    loop_run(stage.loop);
    loop_timer_destroy(timer);
}

void turn_within(int64_t end)
{
    ck_assert_msg(clock_mono_ms() < end, "in vain");
    loop_turn(stage.loop);
}
