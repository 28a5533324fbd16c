/* What a profile, its rooms and its client events may say: a table each. */
#include "shared/event.h"
#include "shared/json.h"
#include "shared/profile_read.h"
#include <string.h>

#define AT(type, field)      offsetof(struct type, field)
#define LIST(type, one, all) offsetof(struct type, one), offsetof(struct type, all)

/* --- rooms --- */

static bool is_room_text(struct view v)
{
    return !v.n || view_is_name(v, EVENT_ROOM_BYTES_MAX, "_.:-");
}

/* "before-{name}-behind" in its parts, kept; without a parameter *name is NULL. False: no such form, said. */
static bool split_pattern(struct reading *r, struct view value, char **before, char **name, char **behind)
{
    struct view text = {NULL, 0};
    if (!json_plain_string(value, &text) || !text.n) {
        fault(r, "must be a name, or one with a {parameter}");
        return false;
    }
    const char *open = memchr(text.p, '{', text.n), *end = text.p + text.n;
    const char *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
    struct view head = {text.p, (size_t)((open ? open : end) - text.p)}, tail = {end, 0}, param = {end, 0};
    if (close) {
        param = (struct view){open + 1, (size_t)(close - open - 1)};
        tail = (struct view){close + 1, (size_t)(end - close - 1)};
    }
    bool fits =
        !open == !close && is_room_text(head) && is_room_text(tail) && (!close || is_profile_name(param));
    if (!fits)
        fault(r, "must be of A-Z a-z 0-9 _ . : -, with one {parameter} at the most");
    *before = keep_text(r, fits ? head : VIEW(""));
    *name = fits && close ? keep_text(r, param) : NULL;
    *behind = keep_text(r, fits ? tail : VIEW(""));
    return fits;
}

static READER(read_room_pattern)
{
    struct room_rule *rule = parent;
    (void)m;
    split_pattern(r, value, &rule->prefix, &rule->param, &rule->suffix);
}

static bool is_role(struct view v)
{
    return view_is_name(v, TOKEN_NAME_MAX / 2, "_.-");
}

#define ROLE_RULE "1 to 64 of A-Z a-z 0-9 _ . -"

static bool is_role_or_any(struct view v)
{
    return is_role(v) || view_is(v, "*");
}

static const struct items roles = {.most = 16, .name_fits = is_role, .name_rule = ROLE_RULE};
static const struct items room_roles = {
    .most = 16, .name_fits = is_role_or_any, .name_rule = ROLE_RULE ", or *"};

static const struct member room_members[] = {
    {"room", true, read_room_pattern, 0, 0, NULL, 0},
    {"of", false, read_resource_name, AT(room_rule, of), 0, NULL, 0},
    {"roles", false, read_names, AT(room_rule, roles), 0, &room_roles, 0},
    {"self", false, read_bool, AT(room_rule, self), 0, NULL, 0},
    {"owner", false, read_bool, AT(room_rule, owner), 0, NULL, 0},
};
static const struct form room_form = {"a room", room_members, countof(room_members)};

static void read_room(struct reading *r, struct view value, void *item)
{
    struct room_rule *rule = item;
    read_form(r, value, rule, &room_form, 0);
    if (!rule->prefix)
        rule->prefix = keep(r, 1, 1);
    if (!rule->suffix)
        rule->suffix = keep(r, 1, 1);
}

static const struct items rooms = {.size = sizeof(struct room_rule), .most = 32, .read = read_room};

/* --- client events --- */

static bool is_event_name(struct view v)
{
    return event_type_valid(v);
}

static READER(read_event_name)
{
    char **name = (char **)(void *)((char *)parent + m->offset);
    read_text(r, value, parent, m);
    if (*name && !event_type_valid(view_of(*name)))
        fault(r, "must be an event's name: 1 to %d of A-Z a-z 0-9 _ . : -, none of Socket.IO's",
              EVENT_TYPE_MAX);
}

static const struct items arguments = {.most = PROFILE_ARGUMENTS_MAX,
                                       .name_fits = is_profile_name,
                                       .name_rule = "1 to 32 of A-Z a-z 0-9 _ -, no digit and no - first"};
static const struct items event_rooms = {.most = PROFILE_EVENT_ROOMS_MAX};

static const struct member said_members[] = {
    {"event", true, read_event_name, AT(client_rule, emit_event), 0, NULL, 0},
    {"to", true, read_strings, LIST(client_rule, rooms, room_count), &event_rooms, 0},
    {"data", true, read_json, AT(client_rule, emit_data), 0, NULL, 0},
};
static const struct form said_form = {"\"emit\" of a client event", said_members, countof(said_members)};

#define WHEN(action) (1u << ACTION_##action)

