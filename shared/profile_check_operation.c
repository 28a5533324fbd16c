/* Operations: what no single table sees. */
#include "shared/json.h"
#include "shared/profile_check.h"
#include <string.h>

static bool is_read(const struct operation *o)
{
    return o->kind == DO_LIST || o->kind == DO_GET || o->kind == DO_AUDIT;
}

static bool has_body(const struct operation *o)
{
    return o->kind == DO_CREATE || o->kind == DO_REPLACE || o->kind == DO_UPDATE;
}

/* --- who and where --- */

static void check_grant(struct reading *r, const struct operation *o, const struct grant *grant)
{
    if (grant->role && !is_role_of(r->profile, view_of(grant->role)))
        fault(r, "there is no role \"%s\"", grant->role);
    if (grant->own && o->kind == DO_CREATE)
        fault(r, "\":own\" says nothing of what is not there yet");
    else if (grant->own && !o->resource->owner)
        fault(r, "\":own\" needs \"owner\" in the resource");
    for (const struct grant *other = o->grants; other < grant; other++)
        if (!other->role == !grant->role && (!grant->role || !strcmp(other->role, grant->role)))
            fault(r, "this role stands here twice");
}

static void check_grants(struct reading *r, const struct operation *o)
{
    size_t was = json_at_name(&r->at, "who");
    for (size_t i = 0; i < o->grant_count; i++) {
        size_t here = json_at_index(&r->at, i);
        check_grant(r, o, &o->grants[i]);
        json_at_leave(&r->at, here);
    }
    if (!o->grant_count && o->grants)
        fault(r, "nobody may");
    json_at_leave(&r->at, was);
}

static void check_method(struct reading *r, const struct operation *o)
{
    size_t was = json_at_name(&r->at, "method");
    if (is_read(o) && o->methods & ~(1u << PM_GET))
        fault(r, "what reads is asked with GET");
    if (!is_read(o) && o->methods & 1u << PM_GET)
        fault(r, "GET changes nothing");
    json_at_leave(&r->at, was);
}

static bool is_sent(const struct operation *o, const char *name)
{
    for (size_t i = 0; i < o->field_count; i++)
        if (o->fields[i].required && o->fields[i].field && !strcmp(o->fields[i].field->name, name))
            return true;
    return false;
}

static bool is_set(const struct operation *o, const char *name)
{
    for (size_t i = 0; i < o->set_count; i++)
        if (!strcmp(o->set[i].name, name))
            return true;
    return false;
}

static void check_document_of(struct reading *r, const struct operation *o)
{
    const char *within = o->resource->within;
    bool needs_id = o->kind != DO_LIST && o->kind != DO_CREATE;
    if (!o->path) /* said already */
        return;
    if (needs_id && !o->id.n && !operation_has_param(o, VIEW("id")))
        fault(r, "which document? Neither {id} in \"path\" nor \"id\"");
    if (within && o->kind == DO_LIST && !operation_has_param(o, view_of(within)))
        fault(r, "which list? \"path\" has no {%s}, which is \"within\" of \"%s\"", within,
              o->resource->name);
    if (within && o->kind == DO_CREATE && !is_set(o, within) && !is_sent(o, within))
        fault(r, "\"%s\", which is \"within\" of \"%s\", is neither set nor required", within,
              o->resource->name);
}

/* --- what is written --- */

static void check_sent(struct reading *r, const struct operation *o)
{
    size_t was = json_at_name(&r->at, "fields");
    if (o->any_body && o->field_count)
        fault(r, "\"body\" is \"any\" already");
    for (size_t i = 0; i < o->field_count; i++)
        for (size_t k = 0; k < i; k++)
            if (o->fields[i].field && o->fields[i].field == o->fields[k].field)
                fault(r, "\"%s\" stands here twice", o->fields[i].field->name);
    json_at_leave(&r->at, was);
    if (o->kind == DO_UPDATE && !o->any_body && !o->field_count && !o->set_count && !o->append_count)
        fault(r, "changes nothing: neither \"fields\" nor \"set\" nor \"append\"");
}

