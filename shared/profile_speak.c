/* What templates speak of: whether it is there where they stand. */
#include "shared/json.h"
#include "shared/profile_check.h"
#include "shared/template_walk.h"
#include <stdio.h>
#include <string.h>

/* --- documents --- */

const struct field *resource_field(const struct resource *resource, struct view name)
{
    for (size_t i = 0; i < resource->field_count; i++)
        if (view_is(name, resource->fields[i].name))
            return &resource->fields[i];
    return NULL;
}

static bool sets(const struct setting *settings, size_t count, struct view name)
{
    for (size_t i = 0; i < count; i++)
        if (view_is(name, settings[i].name))
            return true;
    return false;
}

static bool is_set_by(const struct operation *o, const struct resource *resource, struct view name)
{
    if (o->resource == resource &&
        (sets(o->set, o->set_count, name) || sets(o->append, o->append_count, name)))
        return true;
    for (size_t i = 0; i < o->then_count; i++)
        if (o->then[i].resource == resource && sets(o->then[i].set, o->then[i].set_count, name))
            return true;
    return false;
}

static bool is_set_anywhere(const struct resource *resource, struct view name)
{
    const struct profile *p = resource->profile;
    for (size_t i = 0; i < p->resource_count; i++)
        for (size_t k = 0; k < p->resources[i].operation_count; k++)
            if (is_set_by(&p->resources[i].operations[k], resource, name))
                return true;
    return false;
}

bool document_has(const struct resource *resource, struct view name)
{
    const struct field *field = resource_field(resource, name);
    char text[TEMPLATE_NAME_MAX + 1];
    if (field)
        return !field->is_transient;
    return names_has(&resource->id_names, name) || view_is(name, "version") ||
           is_set_anywhere(resource, name) ||
           (view_copy(name, text, sizeof text) && json_get(resource->absent, text).n);
}

/* --- expressions --- */

static struct view first_of(struct view members)
{
    struct view name = {members.p, 0};
    view_split(&members, '.', &name);
    return name;
}

static void fault_root(const struct speech *s, enum template_root root)
{
    char names[120] = "";
    size_t length = 0;
    for (int i = 0; i < TEMPLATE_ROOT_COUNT; i++)
        if (s->roots & 1u << i)
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", length ? ", " : "",
                                       template_root_name((enum template_root)i));
    fault(s->r, "\"%s\" is nothing here; %s%s", template_root_name(root),
          *names ? "there are: " : "this is no template", names);
}

static void hear_document(const struct speech *s, const struct resource *resource, struct view members)
{
    struct view name = first_of(members);
    if (!members.n || !resource)
        return;
    const struct field *field = resource_field(resource, name);
    if (!document_has(resource, name))
        fault(s->r, "documents of \"%s\" have no \"%.*s\"", resource->name, VIEW_ARG(name));
    else if (field && members.n > name.n && field->type != FIELD_ANY && field->type != FIELD_OBJECT)
        fault(s->r, "\"%.*s\" of \"%s\" is no object", VIEW_ARG(name), resource->name);
}

static void hear_body(const struct speech *s, struct view members)
{
    const struct operation *o = s->operation;
    struct view name = first_of(members);
    bool known = o->any_body || (!members.n && o->field_count);
    for (size_t i = 0; i < o->field_count && !known; i++)
        known = o->fields[i].field && view_is(name, o->fields[i].field->name);
    if (!known && members.n)
        fault(s->r, "the body has no \"%.*s\"", VIEW_ARG(name));
    else if (!known)
        fault(s->r, "there is no body: neither \"fields\" nor \"body\"");
}

static void hear_token(const struct speech *s, struct view members)
{
    static const char *const claims[] = {"sub", "role", "roles", "name", "email", "phone", "tenantId"};
    for (size_t i = 0; i < countof(claims); i++)
        if (view_is(members, claims[i]))
            return;
    fault(s->r, "of a token there are: sub, role, roles, name, email, phone, tenantId");
}

static void hear_params(const struct speech *s, struct view members)
{
    if (!members.n || !operation_has_param(s->operation, members))
        fault(s->r, "the path has no {%.*s}", VIEW_ARG(members));
}

static void hear_joined(const struct speech *s, struct view members)
{
    struct view name = first_of(members);
    const struct operation *o = s->operation;
    for (size_t i = 0; i < o->joined_count; i++) {
        const struct joined_rule *joined = &o->joined[i];
        if (!view_is(name, joined->name))
            continue;
        if (s->before_document && joined_needs_document(joined))
            fault(s->r, "\"%s\" is joined by the document, which is not known yet here", joined->name);
        size_t used = name.n + (members.n > name.n);
        hear_document(s, joined->resource, (struct view){members.p + used, members.n - used});
        return;
    }
    fault(s->r, "nothing is joined as \"%.*s\"", VIEW_ARG(name));
}

static void hear_args(const struct speech *s, struct view members)
{
    struct view name = first_of(members);
    if (!members.n)
        fault(s->r, "which argument? args.NAME");
    else if (!names_has(&s->event->arguments, name))
        fault(s->r, "there is no argument \"%.*s\"", VIEW_ARG(name));
}

