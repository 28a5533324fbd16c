#include "portal-gateway/http/relay.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/peer_keys.h"
#include "portal-gateway/http/endpoint_parts.h"
#include "portal-gateway/http/handshake.h"
#include "portal-gateway/http/peer_answer.h"
#include "portal-gateway/http/relay_head.h"
#include "portal-gateway/http/tunnel.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/tcp.h"
#include <stdlib.h>
#include <string.h>

enum {
    HEAD_MAX = 64 * 1024,
    CONNECT_MS = 3000,
    POST_MS = 30000,
    GET_LEEWAY_MS = 10000, /* a held GET is released by the owner's ping at the latest */
    LOOK_MS = 100,         /* how often a gateway that has not said yet that it is there is looked for */
    LOOK_MOST_MS = 3000,
    SILENT_PINGS = 2, /* that fail to come: nobody is there any more */
    IDLE_MS = 15000,  /* of a kept connection; the other side keeps it four times as long */
    IDLE_TICK_MS = 5000,
    IDLE_MAX = 256
};

struct relay {
    struct endpoint *endpoint;
    struct loop *loop;
    struct map requests; /* id -> struct relayed */
    struct list idle;    /* kept connections, the latest at the end */
    size_t idle_count;
    struct loop_timer *idle_timer;
    struct tunnels tunnels;
};

/* A connection to another gateway. */
struct line {
    struct list node; /* while idle */
    struct relay *relay;
    struct tcp *tcp;
    struct relayed *user; /* NULL: idle */
    int64_t idle_since_ms;
    char tag[GATEWAY_TAG_SIZE];
};

struct relayed {
    struct relay *relay;
    uint64_t request;
    struct line *line;  /* NULL: its gateway has not been found yet */
    struct buf message; /* until it is sent */
    struct peer_answer answer;
    struct loop_timer *timer; /* what it says depends on how far we are */
    int64_t since_ms, answer_ms;
    char sid[EIO_SID_MAX + 1];
    char origin[ORIGIN_SIZE]; /* who may read what we say ourselves */
};

/* --- who asks --- */

static const char *method_name(const struct request *r)
{
    return r->method == HTTP_POST ? "POST" : "GET";
}

static bool is_relayed(const struct request *r)
{
    return request_header(r, PEER_PASS_HEADER).n > 0;
}

bool relay_admits(struct endpoint *e, const struct request *r, const char *sid)
{
    struct view pass = request_header(r, PEER_PASS_HEADER);
    if (!pass.n || peer_pass_check(e->options.keys, clock_wall_ms(), method_name(r), view_of(sid), pass))
        return true;
    meter_add(RELAY_REFUSED, 1);
    log_warn("relay_refused", "address=%s path=\"%.*s\"", r->address, VIEW_ARG(r->path));
    answer(e, r, 403, "text/plain", VIEW("not relayed by one of us"));
    return false;
}

bool relay_wants(const struct endpoint *e, const struct request *r, const char *sid)
{
    const struct peers *peers = &e->options.hub->peers;
    if (!e->options.keys->has_current || (r->method != HTTP_GET && r->method != HTTP_POST) ||
        !peers_is_foreign(peers, view_of(sid)) || is_relayed(r))
        return false;
    return peers_find(peers, view_of(sid)) || !peers_are_settled(peers, loop_now_ms(e->relay->loop));
}

static const struct peer *peer_of(const struct relay *r, const char *sid)
{
    return peers_find(&r->endpoint->options.hub->peers, view_of(sid));
}

static bool is_full(const struct relay *r)
{
    return r->requests.count + r->tunnels.count >= 2 * r->endpoint->options.max_connections ||
           !server_may_open_files(r->endpoint->server);
}

static void compose(struct buf *out, const struct endpoint *e, const struct request *r, const char *sid,
                    bool is_upgrade)
{
    char pass[PEER_PASS_SIZE];
    peer_pass_write(e->options.keys, clock_wall_ms(), method_name(r), view_of(sid), pass);
    buf_init(out, HEAD_MAX + r->body.n);
    relay_head_write(out, r, is_upgrade, pass);
    buf_add_view(out, r->body);
}

/* --- connections to other gateways --- */

