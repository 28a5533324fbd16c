#include "portal-gateway/core/admission.h"
#include "portal-gateway/core/client_event.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "shared/json.h"
#include "shared/profile.h"

#define CONVERSATION_ROOM "conversation:"

static bool is_conversation(const struct policy *policy, struct view room)
{
    size_t prefix = sizeof CONVERSATION_ROOM - 1;
    return policy->agent_portal && view_starts(room, CONVERSATION_ROOM) &&
           view_is_name((struct view){room.p + prefix, room.n - prefix}, CONVERSATION_ID_MAX, "_-");
}

static const struct room_rule *rule_of(const struct policy *policy, struct view room, struct view *param)
{
    return policy->profiles ? profiles_room(policy->profiles, room, param) : NULL;
}

bool admission_has_role(const struct session *s, const char *role)
{
    struct view one;
    for (struct json_iter it = json_iter(json_get(view_of(s->who), "roles")); json_next_element(&it, &one);)
        if (json_string_is(one, role))
            return true;
    return false;
}

static bool has_one_of(const struct session *s, const struct names *roles)
{
    for (size_t i = 0; i < roles->count; i++)
        if (admission_has_role(s, roles->items[i]))
            return true;
    return false;
}

/* "*": whatever role the rule's profile knows. */
static const struct names *roles_of(const struct session *s, const struct room_rule *rule)
{
    const struct profiles *all = s->hub->policy->profiles;
    for (size_t i = 0; names_has(&rule->roles, VIEW("*")) && i < all->count; i++)
        for (size_t k = 0; k < all->items[i]->room_count; k++)
            if (&all->items[i]->rooms[k] == rule)
                return &all->items[i]->roles;
    return &rule->roles;
}

static bool gives(const struct session *s, const struct room_rule *rule, struct view param)
{
    return has_one_of(s, roles_of(s, rule)) || (rule->self && view_is(param, s->sub));
}

enum admission admission_of(const struct session *s, struct view room, bool *by_token)
{
    const struct policy *policy = s->hub->policy;
    struct view param;
    *by_token = is_conversation(policy, room);
    if (*by_token)
        return ADMISSION_DEPENDS;
    const struct room_rule *rule = rule_of(policy, room, &param);
    if (!rule)
        return ADMISSION_DENIED;
    *by_token = gives(s, rule, param);
    if (rule->of && (*by_token || rule->owner))
        return ADMISSION_DEPENDS;
    return *by_token ? ADMISSION_GRANTED : ADMISSION_DENIED;
}

bool admission_is_ruled(const struct policy *policy, struct view room)
{
    struct view param;
    return is_conversation(policy, room) || rule_of(policy, room, &param);
}

bool admission_opens(const struct session *s, struct view room, struct view right)
{
    bool by_token;
    bool exists = json_is_true(right) || json_type(right) == JSON_STRING;
    if (!exists || admission_of(s, room, &by_token) != ADMISSION_DEPENDS)
        return false;
    return by_token || (json_type(right) == JSON_STRING && json_string_is(right, s->sub));
}
