#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/news.h"
#include "portal-gateway/core/presence.h"
#include "portal-gateway/core/tenant.h"
#include "portal-gateway/core/typing.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    INBOX_CAPACITY = 8192,
    LETTERS_PER_TURN = 512,
    SESSIONS_PER_TENANT_TURN = 1,
    FLUSH_SLICE_US = 4000, /* then the loop looks after its sockets */
    FLUSH_SHARED_US = 60,  /* while several tenants are there: others have sockets, too */
    GATHER_FROM = 64,      /* sockets of a tenant from which it is worth waiting for more events */
    UPKEEP_MS = 1000,
    HOLE_MS = 50,
    DOUBT_MS = 50, /* a thousand who come back within a second cost twenty requests */
    HEADS_PER_REQUEST = 500,
    BEAT_MS = 2000,
    MANY_GONE = 50 /* sessions, from which it is worth giving their memory back */
};

struct metric close_meters[CLOSE_REASON_COUNT] = {
#define X(id, name, code, text)                                                  \
    {"portalcast_gateway_sessions_closed_total{reason=\"" name "\"}", "counter", \
     "Sessions closed, by reason", 0},
    CLOSE_REASONS(X)
#undef X
};

/* --- sessions --- */

void hub_add(struct hub *h, struct session *s)
{
    list_append(&h->sessions, &s->in_hub);
    h->session_count++;
    if (h->session_count > h->most_sessions)
        h->most_sessions = h->session_count;
    meter_add(OPENED, 1);
    metric_add(&gateway_meters[s->protocol == &protocol_ws ? METER_SESSIONS_WS : METER_SESSIONS_SIO], 1);
    if (s->protocol != &protocol_ws)
        sid_index_add(&h->sids, s);
}

void hub_forget_sid(struct hub *h, struct session *s)
{
    sid_index_remove(&h->sids, s);
}

struct session *hub_find(const struct hub *h, struct view sid)
{
    return sid_index_find(&h->sids, sid);
}

void hub_remove(struct hub *h, struct session *s)
{
    list_unlink(&s->in_hub);
    hub_forget_sid(h, s);
    h->session_count--;
    metric_add(&gateway_meters[s->protocol == &protocol_ws ? METER_SESSIONS_WS : METER_SESSIONS_SIO], -1);
}

void hub_add_stranger(struct hub *h, struct session *s)
{
    size_t most = h->policy->strangers;
    list_append(&h->strangers, &s->in_strangers);
    if (++h->stranger_count <= most || !most)
        return;
    session_close(container_of(h->strangers.next, struct session, in_strangers), CLOSE_CONNECT_TIMEOUT);
}

void hub_forget_stranger(struct hub *h, struct session *s)
{
    if (list_empty(&s->in_strangers))
        return;
    list_unlink(&s->in_strangers);
    h->stranger_count--;
}

void hub_count_close(struct hub *h, enum close_reason reason)
{
    (void)h;
    metric_add(&close_meters[reason], 1);
}

size_t hub_session_count(const struct hub *h)
{
    return h->session_count;
}

bool hub_is_ready(const struct hub *h)
{
    return h->policy->conformance || (h->feed_up && h->heads_once);
}

void hub_drain(struct hub *h, size_t max)
{
    list_foreach(node, &h->sessions)
    {
        struct session *s = container_of(node, struct session, in_hub);
        if (!max)
            return;
        if (s->state == SESSION_CLOSING)
            continue;
        session_close(s, CLOSE_DRAIN);
        max--;
    }
}

/* --- tenants --- */

static void bind(struct hub *h, struct tenant *t)
{
    if (!h->all_bound && h->policy->bind_all_over && h->tenants.count > h->policy->bind_all_over) {
        h->all_bound = true;
        log_info("bind_all", "tenants=%zu", h->tenants.count);
        h->upstream.bind_all(h->upstream.ctx);
    }
    h->upstream.bind(h->upstream.ctx, t->id);
}

void hub_admit(struct hub *h, struct session *s)
{
    struct view id = view_of(s->claims->tenant_id);
    struct tenant *t = map_get(&h->tenants, id);
    if (!t) {
        t = tenant_create(h, s->claims->tenant_id);
        map_put(&h->tenants, id, t);
        bind(h, t);
    }
    tenant_add(t, s);
}

