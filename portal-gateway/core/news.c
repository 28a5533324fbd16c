#include "portal-gateway/core/news.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/inside.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/presence.h"
#include "portal-gateway/core/tenant.h"
#include "portal-gateway/core/typing.h"
#include "shared/json.h"
#include "shared/log.h"
#include <string.h>

static struct tenant *find(struct hub *h, const char *tenant_id)
{
    return map_get(&h->tenants, view_of(tenant_id));
}

/* Before the ring would push out what sockets have not been pumped yet, they are. */
static void keep_ring_ahead(struct tenant *t)
{
    const struct ring *ring = &t->stream.ring;
    if (list_empty(&t->dirty))
        return;
    const struct session *oldest = container_of(t->dirty.next, struct session, queued);
    if (ring->head - oldest->cursor > ring->max_events / 4 ||
        (oldest->cursor >= ring->first && ring_bytes_from(ring, oldest->cursor) > ring->max_bytes / 4))
        tenant_flush(t, SIZE_MAX);
}

static void settle(struct hub *h, struct tenant *t)
{
    tenant_mark(t);
    keep_ring_ahead(t);
    if (t->joint_seen != t->stream.ring.joint) /* what was recorded may be among what is lost */
        roster_forget(&t->roster);
    t->joint_seen = t->stream.ring.joint;
    tenant_settle_rooms(t);
    hub_watch_hole(h, t);
    tenant_open(t); /* somebody may have waited for the stream to come so far */
}

static void count(enum stream_verdict verdict)
{
    switch (verdict) {
    case STREAM_APPENDED:
    case STREAM_STRANGE:
        break;
    case STREAM_EARLY:
        meter_add(EARLY, 1);
        break;
    case STREAM_REPEAT:
        meter_add(REPEATS, 1);
        break;
    }
}

static void offer_chain(struct hub *h, struct tenant *t, struct record *r)
{
    for (struct record *next; r; r = next) {
        next = r->next;
        r->next = NULL;
        if (r->event.inside && !r->event.seq) {
            inside_take(t, r, t->stream.ring.head);
            record_destroy(r);
            continue;
        }
        if (!strcmp(r->event.type, "typing"))
            typing_hear(t->typing, r, loop_now_ms(h->loop));
        enum stream_verdict verdict = stream_offer(&t->stream, r, loop_now_ms(h->loop));
        count(verdict);
        if (verdict == STREAM_STRANGE)
            tenant_want_head(t);
    }
}

void news_offer(struct tenant *t, struct record *r)
{
    offer_chain(t->hub, t, r);
    settle(t->hub, t);
    loop_wake_signal(t->hub->wake); /* which pumps */
}

static void on_events(struct hub *h, struct news *n)
{
    struct tenant *t = find(h, n->tenant_id);
    if (!t)
        return; /* gone since, or bound by `tenant.#` only */
    offer_chain(h, t, n->records);
    n->records = NULL;
    settle(h, t);
}

static void on_feed_up(struct hub *h, struct news *n)
{
    (void)n;
    h->feed_up = true;
    hub_doubt_fences(h);
    peers_excuse(&h->peers, loop_now_ms(h->loop));
    hub_beat(h, BEAT_NEW);
    meter_set(FEED_UP, 1);
    meter_add(FEED_STARTS, 1);
}

static void on_feed_down(struct hub *h, struct news *n)
{
    (void)n;
    h->feed_up = false;
    meter_set(FEED_UP, 0);
}

static void on_bound(struct hub *h, struct news *n)
{
    struct tenant *t = find(h, n->tenant_id);
    if (!t)
        return;
    t->bound = true;
    tenant_doubt_latest(t); /* while it was not, values may have been lost without a hole */
    tenant_want_head(t);
    presence_bound(t->presence);
}

static void on_rpc_up(struct hub *h, struct news *n)
{
    (void)n;
    h->rpc_up = h->ask_all = true;
    hub_doubt_fences(h);
    meter_set(RPC_UP, 1);
}

static void on_rpc_down(struct hub *h, struct news *n)
{
    (void)n;
    h->rpc_up = h->heads_fresh = false;
    meter_set(RPC_UP, 0);
}

static void take_revocations(struct tenant *t, const struct head *item)
{
    struct view one;
    struct json_iter it = json_iter((struct view){item->revocations, item->revocations_n});
    while (json_next_element(&it, &one))
        revoked_add(&t->revoked, one);
    if (item->revocations)
        tenant_end_revoked(t);
}

static void take_head(struct hub *h, struct tenant *t, struct head *item)
{
    t->heads_answered = t->heads_asked;
    take_revocations(t, item);
    switch (stream_on_head(&t->stream, &item->head, &item->asked, loop_now_ms(h->loop))) {
    case STREAM_SAME:
        break;
    case STREAM_PLACED:
        tenant_mark(t); /* nobody is live yet: these count as heard */
        break;
    case STREAM_RESET:
        meter_add(RESETS, 1);
        log_warn("stream_reset", "tenant=%s epoch=%s head=%llu", t->id, item->head.epoch,
                 (unsigned long long)item->head.seq);
        tenant_begin_history(t);
        tenant_want_head(t);
        presence_repeat(t->presence);
        break;
    }
    offer_chain(h, t, item->latest);
    item->latest = NULL;
    settle(h, t);
    tenant_settle_latest(t);
}

