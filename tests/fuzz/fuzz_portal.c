/*
 * A tenant of the agent portal and of a profile at a gateway: two clients, one of each protocol, say what
 * they like; gateways and state-managers answer and announce what they like. Input: steps one behind the
 * other, each a byte for what happens, two for a length, and so many bytes.
 *
 * Whatever comes, what is asked and published is in the name of the tenant, and what clients are told is
 * text, for /ws JSON, and nothing that gateways say to each other.
 */
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/news.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/idle_upstream.h"
#include <stdio.h>
#include <string.h>

#define SECRET "a-secret-of-the-fuzz-harness-7kQ2"
enum { CLIENTS = 2, TOKEN_DAYS = 20000, BODY_MAX = 1 << 20 };

static const char desk[] =
    "{\"profile\":\"desk\",\"roles\":[\"agent\"],\"typing\":{\"callId\":\"call-{callId}\"},"
    "\"rooms\":[{\"room\":\"call-{callId}\",\"of\":\"calls\",\"roles\":[\"agent\"]},"
    "{\"room\":\"user-{sub}\",\"self\":true}],"
    "\"events\":{"
    "\"register\":{\"arguments\":[\"userId\"],\"check\":{\"token.sub\":\"${args.userId}\"}},"
    "\"enter\":{\"arguments\":[\"callId\",\"sub\"],\"join\":[\"call-${args.callId}\",\"user-${args.sub}\"]},"
    "\"exit\":{\"arguments\":[\"callId\"],\"leave\":[\"call-${args.callId}\"]},"
    "\"point\":{\"arguments\":[\"callId\"],\"emit\":{\"event\":\"pointed\",\"to\":[\"call-${args.callId}\"],"
    "\"data\":{\"callId\":\"${args.callId}\",\"by\":\"${token.sub}\"}}},"
    "\"change\":{\"arguments\":[\"id\",\"change\",\"name\"],\"command\":\"calls.update\","
    "\"params\":{\"id\":\"${args.id}\"},\"body\":\"${args.change}\",\"key\":\"${args.name}\"}},"
    "\"resources\":{\"calls\":{\"fields\":{\"note\":{\"type\":\"any\"}},\"operations\":{"
    "\"update\":{\"do\":\"update\",\"method\":\"PATCH\",\"path\":\"/calls/{id}\",\"who\":[\"*\"],"
    "\"fields\":[\"note\"]}}}}}";

static struct profiles profiles = {.count = 1};
static const struct policy policy = {.agent_portal = true,
                                     .profiles = &profiles,
                                     .ping_interval_ms = 25000,
                                     .ping_timeout_ms = 20000,
                                     .connect_timeout_ms = 10000,
                                     .token_warning_ms = 60000,
                                     .linger_ms = 60000,
                                     .heads_interval_ms = 5000,
                                     .max_payload = 65536,
                                     .connections_per_user = 5,
                                     .ring_events = 256,
                                     .ring_bytes = 1 << 20,
                                     .recovery_events = 100,
                                     .recovery_bytes = 1 << 20,
                                     .pid_ms = 3600000,
                                     .lag_bytes = 1 << 20,
                                     .lag_ms = 30000,
                                     .bind_all_over = 10,
                                     .presence_users = 20,
                                     .presence_lease_ms = 30000,
                                     .recovery = true};

struct client {
    struct session *session;
    bool closed, is_plain;
};

static struct hub *hub;
static struct client clients[CLIENTS];
static uint64_t open_question; /* the youngest; 0: none */

/* --- what leaves the gateway --- */

static void check_text(const struct client *c, struct view text)
{
    struct view value;
    MUST(view_is_utf8(text));
    MUST(!c->is_plain || json_check(text, JSON_STRICT, &value, NULL));
    MUST(!memmem(text.p, text.n, "\"portalcast:fence\"", 18) &&
         !memmem(text.p, text.n, "\"portalcast:presence\"", 21));
}