static void forget_tenant(struct hub *h, struct tenant *t)
{
    h->upstream.unbind(h->upstream.ctx, t->id);
    map_remove(&h->tenants, view_of(t->id));
    tenant_destroy(t);
}

static struct tenant *next_tenant(const struct hub *h, size_t *at)
{
    struct view key;
    void *found;
    return map_next(&h->tenants, at, &key, &found) ? found : NULL;
}

/* One a call, because the map must not change while it is walked. */
static bool forget_one_deserted(struct hub *h, int64_t now)
{
    size_t at = 0;
    for (struct tenant *t = next_tenant(h, &at); t; t = next_tenant(h, &at))
        if (t->empty_since_ms && now - t->empty_since_ms >= h->policy->linger_ms && !t->head_asked) {
            forget_tenant(h, t);
            return true;
        }
    return false;
}

/* --- asking --- */

static void send_heads(struct hub *h, struct heads *heads)
{
    meter_add(HEADS, 1);
    h->heads_out++;
    h->upstream.ask_heads(h->upstream.ctx, heads);
}

static void add_to_request(struct heads *heads, struct tenant *t)
{
    struct head *item = &heads->items[heads->count++];
    memcpy(item->tenant_id, t->id, sizeof item->tenant_id);
    item->asked = t->stream.at;
    heads->latest |= t->latest_wanted;
    t->head_wanted = t->latest_wanted = false;
    t->head_asked = true;
    t->heads_asked++;
}

/* Asks for the heads of the tenants that want it; `all`: of every bound one, and also when there is none, to
 * know whether anybody answers. */
static void ask_heads(struct hub *h, bool all)
{
    struct heads *heads = NULL;
    bool asked = false;
    size_t at = 0;
    for (struct tenant *t = next_tenant(h, &at); t; t = next_tenant(h, &at)) {
        if (!t->bound || t->head_asked || (!all && !t->head_wanted))
            continue;
        heads = heads ? heads : heads_create(HEADS_PER_REQUEST);
        add_to_request(heads, t);
        if (heads->count == HEADS_PER_REQUEST) {
            send_heads(h, heads);
            heads = NULL;
            asked = true;
        }
    }
    if (!heads && all && !asked)
        heads = heads_create(1);
    if (heads)
        send_heads(h, heads);
    h->ask_soon = h->ask_all = false;
}

static void on_doubted(void *ctx)
{
    struct hub *h = ctx;
    h->doubting = false;
    h->ask_soon = true;
    loop_wake_signal(h->wake); /* which asks */
}

void hub_ask_in_company(struct hub *h)
{
    if (!h->doubting)
        loop_timer_start(h->doubt_timer, DOUBT_MS, 0);
    h->doubting = true;
}

static void ask_replay(struct hub *h, struct tenant *t)
{
    struct position after;
    if (!stream_ask(&t->stream, loop_now_ms(h->loop), &after))
        return;
    meter_add(REPLAYS, 1);
    log_info("hole", "tenant=%s after=%s-%" PRIu64 " head=%" PRIu64, t->id, after.epoch, after.seq,
             t->stream.head);
    h->upstream.ask_replay(h->upstream.ctx, t->id, &after);
}

static void on_holes(void *ctx)
{
    struct hub *h = ctx;
    bool any = false;
    size_t at = 0;
    for (struct tenant *t = next_tenant(h, &at); t; t = next_tenant(h, &at)) {
        ask_replay(h, t);
        any |= t->stream.ask_at_ms != 0;
    }
    if (any)
        return;
    h->watching_holes = false;
    loop_timer_stop(h->hole_timer);
}

void hub_watch_hole(struct hub *h, struct tenant *t)
{
    if (!t->stream.ask_at_ms)
        return;
    ask_replay(h, t);
    if (!h->watching_holes)
        loop_timer_start(h->hole_timer, HOLE_MS, HOLE_MS);
    h->watching_holes = true;
}

/* --- flushing --- */

