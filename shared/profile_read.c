#include "shared/profile_read.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- faults and memory --- */

static void write_fault(struct reading *r, const struct json_at *at, const char *format, va_list args)
{
    char why[400];
    vsnprintf(why, sizeof why, format, args);
    r->fault_count++;
    buf_addf(r->faults, "%s: %s: %s\n", r->file, at->text, why);
}

void fault(struct reading *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_fault(r, &r->at, format, args);
    va_end(args);
}

void fault_at(struct reading *r, const struct json_at *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_fault(r, at, format, args);
    va_end(args);
}

void *keep(struct reading *r, size_t count, size_t size)
{
    struct profile *p = r->profile;
    p->blocks = xrealloc(p->blocks, (p->block_count + 1) * sizeof *p->blocks);
    return p->blocks[p->block_count++] = xcalloc(count, size);
}

char *keep_text(struct reading *r, struct view text)
{
    char *copy = keep(r, text.n + 1, 1);
    if (text.n)
        memcpy(copy, text.p, text.n);
    return copy;
}

/* --- objects --- */

static void fault_unknown(struct reading *r, const struct form *form, unsigned variant)
{
    char names[300] = "";
    size_t length = 0;
    for (size_t i = 0; i < form->count && length < sizeof names; i++)
        if (!form->members[i].variants || form->members[i].variants & variant)
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", length ? ", " : "",
                                       form->members[i].name);
    fault(r, "%s has no such member; it has: %s", form->what, names);
}

static const struct member *find_member(const struct form *form, struct view key, unsigned variant)
{
    for (size_t i = 0; i < form->count; i++) {
        const struct member *m = &form->members[i];
        if (json_string_is(key, m->name) && (!m->variants || m->variants & variant))
            return m;
    }
    return NULL;
}

bool read_form(struct reading *r, struct view value, void *into, const struct form *form, unsigned variant)
{
    if (json_type(value) != JSON_OBJECT) {
        fault(r, "must be an object (%s)", form->what);
        return false;
    }
    struct view key, item;
    for (struct json_iter it = json_iter(value); json_next_member(&it, &key, &item);) {
        const struct member *m = find_member(form, key, variant);
        size_t was = json_at_member(&r->at, key);
        if (m)
            m->read(r, item, into, m);
        else
            fault_unknown(r, form, variant);
        json_at_leave(&r->at, was);
    }
    for (size_t i = 0; i < form->count; i++) {
        const struct member *m = &form->members[i];
        if (m->required && (!m->variants || m->variants & variant) && !json_get(value, m->name).n)
            fault(r, "\"%s\" is missing", m->name);
    }
    return true;
}

/* --- values --- */

static void *target(void *parent, const struct member *m)
{
    return (char *)parent + m->offset;
}

/* The pointer's type is known to nobody here: bytes. */
static void set_list(void *parent, const struct member *m, const void *items, size_t count)
{
    memcpy(target(parent, m), &items, sizeof items);
    *(size_t *)(void *)((char *)parent + m->count_offset) = count;
}

static bool is_type(struct reading *r, struct view value, enum json_type type)
{
    static const char *const names[] = {
        [JSON_BOOL] = "true or false", [JSON_NUMBER] = "a number",  [JSON_STRING] = "a string",
        [JSON_ARRAY] = "an array",     [JSON_OBJECT] = "an object",
    };
    if (json_type(value) == type)
        return true;
    fault(r, "must be %s", names[type]);
    return false;
}

/* The text of a string slice, kept; NULL: no string, said. */
static char *take_text(struct reading *r, struct view value)
{
    if (!is_type(r, value, JSON_STRING))
        return NULL;
    char *text = keep(r, value.n, 1);
    if (json_copy_string(value, text, value.n))
        return text;
    fault(r, "must not hold U+0000");
    return NULL;
}

READER(read_bool)
{
    if (is_type(r, value, JSON_BOOL))
        *(bool *)target(parent, m) = json_is_true(value);
}

READER(read_text)
{
    *(char **)target(parent, m) = take_text(r, value);
}

bool is_profile_name(struct view text)
{
    bool digit = text.n && text.p[0] >= '0' && text.p[0] <= '9';
    return view_is_name(text, PROFILE_NAME_MAX, "_-") && !digit && text.p[0] != '-';
}

READER(read_name)
{
    char *text = take_text(r, value);
    if (text && !is_profile_name(view_of(text)))
        fault(r, "must be a name: 1 to %d of A-Z a-z 0-9 _ -, no digit and no - first", PROFILE_NAME_MAX);
    *(char **)target(parent, m) = text;
}

READER(read_choice)
{
    const char *const *choices = m->more;
    char all[160] = "";
    size_t length = 0;
    for (int i = 0; choices[i]; i++) {
        if (json_type(value) == JSON_STRING && json_string_is(value, choices[i])) {
            *(int *)target(parent, m) = i;
            return;
        }
        length += (size_t)snprintf(all + length, sizeof all - length, "%s\"%s\"", i ? ", " : "", choices[i]);
    }
    fault(r, "must be one of: %s", all);
}

READER(read_json)
{
    (void)r;
    *(struct view *)target(parent, m) = value;
}