static void check_setting(const struct speech *s, const struct resource *resource,
                          const struct setting *setting)
{
    struct reading *r = s->r;
    const struct field *field = resource_field(resource, view_of(setting->name));
    bool literal = !memmem(setting->value.p, setting->value.n, "${", 2);
    if (names_has(&resource->id_names, view_of(setting->name)) || !strcmp(setting->name, "version"))
        fault(r, "is nothing to be set: ids and \"version\" are ours");
    else if (field && field->is_transient)
        fault(r, "is transient: nobody keeps it");
    else if (field && literal && json_type(setting->value) != JSON_NULL)
        check_literal(r, field, setting->value);
}

static void check_settings(const struct speech *s, const char *member, const struct resource *resource,
                           const struct setting *settings, size_t count)
{
    size_t was = json_at_name(&s->r->at, member);
    for (size_t i = 0; i < count; i++) {
        speak(s, settings[i].name, settings[i].value);
        size_t here = json_at_name(&s->r->at, settings[i].name);
        if (resource)
            check_setting(s, resource, &settings[i]);
        json_at_leave(&s->r->at, here);
    }
    json_at_leave(&s->r->at, was);
}

static void check_append(const struct speech *s, const struct operation *o)
{
    size_t was = json_at_name(&s->r->at, "append");
    for (size_t i = 0; i < o->append_count; i++) {
        const char *name = o->append[i].name;
        const struct field *field = resource_field(o->resource, view_of(name));
        speak(s, name, o->append[i].value);
        size_t here = json_at_name(&s->r->at, name);
        if (names_has(&o->resource->id_names, view_of(name)) || !strcmp(name, "version") ||
            (field && (field->type != FIELD_ARRAY || field->is_transient)))
            fault(s->r, "is no array that is kept");
        if (is_set(o, name))
            fault(s->r, "is in \"set\", too");
        json_at_leave(&s->r->at, here);
    }
    json_at_leave(&s->r->at, was);
}

/* --- what comes of it --- */

static void check_names(struct reading *r, const struct operation *o, const char *member,
                        const struct names *names)
{
    size_t was = json_at_name(&r->at, member);
    for (size_t i = 0; i < names->count; i++)
        if (!document_has(o->resource, view_of(names->items[i])))
            fault(r, "documents of \"%s\" have no \"%s\"", o->resource->name, names->items[i]);
    json_at_leave(&r->at, was);
}

static void check_condition(const struct speech *s, const struct condition *when)
{
    const struct operation *o = s->operation;
    size_t was = json_at_name(&s->r->at, "when");
    check_names(s->r, o, "changed", &when->changed);
    check_names(s->r, o, "unchanged", &when->unchanged);
    if ((when->changed.count || when->unchanged.count) && (o->kind == DO_CREATE || o->kind == DO_DELETE))
        fault(s->r, "\"changed\" and \"unchanged\" compare with before: of update and replace only");
    speak_checks(s, "is", when->is, when->is_count);
    json_at_leave(&s->r->at, was);
}

static void check_emissions(const struct speech *s, const struct operation *o)
{
    size_t was = json_at_name(&s->r->at, "emit");
    for (size_t i = 0; i < o->emit_count; i++) {
        size_t here = json_at_index(&s->r->at, i);
        speak_rooms(s, "to", o->emit[i].rooms, o->emit[i].room_count, true);
        speak(s, "data", o->emit[i].data);
        check_condition(s, &o->emit[i].when);
        json_at_leave(&s->r->at, here);
    }
    json_at_leave(&s->r->at, was);
}

static void check_then(const struct speech *s, const struct operation *o)
{
    size_t was = json_at_name(&s->r->at, "then");
    for (size_t i = 0; i < o->then_count; i++) {
        size_t here = json_at_index(&s->r->at, i);
        if (o->then[i].resource == o->resource)
            fault(s->r, "is of this resource itself: say it in \"set\"");
        if (o->then[i].resource && o->then[i].resource->people)
            fault(s->r, "people are kept from their tokens");
        speak(s, "id", o->then[i].id);
        check_settings(s, "set", o->then[i].resource, o->then[i].set, o->then[i].set_count);
        json_at_leave(&s->r->at, here);
    }
    json_at_leave(&s->r->at, was);
}

