#include "portalctl/profile_explain.h"
#include "portalctl/profile_words.h"
#include "portalctl/text_table.h"
#include <string.h>

enum { WIDTH = 100 };

static void print_table(struct text_table *t, FILE *out)
{
    text_table_print(t, WIDTH, out);
    text_table_finish(t);
}

/* --- who is there, and where --- */

static void add_everybody(struct buf *out, const struct profile *p)
{
    for (size_t i = 0; i < p->roles.count; i++)
        buf_addf(out, "%srole:%s", i ? ", " : "", p->roles.items[i]);
}

static void explain_basics(const struct profile *p, FILE *out)
{
    struct text_table t;
    text_table_init(&t, 2);
    text_table_add(&t, "roles");
    put_names(&t.cell, &p->roles);
    text_table_next(&t);
    text_table_add(&t, "users");
    text_table_add(&t, p->people ? p->people->name : "not kept");
    text_table_add(&t, "presence");
    if (!p->has_presence)
        buf_add_text(&t.cell, "none");
    else if (p->presence_rooms.count)
        put_names(&t.cell, &p->presence_rooms);
    else
        add_everybody(&t.cell, p);
    text_table_next(&t);
    text_table_add(&t, "typing");
    for (size_t i = 0; i < p->typing_count; i++)
        buf_addf(&t.cell, "%s{%s, isTyping} in %s{%s}%s", i ? "; " : "", p->typing[i].argument,
                 p->typing[i].prefix, p->typing[i].argument, p->typing[i].suffix);
    if (!p->typing_count)
        buf_add_text(&t.cell, "none");
    text_table_next(&t);
    print_table(&t, out);
}

static void add_rights(struct buf *out, const struct room_rule *rule)
{
    put_names(out, &rule->roles);
    if (rule->self)
        buf_addf(out, "%sthe user {%s}", out->len ? "; " : "", rule->param);
    if (rule->owner)
        buf_addf(out, "%sthe \"%s\" of %s/{%s}", out->len ? "; " : "", rule->of->owner, rule->of->name,
                 rule->param);
    if (rule->of)
        buf_addf(out, "; there must be %s/{%s}", rule->of->name, rule->param);
}

static void explain_rooms(const struct profile *p, FILE *out)
{
    struct text_table t;
    text_table_init(&t, 2);
    text_table_add(&t, "ROOM");
    text_table_add(&t, "WHO MAY JOIN");
    for (size_t i = 0; i < p->room_count; i++) {
        const struct room_rule *rule = &p->rooms[i];
        buf_add_text(&t.cell, rule->prefix);
        if (rule->param)
            buf_addf(&t.cell, "{%s}%s", rule->param, rule->suffix);
        text_table_next(&t);
        add_rights(&t.cell, rule);
        text_table_next(&t);
    }
    text_table_add(&t, "user:{sub}, role:{role}, team:{team}");
    text_table_add(&t, "nobody: who has it in his token is in it");
    print_table(&t, out);
}

/* --- client events --- */

static void add_rooms(struct buf *out, const struct view *rooms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, i ? ", " : "");
        put_room(out, rooms[i]);
    }
}

static void add_command(struct buf *out, const struct client_rule *rule)
{
    buf_addf(out, "does %s.%s", rule->operation->resource->name, rule->operation->name);
    const struct {
        const char *name;
        struct view json;
    } parts[] = {{"params", rule->params}, {"body", rule->body}, {"key", rule->key}};
    for (size_t i = 0; i < countof(parts); i++)
        if (parts[i].json.n) {
            buf_addf(out, "; %s ", parts[i].name);
            put_template(out, parts[i].json);
        }
}

static void add_action(struct buf *out, const struct client_rule *rule)
{
    if (rule->check_count) {
        buf_add_text(out, "if ");
        put_checks(out, rule->checks, rule->check_count);
        buf_add_text(out, rule->action == ACTION_CHECK ? "" : ": ");
    }
    switch (rule->action) {
    case ACTION_CHECK:
        break;
    case ACTION_JOIN:
    case ACTION_LEAVE:
        buf_add_text(out, rule->action == ACTION_JOIN ? "joins " : "leaves ");
        add_rooms(out, rule->rooms, rule->room_count);
        break;
    case ACTION_EMIT:
        buf_addf(out, "%s ", rule->emit_event);
        put_template(out, rule->emit_data);
        buf_add_text(out, " to the others in ");
        add_rooms(out, rule->rooms, rule->room_count);
        break;
    case ACTION_COMMAND:
        add_command(out, rule);
        break;
    }
}

