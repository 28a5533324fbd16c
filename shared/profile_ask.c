/* What is asked of profiles while they are in use. */
#include "shared/json.h"
#include "shared/profile.h"
#include <string.h>

bool names_has(const struct names *names, struct view name)
{
    for (size_t i = 0; i < names->count; i++)
        if (view_is(name, names->items[i]))
            return true;
    return false;
}

bool profiles_has_builtin(const struct profiles *p, enum profile_builtin builtin)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i]->builtin == builtin)
            return true;
    return false;
}

const struct client_rule *profiles_client_event(const struct profiles *p, struct view name)
{
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->items[i]->event_count; k++)
            if (json_string_is(name, p->items[i]->events[k].name))
                return &p->items[i]->events[k];
    return NULL;
}

const struct typing_rule *profiles_typing(const struct profiles *p, struct view object)
{
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->items[i]->typing_count; k++)
            if (json_get(object, p->items[i]->typing[k].argument).n)
                return &p->items[i]->typing[k];
    return NULL;
}

static bool is_room_of(const struct room_rule *rule, struct view room, struct view *param)
{
    enum { PARAM_MAX = 128 };
    size_t before = strlen(rule->prefix), behind = strlen(rule->suffix);
    if (!rule->param) {
        *param = (struct view){room.p + room.n, 0};
        return view_is(room, rule->prefix);
    }
    if (room.n <= before + behind || !view_starts(room, rule->prefix) ||
        memcmp(room.p + room.n - behind, rule->suffix, behind) != 0)
        return false;
    *param = (struct view){room.p + before, room.n - before - behind};
    return param->n <= PARAM_MAX;
}

const struct room_rule *profiles_room(const struct profiles *p, struct view room, struct view *param)
{
    const struct room_rule *found = NULL;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->items[i]->room_count; k++) {
            const struct room_rule *rule = &p->items[i]->rooms[k];
            struct view text;
            /* A name in full is meant before one with a parameter. */
            if ((found && rule->param) || !is_room_of(rule, room, &text))
                continue;
            found = rule;
            *param = text;
        }
    return found;
}

static const struct operation *find_operation(const struct profile *p, struct view resource,
                                              struct view operation)
{
    for (size_t i = 0; i < p->resource_count; i++)
        for (size_t k = 0; view_is(resource, p->resources[i].name) && k < p->resources[i].operation_count;
             k++)
            if (view_is(operation, p->resources[i].operations[k].name))
                return &p->resources[i].operations[k];
    return NULL;
}

const struct operation *profile_operation(const struct profile *p, const char *resource,
                                          const char *operation)
{
    return find_operation(p, view_of(resource), view_of(operation));
}

const struct operation *profiles_operation(const struct profiles *p, struct view full_name)
{
    struct view profile, resource;
    if (!view_split(&full_name, '.', &profile) || !view_split(&full_name, '.', &resource))
        return NULL;
    for (size_t i = 0; i < p->count; i++)
        if (view_is(profile, p->items[i]->name))
            return find_operation(p->items[i], resource, full_name);
    return NULL;
}
