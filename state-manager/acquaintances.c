#include "state-manager/acquaintances.h"
#include "shared/clock.h"
#include "shared/mem.h"
#include "state-manager/core/people.h"
#include <stdio.h>
#include <stdlib.h>

enum { KNOWN_MAX = 10000, KNOWN_MS = 5000, NAME_SIZE = TENANT_ID_MAX + 1 + DOC_KEY_MAX };

struct acquaintance {
    uint64_t claims; /* their hash */
    int64_t until_ms;
};

void acquaintances_init(struct acquaintances *a, struct store *store)
{
    a->store = store;
    map_init(&a->known);
}

void acquaintances_finish(struct acquaintances *a)
{
    void *value;
    for (size_t at = 0; map_next(&a->known, &at, NULL, &value);)
        free(value);
    map_free(&a->known);
}

static void remember(struct acquaintances *a, struct view name, uint64_t claims)
{
    struct acquaintance *one = xcalloc(1, sizeof *one);
    if (a->known.count >= KNOWN_MAX)
        acquaintances_finish(a);
    *one = (struct acquaintance){claims, clock_mono_ms() + KNOWN_MS};
    free(map_put(&a->known, name, one));
}

static bool ask_store(struct acquaintances *a, const struct job *job, struct view key, bool *known,
                      struct err *err)
{
    struct buf doc;
    struct record kept;
    bool found;
    buf_init(&doc, DOC_MAX);
    bool ok = a->store->ops->get(a->store, job->tenant_id, DOC_RECORD, key, &doc, &found, err);
    record_read(buf_view(&doc), &kept);
    *known = ok && people_is_current(job->operation->resource->profile, view_of(job->claims), &kept);
    buf_free(&doc);
    return ok;
}

bool acquaintances_know(struct acquaintances *a, const struct job *job, bool *known, struct err *err)
{
    const struct profile *p = job->operation->resource->profile;
    char id[RECORD_TEXT_SIZE], key[DOC_KEY_MAX], name[NAME_SIZE];
    *known = true;
    if (!people_includes(p, view_of(job->claims), id))
        return true;
    record_key(p->people, id, key);
    int n = snprintf(name, sizeof name, "%s/%s", job->tenant_id, key);
    uint64_t claims = map_hash(view_of(job->claims));
    const struct acquaintance *one = map_get(&a->known, (struct view){name, (size_t)n});
    if (one && one->claims == claims && one->until_ms > clock_mono_ms())
        return true;
    if (!job->acquainted && !ask_store(a, job, view_of(key), known, err))
        return false;
    if (*known)
        remember(a, (struct view){name, (size_t)n}, claims);
    return true;
}
