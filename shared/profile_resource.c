/* What a resource, its fields and its operations may say: a table each. */
#include "shared/event.h"
#include "shared/json.h"
#include "shared/profile_read.h"
#include "shared/template.h"
#include <stdio.h>
#include <string.h>

#define AT(type, field)      offsetof(struct type, field)
#define LIST(type, one, all) offsetof(struct type, one), offsetof(struct type, all)

#define NAME_RULE "1 to 32 of A-Z a-z 0-9 _ -, no digit and no - first"

/* --- fields --- */

static const char *const types[] = {[FIELD_ANY] = "any",         [FIELD_STRING] = "string",
                                    [FIELD_NUMBER] = "number",   [FIELD_INTEGER] = "integer",
                                    [FIELD_BOOLEAN] = "boolean", [FIELD_OBJECT] = "object",
                                    [FIELD_ARRAY] = "array",     NULL};

static bool is_short_text(struct view v)
{
    return v.n && v.n <= 128;
}

static void read_field(struct reading *r, struct view value, void *item);
static void read_item_field(struct reading *r, struct view value, void *item);

static const struct items choices = {.most = 64, .name_fits = is_short_text, .name_rule = "1 to 128 bytes"};
static const struct items fields = {.size = sizeof(struct field),
                                    .most = 64,
                                    .name_fits = is_profile_name,
                                    .name_rule = NAME_RULE,
                                    .read = read_field};
static const struct items item_fields = {.size = sizeof(struct field),
                                         .most = 32,
                                         .name_fits = is_profile_name,
                                         .name_rule = NAME_RULE,
                                         .read = read_item_field};

enum { OF_A_DOCUMENT = 1 << 8, OF_AN_ITEM = 1 << 9 };

#define IS(type)   (1u << FIELD_##type)
#define HAS_VALUES (IS(STRING) | IS(NUMBER) | IS(INTEGER) | IS(ARRAY))

static const struct member field_members[] = {
    {"type", true, read_choice, AT(field, type), 0, types, 0},
    {"transient", false, read_bool, AT(field, is_transient), 0, NULL, OF_A_DOCUMENT},
    {"default", false, read_json, AT(field, fallback), 0, NULL, OF_A_DOCUMENT},
    {"required", false, read_bool, AT(field, required), 0, NULL, OF_AN_ITEM},
    {"min", false, read_number, AT(field, min), AT(field, has_min), NULL, HAS_VALUES},
    {"max", false, read_number, AT(field, max), AT(field, has_max), NULL, HAS_VALUES},
    {"enum", false, read_names, AT(field, choices), 0, &choices, IS(STRING)},
    {"items", false, read_map, LIST(field, items, item_count), &item_fields, IS(ARRAY)},
};
static const struct form field_form = {"a field of this type", field_members, countof(field_members)};

static unsigned type_bit(struct view value)
{
    struct view type = json_get(value, "type");
    for (int i = 0; types[i]; i++)
        if (json_type(type) == JSON_STRING && json_string_is(type, types[i]))
            return 1u << i;
    return ~(unsigned)(OF_A_DOCUMENT | OF_AN_ITEM); /* which is a fault itself: no more of it */
}

static void read_field(struct reading *r, struct view value, void *item)
{
    read_form(r, value, item, &field_form, OF_A_DOCUMENT | type_bit(value));
}

static void read_item_field(struct reading *r, struct view value, void *item)
{
    read_form(r, value, item, &field_form, OF_AN_ITEM | type_bit(value));
}

/* --- what operations are made of --- */

static READER(read_event_name)
{
    char **name = (char **)(void *)((char *)parent + m->offset);
    read_text(r, value, parent, m);
    if (*name && !event_type_valid(view_of(*name)))
        fault(r, "must be an event's name: 1 to %d of A-Z a-z 0-9 _ . : -, none of Socket.IO's",
              EVENT_TYPE_MAX);
}

static void read_setting(struct reading *r, struct view value, void *item)
{
    struct setting *setting = item;
    (void)r;
    setting->value = value;
    setting->only_clock = template_uses(value, TEMPLATE_NOW);
}

static const struct items settings = {.size = sizeof(struct setting),
                                      .most = 64,
                                      .name_fits = is_profile_name,
                                      .name_rule = NAME_RULE,
                                      .read = read_setting};
