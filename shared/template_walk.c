#include "shared/template_walk.h"
#include "shared/json.h"
#include <string.h>

/* Where the next "${" or "$${" begins; the end when there is none. */
static size_t find_dollar(struct view v)
{
    for (size_t i = 0; i + 1 < v.n; i++)
        if (v.p[i] == '$' && (v.p[i + 1] == '{' || (v.p[i + 1] == '$' && i + 2 < v.n && v.p[i + 2] == '{')))
            return i;
    return v.n;
}

static struct view drop(struct view v, size_t n)
{
    return (struct view){v.p + n, v.n - n};
}

bool template_next_part(struct view *rest, struct template_part *part, bool *open)
{
    if (!rest->n)
        return false;
    size_t at = find_dollar(*rest);
    *open = false;
    if (at == 0 && rest->p[1] == '{') {
        const char *end = memchr(rest->p, '}', rest->n);
        *open = !end;
        size_t n = end ? (size_t)(end - rest->p) : rest->n;
        *part = (struct template_part){true, {rest->p + 2, n - 2}};
        *rest = drop(*rest, end ? n + 1 : n);
        return true;
    }
    /* Of "$${" the first dollar is text, the second falls out, and the bracket begins the next part. */
    bool escaped = at < rest->n && rest->p[at + 1] == '$';
    *part = (struct template_part){false, {rest->p, at + escaped}};
    *rest = drop(*rest, at + 2 * (size_t)escaped);
    return true;
}

bool template_is_expression(struct view string, struct view *expression)
{
    struct template_part part;
    bool open;
    if (json_type(string) != JSON_STRING)
        return false;
    struct view rest = {string.p + 1, string.n - 2};
    if (!template_next_part(&rest, &part, &open) || !part.is_expression || open || rest.n)
        return false;
    *expression = part.text;
    return true;
}

static const char *const root_names[] = {
#define X(root, name) name,
    TEMPLATE_ROOTS(X)
#undef X
};

const char *template_root_name(enum template_root root)
{
    return root_names[root];
}

bool template_split(struct view path, enum template_root *root, struct view *members)
{
    const char *dot = path.n ? memchr(path.p, '.', path.n) : NULL;
    struct view name = {path.p, dot ? (size_t)(dot - path.p) : path.n};
    *members = dot ? drop(path, name.n + 1) : (struct view){path.p + path.n, 0};
    for (int i = 0; i < TEMPLATE_ROOT_COUNT; i++)
        if (view_is(name, root_names[i])) {
            *root = (enum template_root)i;
            return true;
        }
    return false;
}

/* --- walking --- */

struct walk {
    const struct template_visitor *visitor;
    struct json_at *at;
    size_t depth;
};

static void fault(const struct walk *w, const char *why)
{
    w->visitor->fault(w->visitor->ctx, w->at, why);
}

static bool are_names(struct view members)
{
    struct view rest = members, name;
    while (view_split(&rest, '.', &name))
        if (!view_is_name(name, TEMPLATE_NAME_MAX, "_-"))
            return false;
    return true;
}

static void visit_path(const struct walk *w, struct view path)
{
    enum template_root root;
    struct view members;
    if (!template_split(path, &root, &members))
        fault(w, path.n ? "the expression begins with a name that is no root" : "the expression is empty");
    else if (path.n > strlen(root_names[root]) && !are_names(members))
        fault(w, "the expression has a name that is none ([A-Za-z0-9_-], dots between)");
    else
        w->visitor->name(w->visitor->ctx, w->at, root, members);
}

static void visit_expression(const struct walk *w, struct view expression)
{
    struct view rest = expression, path;
    if (!expression.n)
        fault(w, "the expression is empty");
    else
        while (view_split(&rest, '|', &path))
            visit_path(w, path);
}

static void visit_string(const struct walk *w, struct view string)
{
    struct view rest = {string.p + 1, string.n - 2};
    struct template_part part;
    bool open;
    while (template_next_part(&rest, &part, &open)) {
        if (open)
            fault(w, "\"${\" without its \"}\" (\"$${\" stands for the characters)");
        else if (part.is_expression)
            visit_expression(w, part.text);
    }
}

static void visit(struct walk *w, struct view json);

static void visit_object(struct walk *w, struct view object)
{
    struct view key, value, expression;
    for (struct json_iter it = json_iter(object); json_next_member(&it, &key, &value);) {
        size_t was = json_at_member(w->at, key);
        if (json_string_is(key, TEMPLATE_SPREAD) && !template_is_expression(value, &expression))
            fault(w, "must be one expression, such as \"${document}\"");
        else if (memmem(key.p, key.n, "${", 2))
            fault(w, "names of members are no templates");
        else
            visit(w, value);
        json_at_leave(w->at, was);
    }
}

static void visit_array(struct walk *w, struct view array)
{
    struct view value;
    size_t index = 0;
    for (struct json_iter it = json_iter(array); json_next_element(&it, &value); index++) {
        size_t was = json_at_index(w->at, index);
        visit(w, value);
        json_at_leave(w->at, was);
    }
}

static void visit(struct walk *w, struct view json)
{
    enum json_type type = json_type(json);
    if (type == JSON_STRING) {
        visit_string(w, json);
        return;
    }
    if (type != JSON_OBJECT && type != JSON_ARRAY)
        return;
    if (w->depth == TEMPLATE_DEPTH_MAX) {
        fault(w, "nested too deep for a template");
        return;
    }
    w->depth++;
    if (type == JSON_OBJECT)
        visit_object(w, json);
    else
        visit_array(w, json);
    w->depth--;
}

void template_walk(struct view json, struct json_at *at, const struct template_visitor *visitor)
{
    struct walk w = {visitor, at, 0};
    visit(&w, json);
}

void template_walk_expression(struct view expression, struct json_at *at,
                              const struct template_visitor *visitor)
{
    struct walk w = {visitor, at, 0};
    visit_expression(&w, expression);
}

/* --- what template.h promises of it --- */

struct first_fault {
    unsigned roots;
    struct err *err;
    bool found;
};

static void note_fault(void *ctx, const struct json_at *at, const char *why)
{
    struct first_fault *f = ctx;
    if (!f->found)
        err_set(f->err, ERR_INVALID, "%s: %s", at->text, why);
    f->found = true;
}

static void note_name(void *ctx, const struct json_at *at, enum template_root root, struct view members)
{
    struct first_fault *f = ctx;
    (void)members;
    if (f->roots & 1u << root || f->found)
        return;
    err_set(f->err, ERR_INVALID, "%s: there is no \"%s\" here", at->text, root_names[root]);
    f->found = true;
}

bool template_check(struct view json, unsigned roots, const char *where, struct err *err)
{
    struct first_fault f = {roots, err, false};
    struct json_at at = {.length = 0};
    size_t n = strlen(where);
    at.length = n < sizeof at.text ? n : 0;
    memcpy(at.text, where, at.length);
    template_walk(json, &at, &(struct template_visitor){&f, note_name, note_fault});
    return !f.found;
}

static void note_use(void *ctx, const struct json_at *at, enum template_root root, struct view members)
{
    (void)at;
    (void)members;
    *(unsigned *)ctx |= 1u << root;
}

static void ignore_fault(void *ctx, const struct json_at *at, const char *why)
{
    (void)ctx;
    (void)at;
    (void)why;
}

bool template_uses(struct view json, enum template_root root)
{
    unsigned used = 0;
    struct json_at at = json_at_root();
    template_walk(json, &at, &(struct template_visitor){&used, note_use, ignore_fault});
    return used & 1u << root;
}