static size_t take_all(void *link, const struct iovec *frames, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char *frame = frames[i].iov_base;
        size_t header = (frame[1] & 127) == 126 ? 4 : (frame[1] & 127) == 127 ? 10 : 2;
        MUST(frames[i].iov_len >= header);
        if ((frame[0] & 15) == 1)
            check_text(link, (struct view){(const char *)frame + header, frames[i].iov_len - header});
    }
    return n;
}

static void note_close(void *link, int code, const char *reason)
{
    struct client *c = link;
    (void)reason;
    MUST(!c->closed && (c->is_plain || code == 0));
    c->closed = true;
}

static const struct link_ops ops = {.write = take_all, .close = note_close};

static void keep_question(void *ctx, const char *tenant_id, uint64_t token, struct view request)
{
    struct view value;
    (void)ctx;
    MUST(!strcmp(tenant_id, "t1") && json_check(request, JSON_STRICT, &value, NULL));
    MUST(json_string_is(json_get(value, "tenantId"), "t1"));
    open_question = token;
}

static void check_published(void *ctx, const char *tenant_id, const char *type, struct view body)
{
    struct event event;
    struct err err;
    (void)ctx;
    MUST(!strcmp(tenant_id, "t1") && event_decode(body, &event, &err));
    MUST(!strcmp(event.tenant_id, "t1") && !strcmp(event.type, type) && event.class == EVENT_EPHEMERAL);
}

static const struct upstream upstream = {.bind = ignore_tenant,
                                         .unbind = ignore_tenant,
                                         .bind_all = ignore_all,
                                         .ask_heads = drop_heads,
                                         .ask_replay = ignore_place,
                                         .ask_past = ignore_place,
                                         .ask = keep_question,
                                         .publish = check_published,
                                         .beat = ignore_beat,
                                         .hear_beats = ignore_all};

/* --- what comes in --- */

static void say(struct client *c, struct view text)
{
    if (!c->closed && view_is_utf8(text))
        session_on_message(c->session, text, true);
}

static void on_sio_text(struct view bytes)
{
    say(&clients[0], bytes);
}

static void on_sio_event(struct view bytes)
{
    char text[70000];
    int n = snprintf(text, sizeof text, "427%.*s", VIEW_ARG(bytes));
    say(&clients[0], (struct view){text, (size_t)n});
}

static void on_plain_text(struct view bytes)
{
    say(&clients[1], bytes);
}

static void hear(struct view body)
{
    struct err err;
    struct record *r = record_create(body, &err);
    if (!r)
        return;
    if (strcmp(r->event.tenant_id, "t1") != 0) { /* the feed sorts them by their routing key */
        record_destroy(r);
        return;
    }
    struct news *n = news_create(NEWS_EVENTS, "t1");
    n->records = r;
    news_take(hub, n);
}

/* A name of ours, and what it carries; with a place in the sequence, where `seq` is one. */
static void hear_inside(const char *type, uint64_t seq, struct view data)
{
    struct buf body;
    struct view value;
    struct event_draft draft = {.type = type, .class = seq ? EVENT_DURABLE : EVENT_EPHEMERAL};
    if (!json_check(data, JSON_STRICT, &value, NULL))
        return;
    draft.data = value;
    buf_init(&body, BODY_MAX);
    event_encode(&body, &draft, "t1", "e_1", seq ? "k3f9" : "", seq, 1795269600000);
    hear(buf_view(&body));
    buf_free(&body);
}

static uint64_t next_seq(void)
{
    struct tenant *t = map_get(&hub->tenants, VIEW("t1"));
    return t && t->stream.at.seq < UINT32_MAX ? t->stream.at.seq + 1 : 11;
}

static void on_session_event(struct view bytes)
{
    hear_inside("portalcast:session", next_seq(), bytes);
}

static void on_revoked_event(struct view bytes)
{
    hear_inside("portalcast:revoked", next_seq(), bytes);
}