static void want_again(struct tenant *t, bool latest)
{
    t->head_wanted = true;
    t->latest_wanted |= latest;
}

static void on_heads(struct hub *h, struct news *n)
{
    bool any = false;
    if (!h->heads_fresh)
        log_info("state_manager_answers", "tenants=%zu", n->heads->count);
    h->heads_once = h->heads_fresh = true;
    h->heads_out--;
    for (size_t i = 0; i < n->heads->count; i++) {
        struct head *item = &n->heads->items[i];
        struct tenant *t = find(h, item->tenant_id);
        if (!t)
            continue;
        t->head_asked = false;
        any |= item->answered;
        h->ask_soon |= any && !item->answered; /* there was no room for it: those before it were too large */
        if (item->answered)
            take_head(h, t, item);
        else
            want_again(t, n->heads->latest);
    }
}

static void on_heads_failed(struct hub *h, struct news *n)
{
    if (h->heads_fresh)
        log_warn("state_manager_silent", "tenants=%zu", n->heads->count);
    h->heads_fresh = false;
    h->heads_out--;
    meter_add(RPC_FAILED, 1);
    for (size_t i = 0; i < n->heads->count; i++) {
        struct tenant *t = find(h, n->heads->items[i].tenant_id);
        if (!t)
            continue;
        t->head_asked = false;
        want_again(t, n->heads->latest); /* at the next upkeep */
        t->latest_given_up = true;
        tenant_settle_latest(t);
    }
}

static void on_replay(struct hub *h, struct news *n)
{
    struct tenant *t = find(h, n->tenant_id);
    if (!t)
        return;
    uint64_t before = t->stream.at.seq, resets = t->stream.ring.head, joint = t->stream.ring.joint;
    enum stream_verdict verdict = stream_on_replay(&t->stream, &n->replay, loop_now_ms(h->loop));
    n->replay.records = NULL;
    if (t->stream.ring.joint != joint)
        tenant_doubt_rooms(t);
    if (verdict == STREAM_APPENDED) {
        tenant_doubt_latest(t);
        meter_add(REPLAYED, t->stream.at.seq - before);
        log_info("replayed", "tenant=%s from=%llu to=%llu entries=%llu", t->id, (unsigned long long)before,
                 (unsigned long long)t->stream.at.seq, (unsigned long long)(t->stream.ring.head - resets));
    }
    if (verdict == STREAM_STRANGE || (verdict == STREAM_APPENDED && !t->stream.ask_at_ms)) {
        tenant_want_head(t);                      /* what else was lost with it */
        h->upstream.bind(h->upstream.ctx, t->id); /* perhaps the binding */
    }
    settle(h, t);
}

static void on_replay_failed(struct hub *h, struct news *n)
{
    struct tenant *t = find(h, n->tenant_id);
    meter_add(RPC_FAILED, 1);
    if (!t)
        return;
    stream_on_replay_failed(&t->stream, loop_now_ms(h->loop));
    t->latest_given_up = true;
}

static void on_past(struct hub *h, struct news *n)
{
    struct tenant *t = find(h, n->tenant_id);
    if (t)
        tenant_take_past(t, &n->replay);
}

static void on_past_failed(struct hub *h, struct news *n)
{
    struct tenant *t = find(h, n->tenant_id);
    meter_add(RPC_FAILED, 1);
    if (t)
        tenant_take_past(t, NULL);
}

static void on_beat(struct hub *h, struct news *n)
{
    peers_hear(&h->peers, n->beat, loop_now_ms(h->loop));
    if (n->beat->state == BEAT_NEW && strcmp(n->beat->tag, h->peers.tag) != 0)
        hub_beat(h, BEAT_HERE);
}

static void on_answer(struct hub *h, struct news *n)
{
    if (!n->text)
        meter_add(RPC_FAILED, 1);
    asks_settle(&h->asks, n->token, (struct view){n->text, n->text_n});
}

static void (*const handlers[])(struct hub *, struct news *) = {
    [NEWS_EVENTS] = on_events,       [NEWS_FEED_UP] = on_feed_up,
    [NEWS_FEED_DOWN] = on_feed_down, [NEWS_BOUND] = on_bound,
    [NEWS_HEADS] = on_heads,         [NEWS_HEADS_FAILED] = on_heads_failed,
    [NEWS_REPLAY] = on_replay,       [NEWS_REPLAY_FAILED] = on_replay_failed,
    [NEWS_RPC_UP] = on_rpc_up,       [NEWS_RPC_DOWN] = on_rpc_down,
    [NEWS_PAST] = on_past,           [NEWS_PAST_FAILED] = on_past_failed,
    [NEWS_BEAT] = on_beat,           [NEWS_ANSWER] = on_answer,
};

void news_take(struct hub *h, struct news *n)
{
    handlers[n->kind](h, n);
    news_destroy(n);
}
