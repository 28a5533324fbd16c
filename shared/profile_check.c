/* Profiles, their rooms, client events and resources: what no single table sees. */
#include "shared/profile_check.h"
#include "shared/event.h"
#include "shared/json.h"
#include <stdlib.h>
#include <string.h>

bool is_role_of(const struct profile *p, struct view role)
{
    return names_has(&p->roles, role) || view_is(role, "service");
}

/* --- rooms --- */

bool is_known_room(const struct profile *p, struct view room, bool of_tokens)
{
    static const char role[] = "role:", user[] = "user:", team[] = "team:";
    if (of_tokens && view_starts(room, role))
        return is_role_of(p, (struct view){room.p + sizeof role - 1, room.n - sizeof role + 1});
    if (of_tokens && (view_starts(room, user) || view_starts(room, team)))
        return room.n > sizeof user - 1;
    struct profile copy = *p;
    struct profiles alone = {.items = {&copy}, .count = 1};
    struct view param;
    return profiles_room(&alone, room, &param);
}

static void check_roles(struct reading *r, const struct names *roles)
{
    size_t was = json_at_name(&r->at, "roles");
    for (size_t i = 0; i < roles->count; i++)
        if (strcmp(roles->items[i], "*") != 0 && !is_role_of(r->profile, view_of(roles->items[i])))
            fault(r, "there is no role \"%s\"", roles->items[i]);
    json_at_leave(&r->at, was);
}

static bool is_same_room(const struct room_rule *a, const struct room_rule *b)
{
    return !a->param == !b->param && !strcmp(a->prefix, b->prefix) && !strcmp(a->suffix, b->suffix);
}

/* Rooms that gateways put sockets into by themselves. */
static bool is_rooms_of_ours(const char *prefix)
{
    static const char *const ours[] = {"user:", "role:", "team:", "conversation:", "tenant:"};
    for (size_t i = 0; i < countof(ours); i++)
        if (!strncmp(prefix, ours[i], strlen(ours[i])))
            return true;
    return false;
}

static void check_room(struct reading *r, const struct room_rule *rule)
{
    const struct profile *p = r->profile;
    size_t fixed = strlen(rule->prefix) + strlen(rule->suffix);
    check_roles(r, &rule->roles);
    if (rule->param && !*rule->prefix)
        fault(r, "a room must not begin with its parameter");
    else if (is_rooms_of_ours(rule->prefix))
        fault(r, "rooms that begin with \"%.*s\" are Portalcast's own", (int)strcspn(rule->prefix, ":") + 1,
              rule->prefix);
    if (rule->param && fixed > PROFILE_NAME_MAX)
        fault(r, "what stands around the parameter is over %d bytes", PROFILE_NAME_MAX);
    for (const struct room_rule *other = p->rooms; other < rule; other++)
        if (is_same_room(other, rule))
            fault(r, "is the same room as $.rooms[%zu]", (size_t)(other - p->rooms));
}

static void check_joining(struct reading *r, const struct room_rule *rule)
{
    if (!rule->roles.count && !rule->self && !rule->owner)
        fault(r, "nobody may join it: neither \"roles\" nor \"self\" nor \"owner\"");
    if (!rule->param && (rule->of || rule->self || rule->owner))
        fault(r, "\"of\", \"self\" and \"owner\" are about the room's parameter, and it has none");
    if (rule->owner && !(rule->of && rule->of->owner))
        fault(r, "\"owner\" needs \"of\", a resource that has an owner");
}

static void check_rooms(struct reading *r)
{
    const struct profile *p = r->profile;
    size_t was = json_at_name(&r->at, "rooms");
    for (size_t i = 0; i < p->room_count; i++) {
        size_t here = json_at_index(&r->at, i);
        check_room(r, &p->rooms[i]);
        check_joining(r, &p->rooms[i]);
        json_at_leave(&r->at, here);
    }
    json_at_leave(&r->at, was);
}

/* --- client events --- */

static const struct operation_field *sent_field(const struct operation *o, struct view name)
{
    for (size_t i = 0; i < o->field_count; i++)
        if (o->fields[i].field && view_is(name, o->fields[i].field->name))
            return &o->fields[i];
    return NULL;
}

/* A body that names its members can be held against the fields. */
static void check_members_of_body(struct reading *r, const struct operation *o, struct view body)
{
    struct view key, value, name;
    if (json_type(body) != JSON_OBJECT || o->any_body || json_get(body, "...").n)
        return;
    for (struct json_iter it = json_iter(body); json_next_member(&it, &key, &value);) {
        size_t was = json_at_member(&r->at, key);
        if (json_plain_string(key, &name) && !sent_field(o, name) && !view_is(name, "version"))
            fault(r, "\"%s.%s\" takes no such member", o->resource->name, o->name);
        json_at_leave(&r->at, was);
    }
    for (size_t i = 0; i < o->field_count; i++)
        if (o->fields[i].required && o->fields[i].field && !json_get(body, o->fields[i].field->name).n)
            fault(r, "\"%s.%s\" requires \"%s\"", o->resource->name, o->name, o->fields[i].field->name);
}

