#include "portal-gateway/core/peers.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/session.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

void peers_init(struct peers *p, const char *own_tag)
{
    *p = (struct peers){0};
    memcpy(p->tag, own_tag, sizeof p->tag);
    map_init(&p->all);
}

void peers_finish(struct peers *p)
{
    struct view tag;
    void *peer;
    for (size_t at = 0; map_next(&p->all, &at, &tag, &peer);)
        free(peer);
    map_free(&p->all);
}

static void forget(struct peers *p, const char *tag, const char *why)
{
    struct peer *peer = map_remove(&p->all, view_of(tag));
    if (!peer)
        return;
    log_info("peer_gone", "tag=%s address=%s port=%d why=\"%s\"", peer->tag, peer->address, peer->port, why);
    free(peer);
    meter_set(PEERS, p->all.count);
}

/* One a call, because the map must not change while it is walked. */
static bool forget_one_silent(struct peers *p)
{
    struct view tag;
    void *found;
    for (size_t at = 0; map_next(&p->all, &at, &tag, &found);) {
        const struct peer *peer = found;
        if (p->own_ms - peer->heard_ms > PEER_SILENT_MS) {
            forget(p, peer->tag, "silent");
            return true;
        }
    }
    return false;
}

/* What kept our own word from coming round so long, a broker that takes nothing, kept back that of the
 * others. */
static void hear_ourselves(struct peers *p, int64_t now_ms)
{
    if (p->own_ms && now_ms - p->own_ms > PEER_SILENT_MS)
        peers_excuse(p, now_ms);
    p->own_ms = now_ms;
    if (!p->first_ms)
        p->first_ms = now_ms;
    while (forget_one_silent(p))
        ;
}

void peers_hear(struct peers *p, const struct beat *beat, int64_t now_ms)
{
    if (strcmp(beat->tag, p->tag) == 0) {
        hear_ourselves(p, now_ms);
        return;
    }
    if (beat->state == BEAT_LEAVING) {
        forget(p, beat->tag, "left");
        return;
    }
    struct peer *peer = map_get(&p->all, view_of(beat->tag));
    if (!peer) {
        peer = xcalloc(1, sizeof *peer);
        memcpy(peer->tag, beat->tag, sizeof peer->tag);
        map_put(&p->all, view_of(beat->tag), peer);
        meter_set(PEERS, p->all.count);
        log_info("peer", "tag=%s gateway=%s address=%s port=%d", beat->tag, beat->gateway, beat->address,
                 beat->port);
    }
    memcpy(peer->address, beat->address, sizeof peer->address);
    if (!address_parse(view_of(peer->address), &peer->ip))
        peer->ip = (struct address){{0}}; /* nobody's */
    peer->port = beat->port;
    peer->heard_ms = now_ms;
}

void peers_excuse(struct peers *p, int64_t now_ms)
{
    struct view tag;
    void *peer;
    for (size_t at = 0; map_next(&p->all, &at, &tag, &peer);)
        ((struct peer *)peer)->heard_ms = now_ms;
}

bool peers_is_foreign(const struct peers *p, struct view sid)
{
    return sid.n == SECRET_ID_SIZE - 1 && !view_starts(sid, p->tag) && view_is_name(sid, sid.n, "-_");
}

const struct peer *peers_find(const struct peers *p, struct view sid)
{
    if (!peers_is_foreign(p, sid))
        return NULL;
    return map_get(&p->all, (struct view){sid.p, GATEWAY_TAG_CHARS});
}

bool peers_are_unheard(const struct peers *p, int64_t now_ms)
{
    return p->first_ms && now_ms - p->own_ms > PEER_SILENT_MS;
}

bool peers_are_settled(const struct peers *p, int64_t now_ms)
{
    return p->first_ms && now_ms - p->first_ms >= PEER_SETTLE_MS;
}

bool peers_have(const struct peers *p, const struct address *address)
{
    struct view tag;
    void *found;
    for (size_t at = 0; map_next(&p->all, &at, &tag, &found);)
        if (!memcmp(((struct peer *)found)->ip.bytes, address->bytes, sizeof address->bytes))
            return true;
    return false;
}
