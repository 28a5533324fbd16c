#include "portal-gateway/core/sid_index.h"
#include "portal-gateway/core/session.h"
#include "shared/map.h"
#include "shared/mem.h"
#include <stdlib.h>

enum { FIRST_CAP = 64 };

void sid_index_init(struct sid_index *index)
{
    *index = (struct sid_index){0};
}

void sid_index_finish(struct sid_index *index)
{
    free(index->buckets);
    sid_index_init(index);
}

static struct session **bucket_of(const struct sid_index *index, struct view sid)
{
    return &index->buckets[map_hash(sid) & (index->cap - 1)];
}

static void link_in(struct sid_index *index, struct session *s)
{
    struct session **bucket = bucket_of(index, view_of(s->secret_id));
    s->next_by_sid = *bucket;
    *bucket = s;
}

static void grow(struct sid_index *index)
{
    struct sid_index old = *index;
    index->cap = old.cap ? old.cap * 2 : FIRST_CAP;
    index->buckets = xcalloc(index->cap, sizeof(struct session *));
    for (size_t i = 0; i < old.cap; i++)
        for (struct session *s = old.buckets[i], *next; s; s = next) {
            next = s->next_by_sid;
            link_in(index, s);
        }
    free(old.buckets);
}

void sid_index_add(struct sid_index *index, struct session *s)
{
    if (index->count == index->cap)
        grow(index);
    index->count++;
    link_in(index, s);
}

void sid_index_remove(struct sid_index *index, struct session *s)
{
    if (!index->cap)
        return;
    struct session **at = bucket_of(index, view_of(s->secret_id));
    while (*at && *at != s)
        at = &(*at)->next_by_sid;
    if (!*at)
        return;
    *at = s->next_by_sid;
    s->next_by_sid = NULL;
    index->count--;
}

struct session *sid_index_find(const struct sid_index *index, struct view sid)
{
    if (!index->cap)
        return NULL;
    struct session *s = *bucket_of(index, sid);
    while (s && !view_is(sid, s->secret_id))
        s = s->next_by_sid;
    return s;
}