static void destroy_line(struct line *l)
{
    if (!l)
        return;
    if (!l->user)
        l->relay->idle_count--;
    l->relay->endpoint->other_files--;
    list_unlink(&l->node);
    tcp_destroy(l->tcp);
    free(l);
}

static void on_idle_tick(void *ctx)
{
    struct relay *r = ctx;
    list_foreach(node, &r->idle)
    {
        struct line *l = container_of(node, struct line, node);
        if (loop_now_ms(r->loop) - l->idle_since_ms >= IDLE_MS)
            destroy_line(l);
    }
    if (list_empty(&r->idle))
        loop_timer_stop(r->idle_timer);
}

static void keep_line(struct line *l)
{
    struct relay *r = l->relay;
    if (list_empty(&r->idle))
        loop_timer_start(r->idle_timer, IDLE_TICK_MS, IDLE_TICK_MS);
    l->user = NULL;
    l->idle_since_ms = loop_now_ms(r->loop);
    list_append(&r->idle, &l->node);
    if (++r->idle_count > IDLE_MAX)
        destroy_line(container_of(r->idle.next, struct line, node));
}

static struct line *take_kept_line(struct relay *r, const char *tag)
{
    for (struct list *node = r->idle.prev; node != &r->idle; node = node->prev) {
        struct line *l = container_of(node, struct line, node);
        if (strcmp(l->tag, tag) != 0)
            continue;
        list_unlink(&l->node);
        r->idle_count--;
        return l;
    }
    return NULL;
}

/* --- the end of a relayed request --- */

static void destroy(struct relayed *x)
{
    map_remove(&x->relay->requests, (struct view){(const char *)&x->request, sizeof x->request});
    meter_add(RELAYING, -1);
    destroy_line(x->line);
    loop_timer_destroy(x->timer);
    buf_free(&x->message);
    peer_answer_finish(&x->answer);
    free(x);
}

static void fail(struct relayed *x, const char *why)
{
    struct endpoint *e = x->relay->endpoint;
    meter_add(RELAY_FAILED, 1);
    log_warn("relay_failed", "what=polling why=\"%s\"", why);
    answer_held(e, x->request, x->origin, 503, "text/plain", VIEW("try again"));
    destroy(x);
}

static void say_unknown(struct relayed *x)
{
    answer_held(x->relay->endpoint, x->request, x->origin, 400, "application/json",
                VIEW("{\"code\":1,\"message\":\"Session ID unknown\"}"));
    destroy(x);
}

/* --- answers --- */

static void pass_back(struct relayed *x)
{
    struct reply reply;
    peer_answer_read(&x->answer, &reply);
    if (!x->answer.closes) {
        keep_line(x->line);
        x->line = NULL;
    }
    server_reply(x->relay->endpoint->server, x->request, &reply);
    destroy(x);
}

static void on_bytes(void *ctx, struct view bytes)
{
    struct line *l = ctx;
    if (!l->user) {
        destroy_line(l); /* nobody has asked */
        return;
    }
    switch (peer_answer_add(&l->user->answer, bytes)) {
    case PEER_ANSWER_PART:
        return;
    case PEER_ANSWER_WHOLE:
        pass_back(l->user);
        return;
    case PEER_ANSWER_BROKEN:
        fail(l->user, "not an answer of a gateway");
        return;
    }
}

static void on_open(void *ctx)
{
    struct line *l = ctx;
    loop_timer_start(l->user->timer, l->user->answer_ms, 0);
}

static void on_closed(void *ctx, const char *why)
{
    struct line *l = ctx;
    if (l->user)
        fail(l->user, why);
    else
        destroy_line(l);
}

static const struct tcp_handler of_line = {.on_open = on_open, .on_bytes = on_bytes, .on_closed = on_closed};

/* --- on its way --- */

static void send_to(struct relayed *x, const struct peer *peer)
{
    struct relay *r = x->relay;
    struct err err;
    struct line *l = take_kept_line(r, peer->tag);
    bool is_kept = l;
    if (!is_kept) {
        l = xcalloc(1, sizeof *l);
        r->endpoint->other_files++;
        l->relay = r;
        l->user = x;
        list_init(&l->node);
        memcpy(l->tag, peer->tag, sizeof l->tag);
        l->tcp = tcp_connect(r->loop, peer->address, peer->port, &of_line, l, &err);
    }
    l->user = x;
    x->line = l;
    if (!l->tcp) {
        fail(x, err.text);
        return;
    }
    loop_timer_start(x->timer, is_kept ? x->answer_ms : CONNECT_MS, 0);
    tcp_write(l->tcp, buf_view(&x->message));
    buf_free(&x->message);
}