static void add_tally(struct hub *h)
{
    meter_add(DELIVERIES, h->tally.deliveries);
    meter_add(FRAMES, h->tally.frames);
    meter_add(WRITES, h->tally.writes);
    meter_add(SKIPPED, h->tally.skipped);
    h->tally = (struct tally){0};
}

/* Pumps tenants in turn for a slice of time; goes on in the loop's next turn. */
static void flush(struct hub *h)
{
    int64_t until = clock_mono_us() + (h->tenants.count > 1 ? FLUSH_SHARED_US : FLUSH_SLICE_US);
    while (!list_empty(&h->dirty)) {
        struct tenant *t = container_of(h->dirty.next, struct tenant, in_dirty);
        if (tenant_flush(t, SESSIONS_PER_TENANT_TURN)) {
            list_unlink(&t->in_dirty);
            list_append(&h->dirty, &t->in_dirty);
        }
        if (clock_mono_us() >= until)
            break;
    }
    if (!list_empty(&h->dirty))
        loop_wake_signal(h->wake);
    add_tally(h);
}

static void on_gathered(void *ctx)
{
    struct hub *h = ctx;
    h->gathering = false;
    flush(h);
}

static bool worth_gathering(const struct hub *h)
{
    if (!h->policy->gather_ms || list_empty(&h->dirty))
        return false;
    const struct tenant *t = container_of(h->dirty.next, struct tenant, in_dirty);
    return t->everyone->count >= GATHER_FROM;
}

static void on_wake(void *ctx)
{
    struct hub *h = ctx;
    bool was_flushing = !list_empty(&h->dirty) && !h->gathering;
    struct letter *next, *letter = mailbox_drain(h->inbox, LETTERS_PER_TURN);
    for (; letter; letter = next) {
        next = letter->next;
        news_take(h, container_of(letter, struct news, letter));
    }
    if (h->rpc_up && !h->heads_out && (h->ask_soon || h->ask_all))
        ask_heads(h, h->ask_all);
    while (!list_empty(&h->thirsty))
        tenant_ask_past(container_of(h->thirsty.next, struct tenant, thirsty));
    if (mailbox_count(h->inbox))
        loop_wake_signal(h->wake);
    if (h->gathering)
        return;
    if (!was_flushing && worth_gathering(h)) {
        h->gathering = true;
        loop_timer_start(h->gather_timer, h->policy->gather_ms, 0);
        return;
    }
    flush(h);
}

/* --- upkeep --- */

/* Events stay for one to two times ring_ms: a socket that lags longer was cut before. */
static void forget_old_events(struct hub *h, int64_t now)
{
    size_t at = 0;
    if (now < h->forget_at_ms)
        return;
    h->forget_at_ms = now + h->policy->ring_ms;
    for (struct tenant *t = next_tenant(h, &at); t; t = next_tenant(h, &at))
        tenant_forget_old(t);
}

void hub_beat(struct hub *h, enum beat_state state)
{
    h->beat_at_ms = loop_now_ms(h->loop) + BEAT_MS;
    if (!h->upstream.beat || !h->feed_up)
        return;
    /* What we say does not come round: their exchange may have been deleted, and our binding with it. */
    if (peers_are_unheard(&h->peers, loop_now_ms(h->loop)))
        h->upstream.hear_beats(h->upstream.ctx);
    h->upstream.beat(h->upstream.ctx, state);
}

static void tick_tenants(struct hub *h)
{
    size_t at = 0;
    for (struct tenant *t = next_tenant(h, &at); t; t = next_tenant(h, &at))
        tenant_tick(t);
}

void hub_hear_generation(struct hub *h, int64_t generation)
{
    if (generation > h->generation)
        h->generation = generation;
}

void hub_doubt_fences(struct hub *h)
{
    size_t at = 0;
    for (struct tenant *t = next_tenant(h, &at); t; t = next_tenant(h, &at))
        t->fences_due = true;
}

void hub_leave(struct hub *h)
{
    size_t at = 0;
    for (struct tenant *t = next_tenant(h, &at); t; t = next_tenant(h, &at))
        presence_leave(t->presence);
    hub_beat(h, BEAT_LEAVING);
}

