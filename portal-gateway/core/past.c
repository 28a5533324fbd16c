#include "portal-gateway/core/past.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

void past_init(struct past *p)
{
    *p = (struct past){0};
    list_init(&p->chunks);
    list_init(&p->waiting);
}

static void drop(struct past *p, struct chunk *c)
{
    for (size_t i = 0; i < c->count; i++)
        entry_release(&c->entries[i]);
    list_unlink(&c->node);
    p->bytes -= c->bytes;
    free(c->entries);
    free(c);
}

void past_finish(struct past *p)
{
    list_foreach(node, &p->chunks) drop(p, container_of(node, struct chunk, node));
}

struct chunk *past_find(struct past *p, const struct position *at, int64_t now_ms)
{
    list_foreach(node, &p->chunks)
    {
        struct chunk *c = container_of(node, struct chunk, node);
        if (c->after.seq > at->seq || at->seq >= c->last || strcmp(c->after.epoch, at->epoch) != 0)
            continue;
        c->used_ms = now_ms;
        return c;
    }
    return NULL;
}

size_t chunk_index(const struct chunk *c, uint64_t seq)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->entries[middle].at.seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint64_t chunk_bytes_from(const struct chunk *c, uint64_t seq)
{
    uint64_t bytes = 0;
    for (size_t i = chunk_index(c, seq); i < c->count; i++)
        bytes += c->entries[i].record ? c->entries[i].record->bytes : 0;
    return bytes;
}

/* As many as are kept besides the newest. */
static void keep_in_bounds(struct past *p)
{
    while (!list_empty(&p->chunks)) {
        struct chunk *newest = container_of(p->chunks.next, struct chunk, node),
                     *oldest = container_of(p->chunks.prev, struct chunk, node);
        if (newest == oldest || p->bytes - newest->bytes <= PAST_KEEP_BYTES)
            return;
        drop(p, oldest);
    }
}

static void fill(struct chunk *c, struct record *r)
{
    size_t count = 0;
    for (struct record *each = r; each; each = each->next)
        count++;
    c->entries = xcalloc(count, sizeof *c->entries);
    for (struct record *next; r; r = next) {
        next = r->next;
        r->next = NULL;
        if (r->event.seq <= c->last) { /* out of order: not what was asked */
            record_destroy(r);
            continue;
        }
        struct entry *e = &c->entries[c->count++];
        e->record = r;
        e->restricted = r->event.rooms.n > 0;
        e->at.seq = c->last = r->event.seq;
        memcpy(e->at.epoch, c->after.epoch, sizeof e->at.epoch);
        c->bytes += sizeof *e + sizeof *r + 2 * r->bytes; /* a frame of about the body's size will join it */
    }
}

bool past_is_gone(const struct past *p, const struct position *at)
{
    return *at->epoch && at->seq < p->gone.seq && !strcmp(at->epoch, p->gone.epoch);
}

static bool is_awaited(const struct past *p, const struct replay *answer)
{
    return p->asking && answer->after.seq == p->asked_after.seq &&
           !strcmp(answer->after.epoch, p->asked_after.epoch);
}

/* What the answer follows on: later than what was asked for, when that is lost. */
static struct position begin(struct past *p, const struct replay *answer)
{
    struct position after = answer->after;
    if (answer->complete)
        return after;
    bool same = !strcmp(answer->head.epoch, after.epoch);
    p->gone = after;
    p->gone.seq = !same ? UINT64_MAX : answer->records ? answer->records->event.seq - 1 : answer->head.seq;
    return p->gone;
}

static void add(struct past *p, const struct position *after, struct record *records, int64_t now_ms)
{
    struct chunk *c = xcalloc(1, sizeof *c);
    c->after = *after;
    c->last = after->seq;
    c->used_ms = now_ms;
    fill(c, records);
    p->bytes += c->bytes;
    list_append(p->chunks.next, &c->node); /* before the first */
    keep_in_bounds(p);
}

void past_take(struct past *p, struct replay *answer, int64_t now_ms)
{
    bool awaited = answer && is_awaited(p, answer);
    p->asking = false;
    if (awaited) {
        struct position after = begin(p, answer);
        if (answer->records)
            add(p, &after, answer->records, now_ms);
        else if (answer->complete) /* nothing new, and yet nobody is there: not at once again */
            p->retry_at_ms = now_ms + PAST_RETRY_MS;
    } else {
        p->retry_at_ms = now_ms + PAST_RETRY_MS;
        if (answer)
            record_destroy_chain(answer->records);
    }
    if (answer)
        answer->records = NULL;
}

void past_forget_old(struct past *p, int64_t now_ms)
{
    list_foreach(node, &p->chunks)
    {
        struct chunk *c = container_of(node, struct chunk, node);
        if (now_ms - c->used_ms > PAST_KEEP_MS)
            drop(p, c);
    }
}
