/* Fields, and values that are written for them in the file. */
#include "shared/json.h"
#include "shared/profile_check.h"
#include <stdlib.h>
#include <string.h>

static bool is_of_type(const struct field *field, struct view value)
{
    static const enum json_type types[] = {
        [FIELD_STRING] = JSON_STRING, [FIELD_NUMBER] = JSON_NUMBER, [FIELD_INTEGER] = JSON_NUMBER,
        [FIELD_BOOLEAN] = JSON_BOOL,  [FIELD_OBJECT] = JSON_OBJECT, [FIELD_ARRAY] = JSON_ARRAY};
    int64_t integer;
    if (field->type == FIELD_ANY)
        return true;
    return json_type(value) == types[field->type] &&
           (field->type != FIELD_INTEGER || json_i64(value, &integer));
}

static bool is_choice(const struct field *field, struct view value)
{
    if (!field->choices.count)
        return true;
    for (size_t i = 0; i < field->choices.count; i++)
        if (json_string_is(value, field->choices.items[i]))
            return true;
    return false;
}

void check_literal(struct reading *r, const struct field *field, struct view value)
{
    if (!is_of_type(field, value))
        fault(r, "is not of the type of \"%s\"", field->name);
    else if (!is_choice(field, value))
        fault(r, "is none of the values that \"%s\" may have", field->name);
    else if (field->type == FIELD_NUMBER || field->type == FIELD_INTEGER) {
        char text[40];
        double number = view_copy(value, text, sizeof text) ? strtod(text, NULL) : 0;
        if ((field->has_min && number < field->min) || (field->has_max && number > field->max))
            fault(r, "is not between \"min\" and \"max\" of \"%s\"", field->name);
    }
}

static void check_field(struct reading *r, const struct field *field)
{
    bool counts = field->type == FIELD_STRING || field->type == FIELD_ARRAY;
    if (field->has_min && field->has_max && field->min > field->max)
        fault(r, "\"min\" is over \"max\"");
    if (counts && ((field->has_min && field->min < 0) || (field->has_max && field->max < 0)))
        fault(r, "\"min\" and \"max\" count characters or elements here, and are below 0");
    size_t was = json_at_name(&r->at, "default");
    if (field->fallback.n)
        check_literal(r, field, field->fallback);
    json_at_leave(&r->at, was);
    was = json_at_name(&r->at, "items");
    for (size_t i = 0; i < field->item_count; i++) {
        size_t here = json_at_name(&r->at, field->items[i].name);
        check_field(r, &field->items[i]);
        json_at_leave(&r->at, here);
    }
    json_at_leave(&r->at, was);
}

void check_fields(struct reading *r, const struct resource *resource)
{
    size_t was = json_at_name(&r->at, "fields");
    for (size_t i = 0; i < resource->field_count; i++) {
        const struct field *field = &resource->fields[i];
        size_t here = json_at_name(&r->at, field->name);
        if (names_has(&resource->id_names, view_of(field->name)))
            fault(r, "is a name of the id, which nobody sends");
        if (!strcmp(field->name, "version"))
            fault(r, "\"version\" is every document's own");
        check_field(r, field);
        json_at_leave(&r->at, here);
    }
    json_at_leave(&r->at, was);
}