static const struct items one_setting = {.size = sizeof(struct setting),
                                         .most = 1,
                                         .name_fits = is_profile_name,
                                         .name_rule = NAME_RULE,
                                         .read = read_setting};
static const struct items names = {.most = 32, .name_fits = is_profile_name, .name_rule = NAME_RULE};
static const struct items event_rooms = {.most = EVENT_ROOMS_MAX};

static const struct member condition_members[] = {
    {"changed", false, read_names, AT(condition, changed), 0, &names, 0},
    {"unchanged", false, read_names, AT(condition, unchanged), 0, &names, 0},
    {"is", false, read_checks, LIST(condition, is, is_count), NULL, 0},
};
static const struct form condition_form = {"\"when\"", condition_members, countof(condition_members)};

static const struct member emission_members[] = {
    {"event", true, read_event_name, AT(emission, event), 0, NULL, 0},
    {"to", false, read_strings, LIST(emission, rooms, room_count), &event_rooms, 0},
    {"data", true, read_json, AT(emission, data), 0, NULL, 0},
    {"when", false, read_part, AT(emission, when), 0, &condition_form, 0},
};
static const struct form emission_form = {"an emission", emission_members, countof(emission_members)};

static void read_emission(struct reading *r, struct view value, void *item)
{
    read_form(r, value, item, &emission_form, 0);
}

static const struct items emissions = {.size = sizeof(struct emission), .most = 16, .read = read_emission};

static const struct member joined_members[] = {
    {"resource", true, read_resource_name, AT(joined_rule, resource), 0, NULL, 0},
    {"id", true, read_string, AT(joined_rule, id), 0, NULL, 0},
    {"required", false, read_bool, AT(joined_rule, required), 0, NULL, 0},
};
static const struct form joined_form = {"a joined document", joined_members, countof(joined_members)};

static void read_joined(struct reading *r, struct view value, void *item)
{
    read_form(r, value, item, &joined_form, 0);
}

static const struct items joined = {.size = sizeof(struct joined_rule),
                                    .most = 8,
                                    .name_fits = is_profile_name,
                                    .name_rule = NAME_RULE,
                                    .read = read_joined};

static const struct member follow_up_members[] = {
    {"resource", true, read_resource_name, AT(follow_up, resource), 0, NULL, 0},
    {"id", true, read_string, AT(follow_up, id), 0, NULL, 0},
    {"set", true, read_map, LIST(follow_up, set, set_count), &settings, 0},
};
static const struct form follow_up_form = {"a follow-up", follow_up_members, countof(follow_up_members)};

static void read_follow_up(struct reading *r, struct view value, void *item)
{
    read_form(r, value, item, &follow_up_form, 0);
}

static const struct items follow_ups = {.size = sizeof(struct follow_up), .most = 8, .read = read_follow_up};

static const struct member disconnect_members[] = {
    {"user", true, read_string, AT(disconnect_rule, user), 0, NULL, 0},
    {"may_return", false, read_bool, AT(disconnect_rule, may_return), 0, NULL, 0},
    {"when", false, read_part, AT(disconnect_rule, when), 0, &condition_form, 0},
};
static const struct form disconnect_form = {"\"disconnect\"", disconnect_members,
                                            countof(disconnect_members)};

/* "admin", "customer:own", "*", "*:own" */
static void read_grant(struct reading *r, struct view value, void *item)
{
    struct grant *grant = item;
    struct view text, role;
    if (!json_plain_string(value, &text) || !text.n) {
        fault(r, "must be a role, or *; with :own behind it for what is the caller's own");
        return;
    }
    view_split(&text, ':', &role);
    grant->own = text.p && view_is(text, "own");
    grant->role = view_is(role, "*") ? NULL : keep_text(r, role);
    if (text.p && !grant->own)
        fault(r, "behind \":\" only \"own\" may stand");
}

static const struct items grants = {.size = sizeof(struct grant), .most = 16, .read = read_grant};

/* "subject" or, when it must be sent, "subject!" */
static void read_operation_field(struct reading *r, struct view value, void *item)
{
    struct operation_field *field = item;
    struct view text;
    if (!json_plain_string(value, &text) || !text.n) {
        fault(r, "must be the name of a field, with \"!\" behind it when it is required");
        return;
    }
    field->required = text.p[text.n - 1] == '!';
    text.n -= field->required;
    refer(r, REFER_FIELD, keep_text(r, text), r->resource, &field->field);
}

