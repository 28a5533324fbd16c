#include "state-manager/revocations.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/revocation.h"
#include <stdlib.h>

enum { KNOWN_MAX = 10000, KNOWN_MS = 750 };

/* What is known of a tenant. */
struct revoked {
    int64_t until_ms;  /* monotonic */
    struct map before; /* key of the document -> int64_t, wall ms */
};

/* A walk over the documents. */
struct reading {
    struct map *before;
    size_t count;
    char last[DOC_KEY_MAX + 1];
};

void revocations_init(struct revocations *r, struct store *store)
{
    r->store = store;
    map_init(&r->tenants);
}

static void forget_moments(struct map *before)
{
    void *moment;
    for (size_t at = 0; map_next(before, &at, NULL, &moment);)
        free(moment);
    map_free(before);
}

void revocations_finish(struct revocations *r)
{
    void *value;
    for (size_t at = 0; map_next(&r->tenants, &at, NULL, &value);) {
        struct revoked *known = value;
        forget_moments(&known->before);
        free(known);
    }
    map_free(&r->tenants);
}

static bool on_document(void *ctx, const struct change *row)
{
    struct reading *reading = ctx;
    int64_t before;
    reading->count++;
    if (!view_copy(row->key, reading->last, sizeof reading->last))
        return false;
    if (json_i64(json_get(row->doc, "before"), &before)) {
        int64_t *moment = xcalloc(1, sizeof *moment);
        *moment = before;
        free(map_put(reading->before, row->key, moment));
    }
    return true;
}

static bool read_all(struct store *store, const char *tenant_id, struct map *before, struct err *err)
{
    struct reading reading = {.before = before, .count = PAGE_ROWS_MAX};
    bool ok = true;
    while (ok && reading.count == PAGE_ROWS_MAX) {
        reading.count = 0;
        ok = store->ops->scan(store, tenant_id, DOC_REVOCATION, view_of(reading.last), PAGE_ROWS_MAX,
                              on_document, &reading, err);
    }
    return ok;
}

/* NULL: the store did not answer. */
static struct revoked *find(struct revocations *r, const char *tenant_id, struct err *err)
{
    struct revoked *known = map_get(&r->tenants, view_of(tenant_id));
    struct map before;
    if (known && known->until_ms > clock_mono_ms())
        return known;
    int64_t now_ms = clock_mono_ms();
    map_init(&before);
    if (!read_all(r->store, tenant_id, &before, err)) {
        forget_moments(&before);
        return NULL;
    }
    if (!known) {
        if (r->tenants.count >= KNOWN_MAX)
            revocations_finish(r);
        known = xcalloc(1, sizeof *known);
        map_put(&r->tenants, view_of(tenant_id), known);
    }
    forget_moments(&known->before);
    *known = (struct revoked){now_ms + KNOWN_MS, before};
    return known;
}

static bool is_before(const struct revoked *known, struct view key, const struct caller *caller)
{
    const int64_t *before = map_get(&known->before, key);
    return before && caller->issued_at_s * 1000 < *before;
}

bool revocations_admit(struct revocations *r, const struct caller *caller, struct err *err)
{
    char sub[REVOCATION_KEY_SIZE], jti[REVOCATION_KEY_SIZE];
    const struct revoked *known = caller ? find(r, caller->tenant_id, err) : NULL;
    if (!known)
        return !caller;
    bool revoked =
        known->before.count > 0 &&
        (is_before(known, VIEW(REVOCATION_TENANT), caller) ||
         is_before(known, revocation_key(REVOCATION_SUB, caller->sub, sub), caller) ||
         (*caller->jti && is_before(known, revocation_key(REVOCATION_JTI, caller->jti, jti), caller)));
    return !revoked || err_set(err, ERR_UNAUTHENTICATED, "token: revoked");
}
