#include "state-manager/owners.h"
#include "shared/clock.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum { KNOWN_MAX = 10000, KNOWN_MS = 5000 };

struct known_owner {
    char tenant_id[TENANT_ID_MAX + 1];
    int64_t until_ms;
};

void owners_init(struct owners *o, struct store *store)
{
    o->store = store;
    map_init(&o->known);
}

void owners_finish(struct owners *o)
{
    void *value;
    for (size_t at = 0; map_next(&o->known, &at, NULL, &value);)
        free(value);
    map_free(&o->known);
}

void owners_learn(struct owners *o, struct view channel_id, const char *tenant_id)
{
    struct known_owner *known = xcalloc(1, sizeof *known);
    if (o->known.count >= KNOWN_MAX)
        owners_finish(o);
    memcpy(known->tenant_id, tenant_id, strlen(tenant_id) + 1);
    known->until_ms = clock_mono_ms() + KNOWN_MS;
    free(map_put(&o->known, channel_id, known));
}

const char *owners_find(struct owners *o, struct view channel_id, struct err *err)
{
    struct known_owner *known = map_get(&o->known, channel_id);
    if (known && known->until_ms > clock_mono_ms())
        return known->tenant_id;
    struct channel channel;
    bool found;
    if (!o->store->ops->channel_get(o->store, channel_id, &channel, &found, err))
        return NULL;
    owners_learn(o, channel_id, found ? channel.tenant_id : "");
    return ((struct known_owner *)map_get(&o->known, channel_id))->tenant_id;
}