static const struct items operation_fields = {
    .size = sizeof(struct operation_field), .most = 64, .read = read_operation_field};

static const char *const methods[] = {[PM_GET] = "GET",     [PM_POST] = "POST",     [PM_PUT] = "PUT",
                                      [PM_PATCH] = "PATCH", [PM_DELETE] = "DELETE", NULL};

static void add_method(struct reading *r, struct view value, unsigned *bits)
{
    int method = PM_COUNT;
    struct member m = {.more = methods};
    read_choice(r, value, &method, &m);
    unsigned bit = method < PM_COUNT ? 1u << method : 0;
    if (*bits & bit)
        fault(r, "stands here twice");
    *bits |= bit;
}

static READER(read_methods)
{
    struct operation *o = parent;
    struct view item;
    size_t index = 0;
    (void)m;
    if (json_type(value) != JSON_ARRAY) {
        add_method(r, value, &o->methods);
        return;
    }
    for (struct json_iter it = json_iter(value); json_next_element(&it, &item); index++) {
        size_t was = json_at_index(&r->at, index);
        add_method(r, item, &o->methods);
        json_at_leave(&r->at, was);
    }
    if (!index)
        fault(r, "must not be empty");
}

static READER(read_status)
{
    struct operation *o = parent;
    int64_t status;
    (void)m;
    if (json_i64(value, &status) && status >= 200 && status <= 202)
        o->status = (int)status;
    else
        fault(r, "must be 200, 201 or 202");
}

static READER(read_body)
{
    struct operation *o = parent;
    (void)m;
    o->any_body = json_type(value) == JSON_STRING && json_string_is(value, "any");
    if (!o->any_body)
        fault(r, "must be \"any\"");
}

static READER(read_sort)
{
    static const char *const sorts[] = {"created", "updated", NULL};
    struct operation *o = parent;
    int sort = 0;
    struct member by = {.more = sorts};
    (void)m;
    read_choice(r, value, &sort, &by);
    o->by_update = sort == 1;
}

/* --- operations --- */

static const char *const kinds[] = {
    [DO_LIST] = "list",     [DO_GET] = "get",       [DO_CREATE] = "create", [DO_REPLACE] = "replace",
    [DO_UPDATE] = "update", [DO_DELETE] = "delete", [DO_AUDIT] = "audit",   NULL};

#define DO(kind) (1u << DO_##kind)
#define SETS     (DO(CREATE) | DO(REPLACE) | DO(UPDATE))
#define WRITES   (SETS | DO(DELETE))
#define ANSWERS  (WRITES | DO(GET))

static const struct member operation_members[] = {
    {"do", true, read_choice, AT(operation, kind), 0, kinds, 0},
    {"method", true, read_methods, 0, 0, NULL, 0},
    {"path", true, read_path, 0, 0, NULL, 0},
    {"who", true, read_array, LIST(operation, grants, grant_count), &grants, 0},
    {"status", false, read_status, 0, 0, NULL, WRITES},
    {"id", false, read_string, AT(operation, id), 0, NULL, ANSWERS | DO(AUDIT)},
    {"body", false, read_body, 0, 0, NULL, SETS},
    {"fields", false, read_array, LIST(operation, fields, field_count), &operation_fields, SETS},
    {"joined", false, read_map, LIST(operation, joined, joined_count), &joined, WRITES},
    {"set", false, read_map, LIST(operation, set, set_count), &settings, SETS},
    {"append", false, read_map, LIST(operation, append, append_count), &one_setting, DO(UPDATE)},
    {"then", false, read_array, LIST(operation, then, then_count), &follow_ups, WRITES},
    {"emit", false, read_array, LIST(operation, emit, emit_count), &emissions, WRITES},
    {"audit", false, read_object, AT(operation, audit), 0, NULL, WRITES},
    {"disconnect", false, read_part, AT(operation, disconnect), AT(operation, disconnect.given),
     &disconnect_form, WRITES},
    {"answer", false, read_json, AT(operation, answer), 0, NULL, ANSWERS},
    {"filters", false, read_names, AT(operation, filters), 0, &names, DO(LIST)},
    {"search", false, read_names, AT(operation, search), 0, &names, DO(LIST)},
    {"only", false, read_map, LIST(operation, only, only_count), &settings, DO(LIST)},
    {"item", false, read_json, AT(operation, item), 0, NULL, DO(LIST)},
    {"sort", false, read_sort, 0, 0, NULL, DO(LIST)},
};
static const struct form operation_form = {"this kind of operation", operation_members,
                                           countof(operation_members)};