static void on_timer(void *ctx)
{
    struct relayed *x = ctx;
    const struct peers *peers = &x->relay->endpoint->options.hub->peers;
    int64_t now = loop_now_ms(x->relay->loop);
    if (x->line) {
        fail(x, "no answer in time");
        return;
    }
    const struct peer *peer = peer_of(x->relay, x->sid);
    if (peer)
        send_to(x, peer);
    else if (peers_are_settled(peers, now) || now - x->since_ms > LOOK_MOST_MS)
        say_unknown(x);
}

void relay_request(struct endpoint *e, const struct request *r, const char *sid)
{
    struct relay *relay = e->relay;
    const struct policy *policy = e->options.hub->policy;
    if (is_full(relay)) {
        answer(e, r, 503, "text/plain", VIEW("try again"));
        return;
    }
    struct relayed *x = xcalloc(1, sizeof *x);
    x->relay = relay;
    x->request = r->id;
    x->since_ms = loop_now_ms(relay->loop);
    x->answer_ms =
        r->method == HTTP_POST ? POST_MS : policy->ping_interval_ms + policy->ping_timeout_ms + GET_LEEWAY_MS;
    memcpy(x->sid, sid, strlen(sid));
    origin_of(e, r, x->origin);
    peer_answer_init(&x->answer);
    compose(&x->message, e, r, sid, false);
    x->timer = loop_timer_create(relay->loop, on_timer, x);
    map_put(&relay->requests, (struct view){(const char *)&x->request, sizeof x->request}, x);
    meter_add(RELAYED, 1);
    meter_add(RELAYING, 1);
    const struct peer *peer = peer_of(relay, sid);
    if (peer)
        send_to(x, peer);
    else
        loop_timer_start(x->timer, LOOK_MS, LOOK_MS);
}

void relay_upgrade(struct endpoint *e, const struct request *r, const char *sid)
{
    const struct peer *peer = peer_of(e->relay, sid);
    struct buf head;
    int fd = peer && !is_full(e->relay) ? server_take_socket(e->server, r->id) : -1;
    if (fd < 0) { /* its client goes on polling */
        answer(e, r, 503, "text/html", VIEW("try again"));
        return;
    }
    compose(&head, e, r, sid, true);
    tunnel_open(&e->relay->tunnels, fd, peer->address, peer->port, buf_view(&head));
    buf_free(&head);
}

void relay_on_gone(struct relay *r, uint64_t request)
{
    struct relayed *x = map_get(&r->requests, (struct view){(const char *)&request, sizeof request});
    if (x)
        destroy(x);
}

size_t relay_tunnels(const struct relay *r)
{
    return r->tunnels.count;
}

void relay_drain(struct relay *r, size_t max)
{
    tunnels_cut(&r->tunnels, max);
}

/* --- life --- */

struct relay *relay_create(struct loop *loop, struct endpoint *e)
{
    struct relay *r = xcalloc(1, sizeof *r);
    const struct policy *policy = e->options.hub->policy;
    r->endpoint = e;
    r->loop = loop;
    map_init(&r->requests);
    list_init(&r->idle);
    tunnels_init(&r->tunnels, loop, SILENT_PINGS * (policy->ping_interval_ms + policy->ping_timeout_ms),
                 &e->other_files);
    r->idle_timer = loop_timer_create(loop, on_idle_tick, r);
    return r;
}

static struct relayed *any(const struct relay *r)
{
    struct view id;
    void *found;
    size_t at = 0;
    return map_next(&r->requests, &at, &id, &found) ? found : NULL;
}

void relay_destroy(struct relay *r)
{
    if (!r)
        return;
    for (struct relayed *x = any(r); x; x = any(r))
        destroy(x);
    list_foreach(node, &r->idle) destroy_line(container_of(node, struct line, node));
    tunnels_cut(&r->tunnels, SIZE_MAX);
    loop_timer_destroy(r->idle_timer);
    map_free(&r->requests);
    free(r);
}
