#include "portal-gateway/core/latest.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
    PACK_BYTES = 16384, /* and then a new one, so that one of them fits into what a socket takes at once */
    PACK_MAX = 2 * EVENT_BODY_MAX
};

struct key {
    char bytes[EVENT_TYPE_MAX + 1 + EVENT_KEY_MAX];
    size_t n;
};

/* type, NUL (1 for our own), key: no type holds either. */
static struct key key_of(const char *type, const char *key, bool own)
{
    struct key k;
    size_t n = strlen(type);
    memcpy(k.bytes, type, n);
    k.bytes[n++] = own;
    memcpy(k.bytes + n, key, strlen(key));
    k.n = n + strlen(key);
    return k;
}

static struct key key_of_record(const struct record *r)
{
    return key_of(r->event.type, r->event.key, r->own);
}

void latest_init(struct latest *l)
{
    *l = (struct latest){0};
    map_init(&l->values);
}

static void forget_stems(struct latest_value *value)
{
    for (size_t i = 0; i < FRAME_FORMS; i++)
        buf_free(&value->stems[i]);
}

static void destroy(struct latest_value *value)
{
    forget_stems(value);
    record_destroy(value->record);
    free(value);
}

bool latest_is_restricted(const struct latest_value *value)
{
    return value->record->event.rooms.n > 0;
}

/* --- as frames --- */

void latest_pack_finish(struct latest_pack *pack)
{
    for (size_t i = 0; i < pack->count; i++)
        frame_unref(pack->frames[i]);
    free(pack->frames);
    *pack = (struct latest_pack){0};
}

static void unpack(struct latest *l)
{
    for (size_t i = 0; i < FRAME_FORMS; i++)
        latest_pack_finish(&l->packs[i]);
}

static struct view stem_of(struct latest_value *value, enum frame_form form)
{
    const struct event *event = &value->record->event;
    if (!value->stems[form].len)
        frame_stem(&value->stems[form], form, event->type, event->data);
    return buf_view(&value->stems[form]);
}

static void put(struct latest_pack *pack, struct buf *frames, unsigned *count)
{
    if (!*count)
        return;
    pack->frames = xrealloc(pack->frames, (pack->count + 1) * sizeof *pack->frames);
    pack->frames[pack->count++] = frame_of_many(buf_view(frames), *count);
    buf_clear(frames);
    *count = 0;
}

struct latest_pack latest_choose(struct latest *l, enum frame_form form, const struct position *at,
                                 bool (*chosen)(const void *ctx, const struct latest_value *value),
                                 const void *ctx)
{
    struct latest_pack pack = {0};
    struct latest_value *value;
    struct buf frames, tail;
    unsigned count = 0;
    buf_init(&frames, PACK_MAX);
    frame_tail(&tail, form, at, (struct view){NULL, 0});
    for (size_t i = 0; latest_next(l, &i, &value);) {
        if (!chosen(ctx, value))
            continue;
        struct view stem = stem_of(value, form);
        if (frames.len + WS_HEADER_MAX + stem.n + tail.len > PACK_BYTES)
            put(&pack, &frames, &count);
        frame_add_joined(&frames, stem, buf_view(&tail));
        count++;
    }
    put(&pack, &frames, &count);
    buf_free(&frames);
    buf_free(&tail);
    return pack;
}

static bool is_for_all(const void *ctx, const struct latest_value *value)
{
    (void)ctx;
    return !latest_is_restricted(value);
}

const struct latest_pack *latest_for_all(struct latest *l, enum frame_form form, const struct position *at)
{
    if (l->packed_at.seq != at->seq || strcmp(l->packed_at.epoch, at->epoch) != 0) {
        unpack(l);
        l->packed_at = *at;
    }
    if (!l->packs[form].count && l->values.count > l->restricted)
        l->packs[form] = latest_choose(l, form, at, is_for_all, NULL);
    return &l->packs[form];
}

/* --- what there is --- */

void latest_clear(struct latest *l)
{
    size_t at = 0;
    struct view key;
    void *found;
    while (map_next(&l->values, &at, &key, &found))
        destroy(found);
    map_free(&l->values);
    unpack(l);
    l->own = l->restricted = 0;
    l->packed_before = 0;
}

void latest_finish(struct latest *l)
{
    latest_clear(l);
}

struct latest_value *latest_find(const struct latest *l, const struct record *r)
{
    struct key k = key_of_record(r);
    return map_get(&l->values, (struct view){k.bytes, k.n});
}

void latest_keep(struct latest *l, const struct record *r, uint64_t place)
{
    struct key k = key_of_record(r);
    struct latest_value *value = latest_find(l, r);
    if (!value) {
        if (!r->own && l->values.count - l->own >= LATEST_KEYS_MAX)
            return;
        l->own += r->own;
        value = xcalloc(1, sizeof *value);
        map_put(&l->values, (struct view){k.bytes, k.n}, value);
    }
    if (value->record)
        l->restricted -= latest_is_restricted(value);
    unpack(l);
    forget_stems(value);
    record_destroy(value->record);
    value->record = record_copy(r);
    value->place = place;
    l->restricted += latest_is_restricted(value);
    if (place >= l->packed_before)
        l->packed_before = place + 1;
}

void latest_forget_own(struct latest *l, const char *type, const char *key)
{
    struct key k = key_of(type, key, true);
    struct latest_value *value = map_remove(&l->values, (struct view){k.bytes, k.n});
    if (!value)
        return;
    unpack(l);
    l->own--;
    l->restricted -= latest_is_restricted(value);
    destroy(value);
}

bool latest_next(const struct latest *l, size_t *at, struct latest_value **out)
{
    struct view key;
    void *found;
    if (!map_next(&l->values, at, &key, &found))
        return false;
    *out = found;
    return true;
}
