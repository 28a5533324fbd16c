#include "shared/template.h"
#include "shared/json.h"
#include "shared/template_walk.h"

/* --- values --- */

static struct view path_value(struct view path, const struct template_scope *scope)
{
    enum template_root root;
    struct view members, name;
    if (!template_split(path, &root, &members))
        return (struct view){NULL, 0};
    struct view value = scope->roots[root];
    while (members.n && view_split(&members, '.', &name)) {
        char key[TEMPLATE_NAME_MAX + 1];
        if (!view_copy(name, key, sizeof key))
            return (struct view){NULL, 0};
        value = json_get(value, key);
    }
    return value;
}

static bool is_there(struct view value)
{
    return value.n && json_type(value) != JSON_NULL && !view_is(value, "\"\"");
}

struct view template_value(struct view expression, const struct template_scope *scope)
{
    struct view value = {NULL, 0}, path;
    while (!is_there(value) && view_split(&expression, '|', &path))
        value = path_value(path, scope);
    return value;
}

/* --- writing --- */

struct writing {
    const struct template_scope *scope;
    struct buf *out;
    size_t start;    /* length of out before */
    size_t depth;    /* of containers that are open */
    bool text_only;  /* every expression must have a text */
    struct err *err; /* set when something failed */
};

static bool put(struct writing *w, struct view bytes)
{
    if (w->out->len - w->start + bytes.n <= TEMPLATE_OUT_MAX && buf_add_view(w->out, bytes))
        return true;
    return err_set(w->err, ERR_TOO_LARGE, "what a template makes is over %d bytes", TEMPLATE_OUT_MAX);
}

static bool put_value(struct writing *w, struct view value)
{
    if (!value.n)
        return put(w, VIEW("null"));
    enum json_type type = json_type(value);
    bool is_container = type == JSON_OBJECT || type == JSON_ARRAY;
    if (is_container && w->depth + json_depth(value) > TEMPLATE_OUT_DEPTH_MAX)
        return err_set(w->err, ERR_TOO_LARGE, "what a template makes is nested over %d deep",
                       TEMPLATE_OUT_DEPTH_MAX);
    return put(w, value);
}

/* An expression amid text. */
static bool put_in_text(struct writing *w, struct view expression)
{
    struct view value = template_value(expression, w->scope);
    enum json_type type = json_type(value);
    if (type == JSON_STRING)
        value = (struct view){value.p + 1, value.n - 2};
    else if (type != JSON_NUMBER && type != JSON_BOOL)
        value.n = 0;
    if (!value.n && w->text_only)
        return err_set(w->err, ERR_INVALID, "%.*s has no value that is text", VIEW_ARG(expression));
    return !value.n || put(w, value);
}

static bool put_text(struct writing *w, struct view string)
{
    struct view rest = {string.p + 1, string.n - 2};
    struct template_part part;
    bool open, ok = put(w, VIEW("\""));
    while (ok && template_next_part(&rest, &part, &open))
        ok = part.is_expression ? put_in_text(w, part.text) : put(w, part.text);
    return ok && put(w, VIEW("\""));
}

static bool write_string(struct writing *w, struct view string)
{
    struct view expression;
    if (template_is_expression(string, &expression))
        return put_value(w, template_value(expression, w->scope));
    return put_text(w, string);
}

static bool write_value(struct writing *w, struct view json);

static bool write_member(struct writing *w, bool *first, struct view key)
{
    bool ok = (*first || put(w, VIEW(","))) && put(w, key) && put(w, VIEW(":"));
    *first = false;
    return ok;
}

static bool has_key(struct view object, struct view key)
{
    struct view name, value;
    for (struct json_iter it = json_iter(object); json_next_member(&it, &name, &value);)
        if (json_same_string(name, key))
            return true;
    return false;
}

/* The members of the object that "..." names, but those that stand beside it. */
static bool write_spread(struct writing *w, struct view object, bool *first)
{
    struct view expression, key, value;
    if (!template_is_expression(json_get(object, TEMPLATE_SPREAD), &expression))
        return true;
    struct view from = template_value(expression, w->scope);
    if (json_type(from) != JSON_OBJECT)
        return true;
    for (struct json_iter it = json_iter(from); json_next_member(&it, &key, &value);)
        if (!has_key(object, key) && !(write_member(w, first, key) && put_value(w, value)))
            return false;
    return true;
}

static bool write_object(struct writing *w, struct view object)
{
    struct view key, value;
    bool first = true;
    if (!put(w, VIEW("{")) || !write_spread(w, object, &first))
        return false;
    for (struct json_iter it = json_iter(object); json_next_member(&it, &key, &value);)
        if (!json_string_is(key, TEMPLATE_SPREAD) && !(write_member(w, &first, key) && write_value(w, value)))
            return false;
    return put(w, VIEW("}"));
}

static bool write_array(struct writing *w, struct view array)
{
    struct view value;
    bool first = true, ok = put(w, VIEW("["));
    for (struct json_iter it = json_iter(array); ok && json_next_element(&it, &value); first = false)
        ok = (first || put(w, VIEW(","))) && write_value(w, value);
    return ok && put(w, VIEW("]"));
}

static bool write_value(struct writing *w, struct view json)
{
    enum json_type type = json_type(json);
    if (type == JSON_STRING)
        return write_string(w, json);
    if (type != JSON_OBJECT && type != JSON_ARRAY)
        return put(w, json);
    w->depth++;
    bool ok = w->depth <= TEMPLATE_DEPTH_MAX
                  ? (type == JSON_OBJECT ? write_object(w, json) : write_array(w, json))
                  : err_set(w->err, ERR_TOO_LARGE, "a template is nested over %d deep", TEMPLATE_DEPTH_MAX);
    w->depth--;
    return ok;
}

bool template_write(struct view json, const struct template_scope *scope, struct buf *out, struct err *err)
{
    struct writing w = {.scope = scope, .out = out, .start = out->len, .err = err};
    return write_value(&w, json);
}

bool template_text(struct view json, const struct template_scope *scope, char *out, size_t size,
                   struct err *err)
{
    struct buf text;
    buf_init(&text, 6 * size + 2); /* an escape is six bytes at the most for one */
    struct err why = {.code = ERR_NONE};
    struct writing w = {.scope = scope, .out = &text, .text_only = true, .err = &why};
    bool ok = json_type(json) == JSON_STRING && put_text(&w, json);
    if (!ok && why.code == ERR_INVALID)
        err_set(err, why.code, "%s", why.text);
    else if (!ok || !json_copy_string(buf_view(&text), out, size))
        ok = err_set(err, ERR_INVALID, "%.*s: over %zu bytes", VIEW_ARG(json), size - 1);
    else if (!*out)
        ok = err_set(err, ERR_INVALID, "%.*s: empty", VIEW_ARG(json));
    buf_free(&text);
    return ok;
}
