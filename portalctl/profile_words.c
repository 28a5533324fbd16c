#include "portalctl/profile_words.h"
#include "shared/json.h"
#include "shared/template_walk.h"
#include <string.h>

static void put_comma(struct buf *out, bool *first)
{
    if (!*first)
        buf_add_text(out, ", ");
    *first = false;
}

/* --- templates --- */

static bool ends_in(struct view expression, struct view key)
{
    size_t n = key.n - 2; /* without its quotes */
    return !memchr(expression.p, '|', expression.n) && expression.n > n &&
           expression.p[expression.n - n - 1] == '.' &&
           !memcmp(expression.p + expression.n - n, key.p + 1, n);
}

static void put_member(struct buf *out, struct view key, struct view value)
{
    struct view expression;
    bool is_expression = template_is_expression(value, &expression);
    if (json_string_is(key, TEMPLATE_SPREAD)) {
        buf_addf(out, "...%.*s", VIEW_ARG(expression));
        return;
    }
    buf_add(out, key.p + 1, key.n - 2);
    if (is_expression && ends_in(expression, key))
        return;
    buf_add_text(out, ": ");
    put_template(out, value);
}

void put_template(struct buf *out, struct view json)
{
    struct view expression, key, value;
    enum json_type type = json_type(json);
    bool first = true;
    if (template_is_expression(json, &expression)) {
        buf_add_view(out, expression);
    } else if (type == JSON_OBJECT) {
        buf_add_char(out, '{');
        for (struct json_iter it = json_iter(json); json_next_member(&it, &key, &value);) {
            put_comma(out, &first);
            put_member(out, key, value);
        }
        buf_add_char(out, '}');
    } else if (type == JSON_ARRAY) {
        buf_add_char(out, '[');
        for (struct json_iter it = json_iter(json); json_next_element(&it, &value);) {
            put_comma(out, &first);
            put_template(out, value);
        }
        buf_add_char(out, ']');
    } else if (type == JSON_STRING) {
        buf_add_char(out, '"');
        put_room(out, json);
        buf_add_char(out, '"');
    } else {
        buf_add_view(out, json);
    }
}

void put_room(struct buf *out, struct view string)
{
    struct view rest = {string.p + 1, string.n - 2};
    struct template_part part;
    bool open;
    while (template_next_part(&rest, &part, &open))
        buf_addf(out, part.is_expression ? "{%.*s}" : "%.*s", VIEW_ARG(part.text));
}

/* --- rules --- */

void put_names(struct buf *out, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        buf_addf(out, "%s%s", i ? ", " : "", names->items[i]);
}

void put_checks(struct buf *out, const struct check_rule *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "%s%.*s is ", i ? " and " : "", VIEW_ARG(checks[i].expression));
        put_template(out, checks[i].value);
    }
}

void put_settings(struct buf *out, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "%s%s = ", i ? ", " : "", settings[i].name);
        put_template(out, settings[i].value);
    }
}

void put_condition(struct buf *out, const struct condition *when)
{
    const char *before = " when ";
    if (when->changed.count) {
        buf_add_text(out, before);
        put_names(out, &when->changed);
        buf_add_text(out, " changed");
        before = " and ";
    }
    if (when->unchanged.count) {
        buf_add_text(out, before);
        put_names(out, &when->unchanged);
        buf_add_text(out, " did not");
        before = " and ";
    }
    if (when->is_count) {
        buf_add_text(out, before);
        put_checks(out, when->is, when->is_count);
    }
}

void put_grants(struct buf *out, const struct operation *o)
{
    for (size_t i = 0; i < o->grant_count; i++)
        buf_addf(out, "%s%s%s", i ? ", " : "", o->grants[i].role ? o->grants[i].role : "everybody",
                 o->grants[i].own ? " (own)" : "");
}

void put_methods(struct buf *out, unsigned methods)
{
    static const char *const names[] = {
        [PM_GET] = "GET", [PM_POST] = "POST", [PM_PUT] = "PUT", [PM_PATCH] = "PATCH", [PM_DELETE] = "DELETE"};
    bool first = true;
    for (size_t i = 0; i < countof(names); i++)
        if (methods & 1u << i) {
            put_comma(out, &first);
            buf_add_text(out, names[i]);
        }
}

/* --- fields --- */

static void put_bounds(struct buf *out, const struct field *field)
{
    static const char *const what[] = {[FIELD_STRING] = " characters", [FIELD_ARRAY] = " elements"};
    const char *unit = field->type == FIELD_STRING || field->type == FIELD_ARRAY ? what[field->type] : "";
    if (field->has_min && field->has_max)
        buf_addf(out, ", %g to %g%s", field->min, field->max, unit);
    else if (field->has_min)
        buf_addf(out, ", from %g%s", field->min, unit);
    else if (field->has_max)
        buf_addf(out, ", up to %g%s", field->max, unit);
}

void put_field_type(struct buf *out, const struct field *field)
{
    static const char *const types[] = {
        [FIELD_ANY] = "any JSON",    [FIELD_STRING] = "string",   [FIELD_NUMBER] = "number",
        [FIELD_INTEGER] = "integer", [FIELD_BOOLEAN] = "boolean", [FIELD_OBJECT] = "object",
        [FIELD_ARRAY] = "array"};
    buf_add_text(out, types[field->type]);
    if (field->item_count) {
        buf_add_text(out, " of {");
        for (size_t i = 0; i < field->item_count; i++) {
            buf_addf(out, "%s%s%s: ", i ? ", " : "", field->items[i].name,
                     field->items[i].required ? "!" : "");
            put_field_type(out, &field->items[i]);
        }
        buf_add_char(out, '}');
    }
    put_bounds(out, field);
    if (field->choices.count) {
        buf_add_text(out, ": ");
        put_names(out, &field->choices);
    }
    if (field->fallback.n)
        buf_addf(out, "; default %.*s", VIEW_ARG(field->fallback));
    if (field->is_transient)
        buf_add_text(out, "; not kept");
}
