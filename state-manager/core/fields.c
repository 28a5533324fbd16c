#include "state-manager/core/fields.h"
#include "shared/json.h"
#include "state-manager/core/record.h"
#include "state-manager/core/text.h"
#include <stdio.h>
#include <stdlib.h>

enum { PATH_SIZE = 160, NUMBER_MAX = 64 /* bytes of a number that has to be compared */ };

static bool is_null(struct view value)
{
    return json_type(value) == JSON_NONE || json_type(value) == JSON_NULL;
}

/* --- a value against its type --- */

static bool is_anything(struct view value)
{
    (void)value;
    return true;
}

static bool is_number(struct view value)
{
    return json_type(value) == JSON_NUMBER && value.n <= NUMBER_MAX;
}

static bool is_integer(struct view value)
{
    int64_t number;
    return json_i64(value, &number);
}

static bool is_boolean(struct view value)
{
    return json_type(value) == JSON_BOOL;
}

static bool is_object(struct view value)
{
    return json_type(value) == JSON_OBJECT;
}

static bool is_array(struct view value)
{
    return json_type(value) == JSON_ARRAY;
}

static double number_value(struct view value)
{
    char text[NUMBER_MAX + 1];
    return view_copy(value, text, sizeof text) ? strtod(text, NULL) : 0;
}

static double characters(struct view value)
{
    return (double)text_characters(value);
}

static double elements(struct view value)
{
    struct view one;
    double count = 0;
    for (struct json_iter it = json_iter(value); json_next_element(&it, &one);)
        count++;
    return count;
}

/* what it has to be, in words; what its bounds are of */
static const struct {
    const char *rule;
    bool (*fits)(struct view value);
    double (*measure)(struct view value);
    const char *unit;
} types[] = {
    [FIELD_ANY] = {"be anything", is_anything, NULL, ""},
    [FIELD_STRING] = {"be a string, without U+0000 and lone surrogates", text_is_whole, characters,
                      " characters"},
    [FIELD_NUMBER] = {"be a number", is_number, number_value, ""},
    [FIELD_INTEGER] = {"be an integer", is_integer, number_value, ""},
    [FIELD_BOOLEAN] = {"be true or false", is_boolean, NULL, ""},
    [FIELD_OBJECT] = {"be an object", is_object, NULL, ""},
    [FIELD_ARRAY] = {"be an array", is_array, elements, " elements"},
};

static bool check_bounds(const struct field *f, struct view value, const char *path, struct err *err)
{
    const char *unit = types[f->type].unit, *verb = *unit ? "have" : "be";
    if (!types[f->type].measure || (!f->has_min && !f->has_max))
        return true;
    double size = types[f->type].measure(value);
    if (f->has_min && !(size >= f->min))
        return err_set(err, ERR_INVALID, "%s must %s at least %.15g%s", path, verb, f->min, unit);
    if (f->has_max && !(size <= f->max))
        return err_set(err, ERR_INVALID, "%s must %s at most %.15g%s", path, verb, f->max, unit);
    return true;
}

static bool check_choice(const struct field *f, struct view value, const char *path, struct err *err)
{
    char list[160] = "";
    size_t n = 0;
    if (!f->choices.count)
        return true;
    for (size_t i = 0; i < f->choices.count; i++) {
        if (record_text_is(value, view_of(f->choices.items[i])))
            return true;
        int more = snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", f->choices.items[i]);
        n = n + (size_t)more < sizeof list ? n + (size_t)more : sizeof list - 1;
    }
    return err_set(err, ERR_INVALID, "%s must be one of %s", path, list);
}

static bool check_items(const struct field *f, struct view array, const char *path, struct err *err);

static bool check_value(const struct field *f, struct view value, const char *path, struct err *err)
{
    if (!types[f->type].fits(value))
        return err_set(err, ERR_INVALID, "%s must %s", path, types[f->type].rule);
    return check_bounds(f, value, path, err) && check_choice(f, value, path, err) &&
           (!f->item_count || check_items(f, value, path, err));
}

static bool check_required(const char *path, struct view value, struct err *err)
{
    return (!is_null(value) && !view_is(value, "\"\"")) ||
           err_set(err, ERR_INVALID, "%s is required%s", path, value.n ? ", and must not be empty" : "");
}

/* --- members: an object's against those that it may have --- */

/* `path` and the name behind a dot; a name that is none of ours is shown only where it is harmless. */
static void join_path(const char *path, struct view name, char out[static PATH_SIZE])
{
    struct view plain;
    if (!json_plain_string(name, &plain) || !view_is_name(plain, 80, "_-.$"))
        plain = VIEW("of that name");
    snprintf(out, PATH_SIZE, "%.60s%s%.*s", path, *path ? "." : "", VIEW_ARG(plain));
}

static bool refuse_unknown(const char *path, struct view name, struct err *err)
{
    char at[PATH_SIZE];
    join_path(path, name, at);
    return err_set(err, ERR_INVALID, "there is no field %s", at);
}

static const struct field *find_item(const struct field *f, struct view name)
{
    for (size_t i = 0; i < f->item_count; i++)
        if (json_string_is(name, f->items[i].name))
            return &f->items[i];
    return NULL;
}

static bool check_item(const struct field *f, struct view object, const char *path, struct err *err)
{
    struct view name, value;
    char at[PATH_SIZE];
    if (json_type(object) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "%s must be an object", path);
    for (struct json_iter it = json_iter(object); json_next_member(&it, &name, &value);) {
        const struct field *item = find_item(f, name);
        if (!item)
            return refuse_unknown(path, name, err);
        join_path(path, name, at);
        if (!is_null(value) && !check_value(item, value, at, err))
            return false;
    }
    for (size_t i = 0; i < f->item_count; i++) {
        snprintf(at, sizeof at, "%.100s.%s", path, f->items[i].name);
        if (f->items[i].required && !check_required(at, json_get(object, f->items[i].name), err))
            return false;
    }
    return true;
}

static bool check_items(const struct field *f, struct view array, const char *path, struct err *err)
{
    struct view one;
    size_t i = 0;
    for (struct json_iter it = json_iter(array); json_next_element(&it, &one); i++) {
        char at[PATH_SIZE];
        snprintf(at, sizeof at, "%.100s.%zu", path, i);
        if (!check_item(f, one, at, err))
            return false;
    }
    return true;
}

static const struct field *find_field(const struct operation *o, struct view name)
{
    for (size_t i = 0; i < o->field_count; i++)
        if (json_string_is(name, o->fields[i].field->name))
            return o->fields[i].field;
    return NULL;
}

static bool check_member(const struct operation *o, struct view name, struct view value, struct err *err)
{
    const struct field *field = find_field(o, name);
    if (field)
        return is_null(value) || check_value(field, value, field->name, err);
    if (json_string_is(name, "version"))
        return is_integer(value) || err_set(err, ERR_INVALID, "version must be a number");
    return o->any_body || refuse_unknown("", name, err);
}

bool fields_check(const struct operation *o, struct view body, struct err *err)
{
    struct view name, value;
    if (body.n && json_type(body) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    for (size_t i = 0; i < o->field_count; i++) {
        const struct field *field = o->fields[i].field;
        if (o->fields[i].required && !check_required(field->name, json_get(body, field->name), err))
            return false;
    }
    for (struct json_iter it = json_iter(body); json_next_member(&it, &name, &value);)
        if (!check_member(o, name, value, err))
            return false;
    return true;
}
