#include "state-manager/core/grant.h"
#include "shared/json.h"

bool claims_name_role(struct view claims, const char *role)
{
    struct view one;
    for (struct json_iter it = json_iter(json_get(claims, "roles")); json_next_element(&it, &one);)
        if (json_string_is(one, role))
            return true;
    return false;
}

static bool has_any_role(const struct names *roles, struct view claims)
{
    for (size_t i = 0; i < roles->count; i++)
        if (claims_name_role(claims, roles->items[i]))
            return true;
    return false;
}

enum reach grant_reach(const struct operation *o, struct view claims)
{
    enum reach reach = REACH_NONE;
    for (size_t i = 0; i < o->grant_count; i++) {
        const struct grant *g = &o->grants[i];
        enum reach given = g->own ? REACH_OWN : REACH_ALL;
        bool has =
            g->role ? claims_name_role(claims, g->role) : has_any_role(&o->resource->profile->roles, claims);
        if (has && given > reach)
            reach = given;
    }
    return reach;
}

bool grant_check(const struct operation *o, struct view claims, enum reach *reach, struct err *err)
{
    *reach = grant_reach(o, claims);
    return *reach != REACH_NONE || err_set(err, ERR_DENIED, "none of your roles may do this");
}
