#include "tests/unit/presence_stage.h"
#include "portal-gateway/core/news.h"
#include "portal-gateway/core/tenant.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "tests/unit/dice.h"
#include "tests/unit/idle_upstream.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct presence_net net;

/* --- the exchange --- */

static void keep(void *ctx, const char *tenant_id, const char *type, struct view body)
{
    (void)ctx;
    ck_assert_str_eq(tenant_id, "t1");
    ck_assert_str_eq(type, "portalcast:presence");
    ck_assert_uint_lt(net.count, MESSAGES_MAX);
    net.messages[net.count++] = xstrndup(body.p, body.n);
    net.ever++;
    size_t users = 0;
    struct view user;
    struct json_iter it = json_iter(json_path(body, "data.users"));
    while (json_next_element(&it, &user))
        users++;
    net.most_users = users > net.most_users ? users : net.most_users;
}

static void hand_over(struct gateway *g, const char *body)
{
    struct err err = {0};
    struct news *n = news_create(NEWS_EVENTS, "t1");
    n->records = record_create(view_of(body), &err);
    ck_assert_msg(n->records != NULL, "%s", err.text);
    news_take(g->hub, n);
}

static void deliver(void)
{
    for (size_t i = 0; i < net.count; i++) {
        for (size_t j = 0; j < GATEWAYS; j++)
            if (net.gateways[j].hub && !net.gateways[j].deaf && dice(100) >= net.loss)
                hand_over(&net.gateways[j], net.messages[i]);
        free(net.messages[i]);
    }
    net.count = 0;
}

/* --- gateways --- */

void gateway_start(size_t which)
{
    struct gateway *g = &net.gateways[which];
    struct position nowhere = {"", 0}, head = {"e", 10};
    *g = (struct gateway){.hub = hub_create(net.loop, &net.policy, NULL), .since_ms = net.clock_ms};
    g->hub->upstream = (struct upstream){.publish = keep, .bind = ignore_tenant, .ask_heads = drop_heads};
    g->hub->rpc_up = g->hub->feed_up = true;
    struct tenant *t = tenant_create(g->hub, "t1");
    map_put(&g->hub->tenants, VIEW("t1"), t);
    g->presence = t->presence;
    presence_tick(g->presence, net.clock_ms);
    ck_assert_int_eq(stream_on_head(&t->stream, &head, &nowhere, 0), STREAM_PLACED);
    news_take(g->hub, news_create(NEWS_BOUND, "t1"));
}

void gateway_kill(size_t which)
{
    struct gateway *g = &net.gateways[which];
    hub_destroy(g->hub);
    *g = (struct gateway){0};
}

void user_arrives(size_t which, int user)
{
    char sub[16];
    snprintf(sub, sizeof sub, "u%d", user);
    net.gateways[which].sessions[user]++;
    presence_arrive(net.gateways[which].presence, sub);
}

void user_departs(size_t which, int user)
{
    char sub[16];
    snprintf(sub, sizeof sub, "u%d", user);
    net.gateways[which].sessions[user]--;
    presence_depart(net.gateways[which].presence, sub);
}

void user_sets(size_t which, int user, const char *status)
{
    char sub[16];
    snprintf(sub, sizeof sub, "u%d", user);
    ck_assert(presence_set(net.gateways[which].presence, sub, view_of(status)));
}

void gateway_leave(size_t which)
{
    for (int user = 0; user < USERS; user++)
        while (net.gateways[which].sessions[user])
            user_departs(which, user);
    hub_leave(net.gateways[which].hub);
    deliver();
    gateway_kill(which);
}

void pass(int64_t ms)
{
    for (int64_t end = net.clock_ms + ms; net.clock_ms < end;) {
        net.clock_ms += end - net.clock_ms < 500 ? end - net.clock_ms : 500;
        for (size_t i = 0; i < GATEWAYS; i++)
            if (net.gateways[i].hub)
                presence_tick(net.gateways[i].presence, net.clock_ms);
        for (int turn = 0; turn < 3; turn++)
            loop_turn(net.loop);
        deliver();
    }
}

const char *seen(size_t which)
{
    static char views[GATEWAYS][VIEW_SIZE];
    const struct tenant *t = map_get(&net.gateways[which].hub->tenants, VIEW("t1"));
    char *text = views[which];
    size_t n = 0;
    text[0] = 0;
    for (int user = 0; user < USERS; user++) {
        struct latest_value *value;
        char sub[16];
        snprintf(sub, sizeof sub, "u%d", user);
        for (size_t at = 0; latest_next(&t->stream.latest, &at, &value);) {
            struct view status;
            const struct event *event = &value->record->event;
            if (strcmp(event->key, sub) != 0 || !json_plain_string(json_get(event->data, "status"), &status))
                continue;
            n += (size_t)snprintf(text + n, VIEW_SIZE - n, "%s%s=%.*s", n ? " " : "", sub, VIEW_ARG(status));
        }
    }
    return text;
}

uint64_t told(size_t which)
{
    const struct tenant *t = map_get(&net.gateways[which].hub->tenants, VIEW("t1"));
    return t->stream.ring.head;
}

void net_set_up(void)
{
    net = (struct presence_net){0};
    net.loop = loop_create();
    net.policy = (struct policy){
        .ring_events = 4096, .ring_bytes = 1 << 24, .presence_users = 500, .presence_lease_ms = LEASE_MS};
    net.clock_ms = loop_now_ms(net.loop) + 1000000;
    for (size_t i = 0; i < 3; i++)
        gateway_start(i);
    pass(1000);
}

void net_tear_down(void)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        if (net.gateways[i].hub)
            gateway_kill(i);
    loop_destroy(net.loop);
    for (size_t i = 0; i < net.count; i++)
        free(net.messages[i]);
}
