#include "portal-gateway/core/revoked.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "shared/token.h"
#include <stdlib.h>

struct revocation {
    int64_t before_ms;
    bool may_return;
};

void revoked_init(struct revoked *r)
{
    *r = (struct revoked){0};
    map_init(&r->users);
    map_init(&r->tokens);
}

static void clear(struct map *m)
{
    size_t at = 0;
    struct view key;
    void *revocation;
    while (map_next(m, &at, &key, &revocation))
        free(revocation);
    map_free(m);
}

void revoked_finish(struct revoked *r)
{
    clear(&r->users);
    clear(&r->tokens);
}

static void raise_to(int64_t *value, int64_t before_ms)
{
    if (before_ms > *value)
        *value = before_ms;
}

static void put(struct map *m, const char *name, int64_t before_ms, bool may_return)
{
    struct revocation *known = map_get(m, view_of(name));
    if (!known) {
        known = xcalloc(1, sizeof *known);
        map_put(m, view_of(name), known);
    }
    if (before_ms >= known->before_ms)
        known->may_return = may_return;
    raise_to(&known->before_ms, before_ms);
}

void revoked_add(struct revoked *r, struct view data)
{
    char name[TOKEN_NAME_MAX + 1];
    int64_t before_ms;
    bool may_return = json_is_true(json_get(data, "mayReturn"));
    if (!json_i64(json_get(data, "before"), &before_ms))
        return;
    if (json_copy_string(json_get(data, "jti"), name, sizeof name))
        put(&r->tokens, name, before_ms, may_return);
    else if (json_copy_string(json_get(data, "sub"), name, sizeof name))
        put(&r->users, name, before_ms, may_return);
    else
        raise_to(&r->everyone_before_ms, before_ms);
}

static bool covers(const struct map *m, const char *name, int64_t issued_ms)
{
    const struct revocation *known = map_get(m, view_of(name));
    return known && issued_ms < known->before_ms;
}

bool revoked_may_return(const struct revoked *r, const char *sub)
{
    const struct revocation *known = map_get(&r->users, view_of(sub));
    return known && known->may_return;
}

bool revoked_has(const struct revoked *r, const char *sub, const char *jti, int64_t issued_ms)
{
    return (r->everyone_before_ms && issued_ms < r->everyone_before_ms) ||
           covers(&r->users, sub, issued_ms) || (*jti && map_get(&r->tokens, view_of(jti)));
}