static void hear(void *ctx, const struct json_at *at, enum template_root root, struct view members)
{
    const struct speech *s = ctx;
    (void)at; /* is s->r->at */
    if (!(s->roots & 1u << root)) {
        fault_root(s, root);
        return;
    }
    switch (root) {
    case TEMPLATE_DOCUMENT:
    case TEMPLATE_BEFORE:
        hear_document(s, s->operation->resource, members);
        return;
    case TEMPLATE_BODY:
        hear_body(s, members);
        return;
    case TEMPLATE_TOKEN:
        hear_token(s, members);
        return;
    case TEMPLATE_PARAMS:
        hear_params(s, members);
        return;
    case TEMPLATE_JOINED:
        hear_joined(s, members);
        return;
    case TEMPLATE_ARGS:
        hear_args(s, members);
        return;
    case TEMPLATE_NOW:
        if (members.n)
            fault(s->r, "\"now\" has no members");
        return;
    case TEMPLATE_APPENDED: /* anything */
    case TEMPLATE_ROOT_COUNT:
        return;
    }
}

static void hear_fault(void *ctx, const struct json_at *at, const char *why)
{
    const struct speech *s = ctx;
    (void)at;
    fault(s->r, "%s", why);
}

static void speak_here(const struct speech *s, struct view json)
{
    struct speech copy = *s;
    template_walk(json, &s->r->at, &(struct template_visitor){&copy, hear, hear_fault});
}

void speak(const struct speech *s, const char *member, struct view json)
{
    size_t was = json_at_name(&s->r->at, member);
    speak_here(s, json);
    json_at_leave(&s->r->at, was);
}

void speak_at_index(const struct speech *s, size_t index, struct view json)
{
    size_t was = json_at_index(&s->r->at, index);
    speak_here(s, json);
    json_at_leave(&s->r->at, was);
}

static bool is_role_check(struct view expression)
{
    return view_is(expression, "token.role");
}

void speak_checks(const struct speech *s, const char *member, const struct check_rule *checks, size_t count)
{
    size_t was = json_at_name(&s->r->at, member);
    for (size_t i = 0; i < count; i++) {
        char name[JSON_AT_MAX], role[TEMPLATE_NAME_MAX + 1];
        struct speech copy = *s;
        snprintf(name, sizeof name, "%.*s", VIEW_ARG(checks[i].expression));
        size_t here = json_at_name(&s->r->at, name);
        template_walk_expression(checks[i].expression, &s->r->at,
                                 &(struct template_visitor){&copy, hear, hear_fault});
        speak_here(s, checks[i].value);
        /* Without expressions it is to be one of the roles that there are. */
        if (is_role_check(checks[i].expression) && json_copy_string(checks[i].value, role, sizeof role) &&
            !strstr(role, "${") && !is_role_of(s->r->profile, view_of(role)))
            fault(s->r, "there is no role \"%s\"", role);
        json_at_leave(&s->r->at, here);
    }
    json_at_leave(&s->r->at, was);
}

bool joined_needs_document(const struct joined_rule *joined)
{
    return template_uses(joined->id, TEMPLATE_DOCUMENT);
}

/* --- rooms --- */

/* The text before the first expression of a string template and that behind its last. */
static bool ends_of(struct view string, struct view *head, struct view *tail)
{
    struct view rest = {string.p + 1, string.n - 2};
    struct template_part part;
    bool open, has_expression = false;
    *head = *tail = (struct view){rest.p, 0};
    while (template_next_part(&rest, &part, &open)) {
        has_expression |= part.is_expression;
        if (!has_expression)
            *head = part.text;
        *tail = part.is_expression ? (struct view){part.text.p, 0} : part.text;
    }
    return has_expression;
}

static bool one_begins_other(struct view a, const char *b)
{
    size_t n = a.n < strlen(b) ? a.n : strlen(b);
    return !n || !memcmp(a.p, b, n);
}

static bool one_ends_other(struct view a, const char *b)
{
    size_t length = strlen(b), n = a.n < length ? a.n : length;
    return !n || !memcmp(a.p + a.n - n, b + length - n, n);
}

static bool may_be_room(const struct profile *p, struct view string, bool of_tokens)
{
    static const char *const tokens[] = {"user:", "role:", "team:"};
    struct view head, tail;
    if (!ends_of(string, &head, &tail))
        return is_known_room(p, (struct view){string.p + 1, string.n - 2}, of_tokens);
    for (size_t i = 0; of_tokens && i < countof(tokens); i++)
        if (one_begins_other(head, tokens[i]))
            return true;
    for (size_t i = 0; i < p->room_count; i++) {
        const struct room_rule *rule = &p->rooms[i];
        const char *end = rule->param ? rule->suffix : rule->prefix;
        if (one_begins_other(head, rule->prefix) && one_ends_other(tail, end))
            return true;
    }
    return false;
}

void speak_rooms(const struct speech *s, const char *member, const struct view *rooms, size_t count,
                 bool of_tokens)
{
    size_t was = json_at_name(&s->r->at, member);
    for (size_t i = 0; i < count; i++) {
        if (!rooms[i].n)
            continue;
        speak_at_index(s, i, rooms[i]);
        size_t here = json_at_index(&s->r->at, i);
        if (!may_be_room(s->r->profile, rooms[i], of_tokens))
            fault(s->r, "nobody can be in such a room");
        json_at_leave(&s->r->at, here);
    }
    json_at_leave(&s->r->at, was);
}