static void check_joined(const struct speech *s, const struct operation *o)
{
    size_t was = json_at_name(&s->r->at, "joined");
    for (size_t i = 0; i < o->joined_count; i++) {
        size_t here = json_at_name(&s->r->at, o->joined[i].name);
        speak(s, "id", o->joined[i].id);
        json_at_leave(&s->r->at, here);
    }
    json_at_leave(&s->r->at, was);
}

static void check_disconnect(const struct speech *s, const struct operation *o)
{
    size_t was = json_at_name(&s->r->at, "disconnect");
    speak(s, "user", o->disconnect.user);
    check_condition(s, &o->disconnect.when);
    json_at_leave(&s->r->at, was);
}

/* --- lists --- */

static void check_list(struct reading *r, const struct operation *o)
{
    static const char *const ours[] = {"limit", "cursor", "q"};
    struct speech only = {.r = r, .roots = TEMPLATE_BIT(TOKEN) | TEMPLATE_BIT(PARAMS), .operation = o},
                  item = only;
    item.roots |= TEMPLATE_BIT(DOCUMENT);
    check_names(r, o, "filters", &o->filters);
    check_names(r, o, "search", &o->search);
    size_t was = json_at_name(&r->at, "filters");
    for (size_t i = 0; i < countof(ours); i++)
        if (names_has(&o->filters, view_of(ours[i])))
            fault(r, "\"%s\" is a parameter of every list", ours[i]);
    json_at_leave(&r->at, was);
    was = json_at_name(&r->at, "only");
    for (size_t i = 0; i < o->only_count; i++) {
        speak(&only, o->only[i].name, o->only[i].value);
        if (!document_has(o->resource, view_of(o->only[i].name)))
            fault(r, "documents of \"%s\" have no \"%s\"", o->resource->name, o->only[i].name);
    }
    json_at_leave(&r->at, was);
    speak(&item, "item", o->item);
}

/* --- the whole --- */

static void check_write(struct reading *r, const struct operation *o)
{
    unsigned caller = TEMPLATE_BIT(TOKEN) | TEMPLATE_BIT(PARAMS) | (has_body(o) ? TEMPLATE_BIT(BODY) : 0);
    unsigned before = caller | TEMPLATE_BIT(NOW) | (o->joined_count ? TEMPLATE_BIT(JOINED) : 0) |
                      (o->kind == DO_CREATE ? 0 : TEMPLATE_BIT(BEFORE));
    unsigned all = before | TEMPLATE_BIT(DOCUMENT) | (o->append_count ? TEMPLATE_BIT(APPENDED) : 0);
    struct speech id = {.r = r, .roots = caller, .operation = o}, setting = id, joining = id, after = id;
    joining.roots = (all & ~(TEMPLATE_BIT(JOINED) | TEMPLATE_BIT(APPENDED))) | TEMPLATE_BIT(DOCUMENT);
    setting.roots = before;
    setting.before_document = true;
    after.roots = all;
    speak(&id, "id", o->id);
    check_sent(r, o);
    check_joined(&joining, o);
    check_settings(&setting, "set", o->resource, o->set, o->set_count);
    check_append(&setting, o);
    check_then(&after, o);
    check_emissions(&after, o);
    speak(&after, "audit", o->audit);
    if (o->disconnect.given)
        check_disconnect(&after, o);
    speak(&after, "answer", o->answer);
}

void check_operation(struct reading *r, const struct operation *o)
{
    check_method(r, o);
    check_grants(r, o);
    check_document_of(r, o);
    if (!is_read(o)) {
        check_write(r, o);
        return;
    }
    struct speech id = {.r = r, .roots = TEMPLATE_BIT(TOKEN) | TEMPLATE_BIT(PARAMS), .operation = o},
                  answer = id;
    answer.roots |= TEMPLATE_BIT(DOCUMENT);
    speak(&id, "id", o->id);
    speak(&answer, "answer", o->answer);
    if (o->kind == DO_LIST)
        check_list(r, o);
}
