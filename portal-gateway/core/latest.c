#include "portal-gateway/core/latest.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

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

static void drop_frames(struct latest_value *value)
{
    for (size_t i = 0; i < FRAME_FORMS; i++) {
        frame_unref(value->frames[i]);
        value->frames[i] = NULL;
    }
}

static void destroy(struct latest_value *value)
{
    drop_frames(value);
    record_destroy(value->record);
    free(value);
}

/* Many come at once, and each is told all: so they share what it looks like. */
struct frame *latest_frame(struct latest_value *value, enum frame_form form, const struct position *at)
{
    const struct event *event = &value->record->event;
    if (value->framed_at.seq != at->seq || strcmp(value->framed_at.epoch, at->epoch) != 0) {
        drop_frames(value);
        value->framed_at = *at;
    }
    if (!value->frames[form])
        value->frames[form] = frame_of_event(form, event->type, event->data, at, (struct view){NULL, 0});
    return frame_ref(value->frames[form]);
}

void latest_clear(struct latest *l)
{
    size_t at = 0;
    struct view key;
    void *found;
    while (map_next(&l->values, &at, &key, &found))
        destroy(found);
    map_free(&l->values);
    l->own = 0;
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
    drop_frames(value);
    record_destroy(value->record);
    value->record = record_copy(r);
    value->place = place;
}

void latest_forget_own(struct latest *l, const char *type, const char *key)
{
    struct key k = key_of(type, key, true);
    struct latest_value *value = map_remove(&l->values, (struct view){k.bytes, k.n});
    if (!value)
        return;
    l->own--;
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
