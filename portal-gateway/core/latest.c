#include "portal-gateway/core/latest.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

struct key {
    char bytes[EVENT_TYPE_MAX + 1 + EVENT_KEY_MAX];
    size_t n;
};

/* type, NUL, key: neither holds a NUL. */
static struct key key_of(const struct record *r)
{
    struct key k;
    size_t type = strlen(r->event.type) + 1, key = strlen(r->event.key);
    memcpy(k.bytes, r->event.type, type);
    memcpy(k.bytes + type, r->event.key, key);
    k.n = type + key;
    return k;
}

void latest_init(struct latest *l)
{
    map_init(&l->values);
}

void latest_clear(struct latest *l)
{
    size_t at = 0;
    struct view key;
    void *found;
    while (map_next(&l->values, &at, &key, &found)) {
        struct latest_value *value = found;
        record_destroy(value->record);
        free(value);
    }
    map_free(&l->values);
}

void latest_finish(struct latest *l)
{
    latest_clear(l);
}

struct latest_value *latest_find(const struct latest *l, const struct record *r)
{
    struct key k = key_of(r);
    return map_get(&l->values, (struct view){k.bytes, k.n});
}

void latest_keep(struct latest *l, const struct record *r, uint64_t place)
{
    struct key k = key_of(r);
    struct latest_value *value = latest_find(l, r);
    if (!value) {
        if (l->values.count >= LATEST_KEYS_MAX)
            return;
        value = xcalloc(1, sizeof *value);
        map_put(&l->values, (struct view){k.bytes, k.n}, value);
    }
    record_destroy(value->record);
    value->record = record_copy(r);
    value->place = place;
}

bool latest_next(const struct latest *l, size_t *at, const struct record **out)
{
    struct view key;
    void *found;
    if (!map_next(&l->values, at, &key, &found))
        return false;
    *out = ((struct latest_value *)found)->record;
    return true;
}