static void on_fence(struct view bytes)
{
    hear_inside("portalcast:fence", 0, bytes);
}

static void on_presence(struct view bytes)
{
    hear_inside("portalcast:presence", 0, bytes);
}

static void on_typing(struct view bytes)
{
    hear_inside("typing", 0, bytes);
}

static void on_answer(struct view bytes)
{
    uint64_t token = open_question;
    open_question = 0;
    asks_settle(&hub->asks, token, bytes);
}

static void (*const steps[])(struct view bytes) = {
    on_sio_text,      on_sio_event, on_plain_text, hear,      on_session_event,
    on_revoked_event, on_fence,     on_presence,   on_typing, on_answer,
};

/* --- the stage --- */

static const struct token_rules *rules(void)
{
    static struct token_rules *made;
    const struct token_options options = {.algorithm = "HS256", .secret = SECRET};
    if (!made)
        MUST((made = token_rules_create(&options, NULL)));
    return made;
}

static const char *token(void)
{
    static char *made;
    char claims[256];
    int64_t now = clock_wall_ms() / 1000;
    if (made)
        return made;
    snprintf(claims, sizeof claims,
             "{\"tenantId\":\"t1\",\"sub\":\"u1\",\"role\":\"agent\",\"iat\":%lld,\"exp\":%lld}",
             (long long)now, (long long)now + (int64_t)TOKEN_DAYS * 86400);
    MUST((made = token_sign_hs256(SECRET, claims, NULL)));
    return made;
}

static void read_profile(void)
{
    struct buf faults;
    log_init(LOG_ERROR);
    buf_init(&faults, 1 << 16);
    profiles.items[0] = profile_read("desk.json", view_of(desk), &faults);
    if (faults.len)
        fwrite(faults.data, 1, faults.len, stderr);
    MUST(profiles.items[0] && !faults.len);
}

static void open_client(struct client *c, const struct protocol *protocol, const char *before)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "%s\"token\":\"%s\"}", before, token());
    *c = (struct client){.is_plain = protocol == &protocol_ws};
    c->session = session_create(hub, protocol, NULL);
    session_on_open(c->session, &ops, c);
    session_on_message(c->session, (struct view){text, (size_t)n}, true);
    loop_turn(hub->loop); /* of those who have not signed in one is heard in a turn */
}

/* Both are live: the tenant's history stands at 10. */
static void place(void)
{
    struct news *n = news_create(NEWS_HEADS, NULL);
    n->heads = heads_create(1);
    n->heads->count = 1;
    n->heads->items[0] = (struct head){.tenant_id = "t1", .head = {"k3f9", 10}, .answered = true};
    hub->heads_out++;
    news_take(hub, n);
    for (size_t i = 0; i < CLIENTS; i++)
        MUST(clients[i].session->state == SESSION_LIVE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!profiles.items[0])
        read_profile();
    struct loop *loop = loop_create();
    hub = hub_create(loop, &policy, rules());
    hub_connect(hub, &upstream);
    hub->rpc_up = true;
    open_question = 0;
    open_client(&clients[0], &protocol_sio, "40{");
    open_client(&clients[1], &protocol_ws, "{\"type\":\"auth\",");
    place();
    while (size >= 3) {
        size_t n = (size_t)data[1] << 8 | data[2];
        n = n < size - 3 ? n : size - 3;
        steps[data[0] % countof(steps)](fuzz_input(data + 3, n));
        data += 3 + n;
        size -= 3 + n;
        struct tenant *t = map_get(&hub->tenants, VIEW("t1"));
        while (t && tenant_flush(t, SIZE_MAX))
            ;
    }
    for (size_t i = 0; i < CLIENTS; i++)
        session_gone(clients[i].session);
    MUST(hub_session_count(hub) == 0);
    hub_destroy(hub);
    loop_destroy(loop);
    return 0;
}