static unsigned kind_bit(struct view value)
{
    struct view kind = json_get(value, "do");
    for (int i = 0; kinds[i]; i++)
        if (json_type(kind) == JSON_STRING && json_string_is(kind, kinds[i]))
            return 1u << i;
    return ~0u; /* which is a fault itself: no more of it */
}

static void read_operation(struct reading *r, struct view value, void *item)
{
    struct operation *o = item;
    o->resource = r->resource;
    read_form(r, value, o, &operation_form, kind_bit(value));
    if (!o->status)
        o->status = o->kind == DO_CREATE ? 201 : 200;
}

static const struct items operations = {.size = sizeof(struct operation),
                                        .most = 32,
                                        .name_fits = is_profile_name,
                                        .name_rule = NAME_RULE,
                                        .read = read_operation};

/* --- resources --- */

static const struct items id_names = {.most = 4, .name_fits = is_profile_name, .name_rule = NAME_RULE};
static const struct member id_members[] = {
    {"names", true, read_names, AT(resource, id_names), 0, &id_names, 0},
    {"form", false, read_text, AT(resource, id_form), 0, NULL, 0},
};
static const struct form id_form = {"\"id\"", id_members, countof(id_members)};

enum { KEPT_BY_WRITES = 1, OF_PEOPLE = 2 };

static const struct member resource_members[] = {
    {"people", false, read_bool, AT(resource, people), 0, NULL, 0},
    {"id", false, read_part, 0, 0, &id_form, KEPT_BY_WRITES},
    {"owner", false, read_name, AT(resource, owner), 0, NULL, KEPT_BY_WRITES},
    {"state", false, read_name, AT(resource, state), 0, NULL, KEPT_BY_WRITES},
    {"within", false, read_name, AT(resource, within), 0, NULL, KEPT_BY_WRITES},
    {"absent", false, read_object, AT(resource, absent), 0, NULL, KEPT_BY_WRITES},
    {"fields", false, read_map, LIST(resource, fields, field_count), &fields, KEPT_BY_WRITES},
    {"operations", true, read_map, LIST(resource, operations, operation_count), &operations, 0},
};
static const struct form resource_form = {"this kind of resource", resource_members,
                                          countof(resource_members)};

static void keep_names(struct reading *r, struct names *into, const char *const *from, size_t count)
{
    into->items = keep(r, count, sizeof *into->items);
    for (into->count = 0; into->count < count; into->count++)
        into->items[into->count] = keep_text(r, view_of(from[into->count]));
}

/* What the claims of a token say of a user. */
static void make_people_fields(struct reading *r, struct resource *resource)
{
    static const char *const claims[] = {"name", "email", "phone", "role"};
    resource->fields = keep(r, countof(claims), sizeof *resource->fields);
    resource->field_count = countof(claims);
    for (size_t i = 0; i < countof(claims); i++) {
        resource->fields[i].name = keep_text(r, view_of(claims[i]));
        resource->fields[i].type = FIELD_STRING;
    }
}

static void read_resource(struct reading *r, struct view value, void *item)
{
    struct resource *resource = item;
    static const char *const id[] = {"id"};
    resource->profile = r->profile;
    resource->index = (size_t)(resource - r->profile->resources);
    r->resource = resource;
    bool people = json_is_true(json_get(value, "people"));
    read_form(r, value, resource, &resource_form, people ? OF_PEOPLE : KEPT_BY_WRITES);
    if (people)
        make_people_fields(r, resource);
    if (!resource->id_names.count)
        keep_names(r, &resource->id_names, id, countof(id));
}

const struct items resource_items = {.size = sizeof(struct resource),
                                     .most = 32,
                                     .name_fits = is_profile_name,
                                     .name_rule = NAME_RULE,
                                     .read = read_resource};