READER(read_string)
{
    if (is_type(r, value, JSON_STRING))
        *(struct view *)target(parent, m) = value;
}

READER(read_object)
{
    if (is_type(r, value, JSON_OBJECT))
        *(struct view *)target(parent, m) = value;
}

READER(read_part)
{
    read_form(r, value, target(parent, m), m->more, 0);
    if (m->count_offset)
        *(bool *)((char *)parent + m->count_offset) = true;
}

READER(read_number)
{
    char text[40];
    if (!is_type(r, value, JSON_NUMBER))
        return;
    if (!view_copy(value, text, sizeof text)) {
        fault(r, "must be a shorter number");
        return;
    }
    *(double *)target(parent, m) = strtod(text, NULL);
    *(bool *)((char *)parent + m->count_offset) = true;
}

/* --- several --- */

static size_t count_items(struct view value)
{
    struct view key, item;
    size_t count = 0;
    bool is_object = json_type(value) == JSON_OBJECT;
    for (struct json_iter it = json_iter(value);
         is_object ? json_next_member(&it, &key, &item) : json_next_element(&it, &item);)
        count++;
    return count;
}

/* How many to read; 0: none, or too many, said. */
static size_t count_allowed(struct reading *r, struct view value, enum json_type type,
                            const struct items *items)
{
    size_t count = is_type(r, value, type) ? count_items(value) : 0;
    if (count <= items->most)
        return count;
    fault(r, "has %zu, the most is %zu", count, items->most);
    return 0;
}

static void *item_at(void *all, const struct items *items, size_t index)
{
    return (char *)all + index * items->size;
}

READER(read_array)
{
    const struct items *items = m->more;
    size_t count = count_allowed(r, value, JSON_ARRAY, items), i = 0;
    void *all = keep(r, count, items->size);
    set_list(parent, m, all, count);
    struct view item;
    for (struct json_iter it = json_iter(value); i < count && json_next_element(&it, &item); i++) {
        size_t was = json_at_index(&r->at, i);
        items->read(r, item, item_at(all, items, i));
        json_at_leave(&r->at, was);
    }
}

READER(read_map)
{
    const struct items *items = m->more;
    size_t count = count_allowed(r, value, JSON_OBJECT, items), i = 0;
    void *all = keep(r, count, items->size);
    set_list(parent, m, all, count);
    struct view key, item;
    for (struct json_iter it = json_iter(value); i < count && json_next_member(&it, &key, &item); i++) {
        size_t was = json_at_member(&r->at, key);
        char *name = take_text(r, key);
        if (!name)
            name = keep(r, 1, 1);
        memcpy(item_at(all, items, i), &name, sizeof name);
        if (!items->name_fits(view_of(name)))
            fault(r, "its name must be %s", items->name_rule);
        items->read(r, item, item_at(all, items, i));
        json_at_leave(&r->at, was);
    }
}

READER(read_names)
{
    const struct items *items = m->more;
    struct names *names = target(parent, m);
    size_t count = count_allowed(r, value, JSON_ARRAY, items), i = 0;
    names->items = keep(r, count, sizeof *names->items);
    struct view item;
    for (struct json_iter it = json_iter(value); i < count && json_next_element(&it, &item); i++) {
        size_t was = json_at_index(&r->at, i);
        char *name = take_text(r, item);
        if (name && names_has(names, view_of(name)))
            fault(r, "stands here twice");
        else if (name && !items->name_fits(view_of(name)))
            fault(r, "must be %s", items->name_rule);
        else if (name)
            names->items[names->count++] = name;
        json_at_leave(&r->at, was);
    }
    if (!count && json_type(value) == JSON_ARRAY && !count_items(value))
        fault(r, "must not be empty");
}

static void read_one_string(struct reading *r, struct view value, void *item)
{
    if (is_type(r, value, JSON_STRING))
        *(struct view *)item = value;
}

READER(read_strings)
{
    struct items items = *(const struct items *)m->more;
    items.size = sizeof(struct view);
    items.read = read_one_string;
    struct member all = *m;
    all.more = &items;
    read_array(r, value, parent, &all);
    if (json_type(value) == JSON_ARRAY && !count_items(value))
        fault(r, "must not be empty");
}

READER(read_checks)
{
    static const struct items items = {.most = 8};
    size_t count = count_allowed(r, value, JSON_OBJECT, &items), i = 0;
    struct check_rule *checks = keep(r, count, sizeof *checks);
    set_list(parent, m, checks, count);
    struct view key, item;
    for (struct json_iter it = json_iter(value); i < count && json_next_member(&it, &key, &item); i++) {
        size_t was = json_at_member(&r->at, key);
        checks[i].value = item;
        if (!json_plain_string(key, &checks[i].expression))
            fault(r, "must be an expression without escapes");
        json_at_leave(&r->at, was);
    }
    if (!count && json_type(value) == JSON_OBJECT && !count_items(value))
        fault(r, "must not be empty");
}

/* --- references --- */

READER(read_resource_name)
{
    char *name = take_text(r, value);
    if (name)
        refer(r, REFER_RESOURCE, name, NULL, target(parent, m));
}

READER(read_operation_name)
{
    char *name = take_text(r, value);
    if (name)
        refer(r, REFER_OPERATION, name, NULL, target(parent, m));
}