static void explain_events(const struct profile *p, FILE *out)
{
    struct text_table t;
    text_table_init(&t, 2);
    text_table_add(&t, "CLIENT EVENT");
    text_table_add(&t, "WHAT IT DOES");
    for (size_t i = 0; i < p->event_count; i++) {
        buf_addf(&t.cell, "%s (", p->events[i].name);
        put_names(&t.cell, &p->events[i].arguments);
        buf_add_text(&t.cell, ")");
        text_table_next(&t);
        add_action(&t.cell, &p->events[i]);
        text_table_next(&t);
    }
    print_table(&t, out);
}

/* --- resources --- */

static void explain_documents(const struct resource *resource, FILE *out)
{
    struct text_table head, t;
    text_table_init(&head, 1);
    head.indent = 0;
    const struct {
        const char *before, *name;
    } rules[] = {{"; owner ", resource->owner},
                 {"; filed by ", resource->state},
                 {"; a list for each ", resource->within}};
    buf_addf(&head.cell, "%s: id ", resource->name);
    put_names(&head.cell, &resource->id_names);
    if (resource->id_form)
        buf_addf(&head.cell, " (%s)", resource->id_form);
    for (size_t i = 0; i < countof(rules); i++)
        if (rules[i].name)
            buf_addf(&head.cell, "%s%s", rules[i].before, rules[i].name);
    if (resource->people)
        buf_add_text(&head.cell, "; kept from the tokens of users");
    if (resource->absent.n) {
        buf_add_text(&head.cell, "; until it is written ");
        put_template(&head.cell, resource->absent);
    }
    text_table_next(&head);
    fputc('\n', out);
    print_table(&head, out);
    text_table_init(&t, 2);
    for (size_t i = 0; i < resource->field_count; i++) {
        text_table_add(&t, resource->fields[i].name);
        put_field_type(&t.cell, &resource->fields[i]);
        text_table_next(&t);
    }
    print_table(&t, out);
}

/* Begins another part of a cell. */
static struct buf *part(struct buf *out)
{
    if (out->len)
        buf_add_text(out, "; ");
    return out;
}

static void add_list(struct buf *out, const struct operation *o)
{
    const struct {
        const char *what;
        const struct names *names;
    } rules[] = {{"filters: ", &o->filters}, {"q looks in: ", &o->search}};
    for (size_t i = 0; i < countof(rules); i++)
        if (rules[i].names->count) {
            buf_add_text(part(out), rules[i].what);
            put_names(out, rules[i].names);
        }
    if (o->only_count) {
        buf_add_text(part(out), "only ");
        put_settings(out, o->only, o->only_count);
    }
    if (o->item.n) {
        buf_add_text(part(out), "items ");
        put_template(out, o->item);
    }
    if (o->by_update)
        buf_add_text(part(out), "newest change first");
}

static void add_joined(struct buf *out, const struct operation *o)
{
    for (size_t i = 0; i < o->joined_count; i++) {
        const struct joined_rule *joined = &o->joined[i];
        buf_addf(part(out), "%s is %s/", joined->name, joined->resource->name);
        put_room(out, joined->id);
        buf_add_text(out, joined->required ? " (there must be one)" : "");
    }
}

static void add_follow_ups(struct buf *out, const struct operation *o)
{
    for (size_t i = 0; i < o->then_count; i++) {
        buf_addf(part(out), "then in %s/", o->then[i].resource->name);
        put_room(out, o->then[i].id);
        buf_add_text(out, " sets ");
        put_settings(out, o->then[i].set, o->then[i].set_count);
    }
}

static void add_disconnect(struct buf *out, const struct disconnect_rule *rule)
{
    buf_add_text(part(out), "disconnects ");
    put_room(out, rule->user);
    put_condition(out, &rule->when);
    buf_add_text(out, rule->may_return ? ", who may come back with a new token" : "");
}

static void add_effects(struct buf *out, const struct operation *o)
{
    add_list(out, o);
    if (o->id.n) {
        buf_add_text(part(out), "the document is ");
        put_room(out, o->id);
    }
    add_joined(out, o);
    if (o->set_count) {
        buf_add_text(part(out), "sets ");
        put_settings(out, o->set, o->set_count);
    }
    if (o->append_count) {
        buf_addf(part(out), "appends to %s: ", o->append[0].name);
        put_template(out, o->append[0].value);
    }
    add_follow_ups(out, o);
    if (o->audit.n) {
        buf_add_text(part(out), "records ");
        put_template(out, o->audit);
    }
    if (o->disconnect.given)
        add_disconnect(out, &o->disconnect);
    if (o->answer.n) {
        buf_add_text(part(out), "answers ");
        put_template(out, o->answer);
    }
}