/* When half of them have gone, and no more go: what the allocator keeps would stay what it was at the busiest
 * moment. */
static void give_back_memory(struct hub *h)
{
    size_t gone = h->most_sessions - h->session_count;
    bool are_going = h->session_count < h->last_sessions;
    h->last_sessions = h->session_count;
    if (are_going || gone < MANY_GONE || gone < h->most_sessions / 2)
        return;
    h->most_sessions = h->session_count;
    mem_give_back();
}

static void on_upkeep(void *ctx)
{
    struct hub *h = ctx;
    int64_t now = loop_now_ms(h->loop);
    bool all = now >= h->heads_at_ms;
    if (now >= h->beat_at_ms)
        hub_beat(h, BEAT_HERE);
    if (all)
        h->heads_at_ms = now + h->policy->heads_interval_ms;
    if (h->rpc_up)
        ask_heads(h, all);
    while (forget_one_deserted(h, now))
        ;
    tick_tenants(h);
    forget_old_events(h, now);
    give_back_memory(h);
    add_tally(h);
    meter_set(INBOX, mailbox_count(h->inbox));
}

/* --- life --- */

static void init_peers(struct hub *h)
{
    char tag[SESSION_ID_SIZE];
    crypto_random_id("", tag);
    tag[GATEWAY_TAG_CHARS] = 0;
    peers_init(&h->peers, tag);
}

static void init_pid_keys(struct hub *h)
{
    char nobodys[64];
    crypto_random_id("of this process alone ", nobodys);
    peer_keys_derive(&h->pid_keys, nobodys, "");
}

void hub_share_pids(struct hub *h, const struct peer_keys *keys)
{
    h->pid_keys = *keys;
}

struct hub *hub_create(struct loop *loop, const struct policy *policy, const struct token_rules *rules)
{
    struct hub *h = xcalloc(1, sizeof *h);
    h->loop = loop;
    h->policy = policy;
    h->rules = rules;
    map_init(&h->tenants);
    sid_index_init(&h->sids);
    guests_init(&h->guests);
    asks_init(&h->asks);
    paces_init(&h->paces, h);
    strangers_init(&h->turns, h->loop);
    init_peers(h);
    init_pid_keys(h);
    list_init(&h->thirsty);
    list_init(&h->sessions);
    list_init(&h->strangers);
    list_init(&h->dirty);
    h->sio_ping = frame_create(WS_TEXT, VIEW("2"));
    h->ws_ping = frame_create(WS_PING, VIEW("p")); /* an empty pong is not reported (server.h) */
    h->wake = loop_wake_create(loop, on_wake, h);
    h->inbox = mailbox_create(INBOX_CAPACITY, loop_wake_signal, h->wake);
    h->gather_timer = loop_timer_create(loop, on_gathered, h);
    h->hole_timer = loop_timer_create(loop, on_holes, h);
    h->doubt_timer = loop_timer_create(loop, on_doubted, h);
    h->upkeep_timer = loop_timer_create(loop, on_upkeep, h);
    return h;
}

void hub_connect(struct hub *h, const struct upstream *upstream)
{
    h->upstream = *upstream;
    loop_timer_start(h->upkeep_timer, UPKEEP_MS, UPKEEP_MS);
}

void hub_destroy(struct hub *h)
{
    if (!h)
        return;
    size_t at = 0;
    asks_finish(&h->asks);
    for (struct tenant *t = next_tenant(h, &at); t; t = next_tenant(h, &at))
        tenant_destroy(t);
    map_free(&h->tenants);
    sid_index_finish(&h->sids);
    guests_finish(&h->guests);
    peers_finish(&h->peers);
    frame_unref(h->sio_ping);
    frame_unref(h->ws_ping);
    mailbox_destroy(h->inbox, news_discard);
    paces_finish(&h->paces);
    strangers_finish(&h->turns);
    loop_timer_destroy(h->gather_timer);
    loop_timer_destroy(h->hole_timer);
    loop_timer_destroy(h->doubt_timer);
    loop_timer_destroy(h->upkeep_timer);
    loop_wake_destroy(h->wake);
    free(h);
}

struct mailbox *hub_inbox(struct hub *h)
{
    return h->inbox;
}