static void check_params_of_command(struct reading *r, const struct client_rule *rule)
{
    const struct operation *o = rule->operation;
    struct view key, value, name;
    size_t was = json_at_name(&r->at, "params");
    for (struct json_iter it = json_iter(rule->params); json_next_member(&it, &key, &value);) {
        size_t here = json_at_member(&r->at, key);
        if (json_type(value) != JSON_STRING)
            fault(r, "must be a string");
        if (!json_plain_string(key, &name) || !operation_has_param(o, name))
            fault(r, "the path of \"%s.%s\" has no such parameter", o->resource->name, o->name);
        json_at_leave(&r->at, here);
    }
    for (size_t i = 0; i < o->part_count; i++)
        if (o->parts[i].is_param && !json_get(rule->params, o->parts[i].text).n)
            fault(r, "{%s} of the path of \"%s.%s\" is missing", o->parts[i].text, o->resource->name,
                  o->name);
    json_at_leave(&r->at, was);
}

static void check_command(struct reading *r, const struct client_rule *rule)
{
    const struct operation *o = rule->operation;
    if (!o)
        return;
    if (o->kind == DO_LIST || o->kind == DO_GET || o->kind == DO_AUDIT) {
        fault(r, "\"command\" must be a write");
        return;
    }
    check_params_of_command(r, rule);
    size_t was = json_at_name(&r->at, "body");
    if (rule->body.n && !o->any_body && !o->field_count)
        fault(r, "\"%s.%s\" takes no body", o->resource->name, o->name);
    else if (rule->body.n)
        check_members_of_body(r, o, rule->body);
    json_at_leave(&r->at, was);
}

static bool is_reserved_event(const char *name)
{
    static const char *const reserved[] = {"refresh_token", "typing", "set_presence"};
    for (size_t i = 0; i < countof(reserved); i++)
        if (!strcmp(name, reserved[i]))
            return true;
    return false;
}

static void check_event(struct reading *r, const struct client_rule *rule)
{
    struct speech token = {.r = r, .roots = TEMPLATE_BIT(TOKEN), .event = rule}, all = token;
    all.roots |= TEMPLATE_BIT(ARGS);
    if (is_reserved_event(rule->name))
        fault(r, "this client event is Portalcast's own");
    size_t was = json_at_name(&r->at, "check");
    for (size_t i = 0; i < rule->check_count; i++)
        if (!view_starts(rule->checks[i].expression, "token."))
            fault(r, "only claims can be checked: token.sub, token.role ...");
    json_at_leave(&r->at, was);
    speak_checks(&all, "check", rule->checks, rule->check_count);
    if (rule->action == ACTION_EMIT) {
        was = json_at_name(&r->at, "emit");
        speak_rooms(&all, "to", rule->rooms, rule->room_count, true);
        speak(&all, "data", rule->emit_data);
        json_at_leave(&r->at, was);
    } else if (rule->room_count) {
        speak_rooms(&all, rule->action == ACTION_JOIN ? "join" : "leave", rule->rooms, rule->room_count,
                    false);
    }
    speak(&all, "params", rule->params);
    speak(&all, "body", rule->body);
    speak(&all, "key", rule->key);
    check_command(r, rule);
}

static void check_events(struct reading *r)
{
    const struct profile *p = r->profile;
    size_t was = json_at_name(&r->at, "events");
    for (size_t i = 0; i < p->event_count; i++) {
        size_t here = json_at_name(&r->at, p->events[i].name);
        check_event(r, &p->events[i]);
        json_at_leave(&r->at, here);
    }
    json_at_leave(&r->at, was);
}

/* --- resources --- */

static void check_id(struct reading *r, const struct resource *resource)
{
    size_t was = json_at_name(&r->at, "id"), digits = 0;
    for (const char *c = resource->id_form ? resource->id_form : ""; *c; c++)
        digits += *c == '#';
    if (resource->id_form &&
        (digits < 6 || !view_is_name(view_of(resource->id_form), PROFILE_NAME_MAX, "#_-")))
        fault(r, "\"form\" must be 6 or more # (digits), and A-Z a-z 0-9 _ - around, %d in all",
              PROFILE_NAME_MAX);
    if (names_has(&resource->id_names, VIEW("version")))
        fault(r, "\"version\" is every document's own");
    json_at_leave(&r->at, was);
}