/* Its name, its kind where the name is another, what is sent. */
static void add_operation(struct buf *out, const struct operation *o)
{
    static const char *const kinds[] = {
        [DO_LIST] = "list",     [DO_GET] = "get",       [DO_CREATE] = "create", [DO_REPLACE] = "replace",
        [DO_UPDATE] = "update", [DO_DELETE] = "delete", [DO_AUDIT] = "audit"};
    buf_add_text(out, o->name);
    if (strcmp(o->name, kinds[o->kind]) != 0)
        buf_addf(out, " (%s)", kinds[o->kind]);
    buf_add_text(out, o->any_body ? ": any object" : "");
    for (size_t i = 0; i < o->field_count; i++)
        buf_addf(out, "%s%s%s", i ? ", " : ": ", o->fields[i].field->name, o->fields[i].required ? "!" : "");
}

/* A row whose second cell is written already. */
static void name_row(struct text_table *t, const char *name)
{
    struct buf written = t->cell;
    buf_init(&t->cell, TABLE_CELL_MAX);
    text_table_add(t, name);
    t->cell = written;
    text_table_next(t);
}

static void explain_operations(const struct resource *resource, FILE *out)
{
    struct text_table calls, effects;
    text_table_init(&calls, 4);
    text_table_init(&effects, 2);
    static const char *const heads[] = {"METHOD", "PATH", "WHO", "OPERATION: WHAT IS SENT"};
    for (size_t i = 0; i < countof(heads); i++)
        text_table_add(&calls, heads[i]);
    for (size_t i = 0; i < resource->operation_count; i++) {
        const struct operation *o = &resource->operations[i];
        put_methods(&calls.cell, o->methods);
        text_table_next(&calls);
        text_table_add(&calls, o->path);
        put_grants(&calls.cell, o);
        text_table_next(&calls);
        add_operation(&calls.cell, o);
        text_table_next(&calls);
        add_effects(&effects.cell, o);
        if (effects.cell.len)
            name_row(&effects, o->name);
    }
    fputc('\n', out);
    print_table(&calls, out);
    fputc('\n', out);
    print_table(&effects, out);
}

/* --- what is heard --- */

static void add_emission(struct text_table *t, const struct operation *o, const struct emission *e)
{
    buf_addf(&t->cell, "%s.%s", o->resource->name, o->name);
    text_table_next(t);
    if (e->room_count)
        add_rooms(&t->cell, e->rooms, e->room_count);
    else
        add_everybody(&t->cell, o->resource->profile);
    text_table_next(t);
    text_table_add(t, e->event);
    put_template(&t->cell, e->data);
    put_condition(&t->cell, &e->when);
    text_table_next(t);
}

static void explain_emissions(const struct profile *p, FILE *out)
{
    struct text_table t;
    static const char *const heads[] = {"WRITE", "ROOMS", "HEAR", "WITH"};
    text_table_init(&t, 4);
    for (size_t i = 0; i < countof(heads); i++)
        text_table_add(&t, heads[i]);
    for (size_t i = 0; i < p->resource_count; i++)
        for (size_t k = 0; k < p->resources[i].operation_count; k++)
            for (size_t n = 0; n < p->resources[i].operations[k].emit_count; n++)
                add_emission(&t, &p->resources[i].operations[k], &p->resources[i].operations[k].emit[n]);
    print_table(&t, out);
}

void profile_explain(const struct profile *p, FILE *out)
{
    struct text_table head;
    text_table_init(&head, 1);
    head.indent = 0;
    buf_addf(&head.cell, "%s%s%s", p->name, p->description ? ": " : "", p->description ? p->description : "");
    text_table_next(&head);
    print_table(&head, out);
    fputc('\n', out);
    if (p->builtin != BUILTIN_NONE) {
        fputs("  Its rules are code: docs/gateway.md and docs/openapi.json describe them.\n", out);
        return;
    }
    explain_basics(p, out);
    fputc('\n', out);
    explain_rooms(p, out);
    fputc('\n', out);
    explain_events(p, out);
    for (size_t i = 0; i < p->resource_count; i++) {
        explain_documents(&p->resources[i], out);
        explain_operations(&p->resources[i], out);
    }
    fputs("\nWhat is heard\n", out);
    explain_emissions(p, out);
}