static const struct member event_members[] = {
    {"arguments", false, read_names, AT(client_rule, arguments), 0, &arguments, 0},
    {"check", false, read_checks, LIST(client_rule, checks, check_count), NULL, ~WHEN(CHECK)},
    {"check", true, read_checks, LIST(client_rule, checks, check_count), NULL, WHEN(CHECK)},
    {"join", true, read_strings, LIST(client_rule, rooms, room_count), &event_rooms, WHEN(JOIN)},
    {"leave", true, read_strings, LIST(client_rule, rooms, room_count), &event_rooms, WHEN(LEAVE)},
    {"emit", true, read_part, 0, 0, &said_form, WHEN(EMIT)},
    {"command", true, read_operation_name, AT(client_rule, operation), 0, NULL, WHEN(COMMAND)},
    {"params", false, read_object, AT(client_rule, params), 0, NULL, WHEN(COMMAND)},
    {"body", false, read_json, AT(client_rule, body), 0, NULL, WHEN(COMMAND)},
    {"key", false, read_string, AT(client_rule, key), 0, NULL, WHEN(COMMAND)},
};
static const struct form event_form = {"this kind of client event", event_members, countof(event_members)};

/* What it does shows in which of these it has. */
static enum client_action action_of(struct view value)
{
    static const char *const members[] = {[ACTION_JOIN] = "join",
                                          [ACTION_LEAVE] = "leave",
                                          [ACTION_EMIT] = "emit",
                                          [ACTION_COMMAND] = "command"};
    for (size_t i = ACTION_JOIN; i < countof(members); i++)
        if (json_get(value, members[i]).n)
            return (enum client_action)i;
    return ACTION_CHECK;
}

static void read_event(struct reading *r, struct view value, void *item)
{
    struct client_rule *rule = item;
    rule->action = action_of(value);
    read_form(r, value, rule, &event_form, 1u << rule->action);
}

static const struct items events = {.size = sizeof(struct client_rule),
                                    .most = 64,
                                    .name_fits = is_event_name,
                                    .name_rule =
                                        "an event's: 1 to 64 of A-Z a-z 0-9 _ . : -, none of Socket.IO's",
                                    .read = read_event};

/* --- typing --- */

static void read_typing(struct reading *r, struct view value, void *item)
{
    struct typing_rule *rule = item;
    char *param;
    if (!split_pattern(r, value, &rule->prefix, &param, &rule->suffix)) {
        rule->prefix = rule->suffix = keep(r, 1, 1);
        return;
    }
    if (!param || strcmp(param, rule->argument) != 0)
        fault(r, "must have {%s} in it", rule->argument);
}

static const struct items typings = {.size = sizeof(struct typing_rule),
                                     .most = 8,
                                     .name_fits = is_profile_name,
                                     .name_rule = "1 to 32 of A-Z a-z 0-9 _ -, no digit and no - first",
                                     .read = read_typing};

/* --- the whole --- */

static bool is_plain_room(struct view v)
{
    return v.n && is_room_text(v);
}

static const struct items presence_rooms = {
    .most = EVENT_ROOMS_MAX, .name_fits = is_plain_room, .name_rule = "a room's name: A-Z a-z 0-9 _ . : -"};
static const struct member presence_members[] = {
    {"rooms", false, read_names, AT(profile, presence_rooms), 0, &presence_rooms, 0},
};
static const struct form presence_form = {"\"presence\"", presence_members, countof(presence_members)};

static const char *const builtins[] = {[BUILTIN_NONE] = "",
                                       [BUILTIN_AGENT_PORTAL] = "agent-portal",
                                       [BUILTIN_CONFORMANCE] = "conformance",
                                       NULL};

static READER(read_builtin)
{
    struct profile *p = parent;
    struct member rest = *m;
    rest.more = builtins + 1;
    read_choice(r, value, parent, &rest);
    p->builtin++; /* which is BUILTIN_NONE when it is none of them */
}

enum { OWN_RULES = 1, BUILT_IN = 2 };

static const struct member profile_members[] = {
    {"profile", true, read_name, AT(profile, name), 0, NULL, 0},
    {"description", false, read_text, AT(profile, description), 0, NULL, 0},
    {"builtin", true, read_builtin, AT(profile, builtin), 0, NULL, BUILT_IN},
    {"roles", true, read_names, AT(profile, roles), 0, &roles, OWN_RULES},
    {"people", false, read_resource_name, AT(profile, people), 0, NULL, OWN_RULES},
    {"presence", false, read_part, 0, AT(profile, has_presence), &presence_form, OWN_RULES},
    {"typing", false, read_map, LIST(profile, typing, typing_count), &typings, OWN_RULES},
    {"rooms", false, read_array, LIST(profile, rooms, room_count), &rooms, OWN_RULES},
    {"events", false, read_map, LIST(profile, events, event_count), &events, OWN_RULES},
    {"resources", false, read_map, LIST(profile, resources, resource_count), &resource_items, OWN_RULES},
};
static const struct form profile_form = {"a profile", profile_members, countof(profile_members)};

void read_profile(struct reading *r, struct view value)
{
    bool is_builtin = json_get(value, "builtin").n;
    read_form(r, value, r->profile, &profile_form, is_builtin ? BUILT_IN : OWN_RULES);
}