static void check_name_of_document(struct reading *r, const struct resource *resource, const char *member,
                                   const char *name)
{
    if (!name || document_has(resource, view_of(name)))
        return;
    size_t was = json_at_name(&r->at, member);
    fault(r, "documents of \"%s\" have no \"%s\"", resource->name, name);
    json_at_leave(&r->at, was);
}

static void check_people(struct reading *r, const struct resource *resource)
{
    if (!resource->people) {
        if (r->profile->people == resource)
            fault(r, "$.people needs \"people\": true here");
        return;
    }
    if (r->profile->people != resource)
        fault(r, "\"people\": true, but $.people is not \"%s\"", resource->name);
    for (size_t i = 0; i < resource->operation_count; i++)
        if (resource->operations[i].kind != DO_LIST && resource->operations[i].kind != DO_GET)
            fault(r, "\"%s\": people are kept from their tokens; they can be listed and got",
                  resource->operations[i].name);
}

static void check_resource(struct reading *r, const struct resource *resource)
{
    struct speech literal = {.r = r};
    check_id(r, resource);
    check_people(r, resource);
    check_name_of_document(r, resource, "owner", resource->owner);
    check_name_of_document(r, resource, "state", resource->state);
    check_name_of_document(r, resource, "within", resource->within);
    speak(&literal, "absent", resource->absent);
    check_fields(r, resource);
    size_t was = json_at_name(&r->at, "operations");
    for (size_t i = 0; i < resource->operation_count; i++) {
        size_t here = json_at_name(&r->at, resource->operations[i].name);
        check_operation(r, &resource->operations[i]);
        json_at_leave(&r->at, here);
    }
    json_at_leave(&r->at, was);
}

static const struct operation *earlier_with_path(const struct profile *p, const struct operation *o)
{
    for (size_t i = 0; i < p->resource_count; i++)
        for (size_t k = 0; k < p->resources[i].operation_count; k++) {
            const struct operation *other = &p->resources[i].operations[k];
            if (other == o)
                return NULL;
            if (operations_collide(other, o))
                return other;
        }
    return NULL;
}

static void check_paths(struct reading *r, const struct resource *resource)
{
    size_t was = json_at_name(&r->at, "operations");
    for (size_t i = 0; i < resource->operation_count; i++) {
        const struct operation *o = &resource->operations[i], *other = earlier_with_path(r->profile, o);
        if (!other)
            continue;
        size_t here = json_at_name(&r->at, o->name);
        json_at_name(&r->at, "path");
        fault(r, "\"%s.%s\" has this path and method, too", other->resource->name, other->name);
        json_at_leave(&r->at, here);
    }
    json_at_leave(&r->at, was);
}

static void check_resources(struct reading *r)
{
    const struct profile *p = r->profile;
    size_t was = json_at_name(&r->at, "resources");
    for (size_t i = 0; i < p->resource_count; i++) {
        size_t here = json_at_name(&r->at, p->resources[i].name);
        check_resource(r, &p->resources[i]);
        check_paths(r, &p->resources[i]);
        json_at_leave(&r->at, here);
    }
    json_at_leave(&r->at, was);
}

/* --- the whole --- */

static void check_presence(struct reading *r)
{
    const struct names *rooms = &r->profile->presence_rooms;
    size_t was = json_at_name(&r->at, "presence");
    for (size_t i = 0; i < rooms->count; i++)
        if (!is_known_room(r->profile, view_of(rooms->items[i]), true))
            fault(r, "no room is called \"%s\"", rooms->items[i]);
    json_at_leave(&r->at, was);
}

static void check_typing(struct reading *r)
{
    const struct profile *p = r->profile;
    size_t was = json_at_name(&r->at, "typing");
    for (size_t i = 0; i < p->typing_count; i++) {
        const struct typing_rule *typing = &p->typing[i];
        bool found = false;
        for (size_t k = 0; k < p->room_count && !found; k++)
            found = p->rooms[k].param && !strcmp(p->rooms[k].prefix, typing->prefix) &&
                    !strcmp(p->rooms[k].suffix, typing->suffix);
        size_t here = json_at_name(&r->at, typing->argument);
        if (!found)
            fault(r, "there is no such room in $.rooms");
        json_at_leave(&r->at, here);
    }
    json_at_leave(&r->at, was);
}

static void check_own_roles(struct reading *r)
{
    static const char *const ours[] = {"service", "platform-admin"};
    size_t was = json_at_name(&r->at, "roles");
    for (size_t i = 0; i < countof(ours); i++)
        if (names_has(&r->profile->roles, view_of(ours[i])))
            fault(r, "\"%s\" is a role of Portalcast's own", ours[i]);
    json_at_leave(&r->at, was);
}

void check_profile(struct reading *r)
{
    check_own_roles(r);
    check_rooms(r);
    check_presence(r);
    check_typing(r);
    check_events(r);
    check_resources(r);
}
