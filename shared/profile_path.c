/* Paths of profiles: what they may look like, and which of them a request means. */
#include "shared/json.h"
#include "shared/profile_read.h"
#include <string.h>

enum { PATH_BYTES_MAX = 200, PATH_PARTS_MAX = 16 };

/* --- reading --- */

static size_t count_parts(struct view path)
{
    size_t count = 0;
    for (size_t i = 0; i < path.n; i++)
        count += path.p[i] == '/';
    return count;
}

static size_t count_params(const struct operation *o)
{
    size_t count = 0;
    for (size_t i = 0; i < o->part_count; i++)
        count += o->parts[i].is_param;
    return count;
}

static bool has_param(const struct operation *o, struct view name)
{
    for (size_t i = 0; i < o->part_count; i++)
        if (o->parts[i].is_param && view_is(name, o->parts[i].text))
            return true;
    return false;
}

static void read_part_of_path(struct reading *r, struct operation *o, struct view text)
{
    bool is_param = text.n > 1 && text.p[0] == '{' && text.p[text.n - 1] == '}';
    struct view name = is_param ? (struct view){text.p + 1, text.n - 2} : text;
    if (is_param && !is_profile_name(name))
        fault(r, "{%.*s} is no name for a parameter", VIEW_ARG(name));
    else if (is_param && has_param(o, name))
        fault(r, "{%.*s} stands in it twice", VIEW_ARG(name));
    else if (!is_param &&
             (!view_is_name(name, PATH_BYTES_MAX, "._~-") || view_is(name, ".") || view_is(name, "..")))
        fault(r, "\"%.*s\" is no part of a path: A-Z a-z 0-9 . _ ~ -, or a {parameter}", VIEW_ARG(name));
    o->parts[o->part_count++] = (struct path_part){keep_text(r, name), is_param};
}

/* Where the fixed routes are; below them is nobody else's. */
static bool is_taken(const struct operation *o)
{
    static const char *const taken[][3] = {{"api", "v1", "conversations"},
                                           {"api", "v1", "events"},
                                           {"api", "v1", "dashboard"},
                                           {"api", "v1", "admin"},
                                           {"webhooks"},
                                           {"healthz"},
                                           {"readyz"},
                                           {"metrics"}};
    for (size_t i = 0; i < countof(taken); i++) {
        size_t at = 0;
        while (at < 3 && taken[i][at] && at < o->part_count && !o->parts[at].is_param &&
               !strcmp(taken[i][at], o->parts[at].text))
            at++;
        if (at == 3 || !taken[i][at])
            return true;
    }
    return false;
}

READER(read_path)
{
    struct operation *o = parent;
    struct view text = {NULL, 0}, part;
    (void)m;
    if (!json_plain_string(value, &text) || !text.n || text.p[0] != '/' || text.n > PATH_BYTES_MAX ||
        count_parts(text) > PATH_PARTS_MAX) {
        fault(r, "must be a path: \"/...\", of %d bytes and %d parts at the most", PATH_BYTES_MAX,
              PATH_PARTS_MAX);
        return;
    }
    o->path = keep_text(r, text);
    o->parts = keep(r, count_parts(text), sizeof *o->parts);
    struct view rest = {text.p + 1, text.n - 1};
    while (view_split(&rest, '/', &part))
        read_part_of_path(r, o, part);
    if (o->parts[0].is_param)
        fault(r, "must not begin with a parameter");
    if (count_params(o) > PROFILE_PARAMS_MAX)
        fault(r, "has over %d parameters", PROFILE_PARAMS_MAX);
    if (is_taken(o))
        fault(r, "is below a path that is Portalcast's own");
}

bool operations_collide(const struct operation *a, const struct operation *b)
{
    if (!(a->methods & b->methods) || a->part_count != b->part_count || !a->part_count)
        return false;
    for (size_t i = 0; i < a->part_count; i++) {
        const struct path_part *x = &a->parts[i], *y = &b->parts[i];
        if (x->is_param != y->is_param || (!x->is_param && strcmp(x->text, y->text) != 0))
            return false;
    }
    return true;
}

bool operation_has_param(const struct operation *o, struct view name)
{
    return has_param(o, name);
}

/* --- asking --- */

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool decode_param(struct view raw, char out[static sizeof((struct path_params *)NULL)->values[0]])
{
    enum { SIZE = sizeof((struct path_params *)NULL)->values[0] };
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (c == '%') {
            int high = i + 2 < raw.n ? hex_value(raw.p[i + 1]) : -1,
                low = high >= 0 ? hex_value(raw.p[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || n + 1 == SIZE)
            return false;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return n && view_is_utf8((struct view){out, n});
}

/* Whether the path (without its first slash) is of that form; literals match as they are written. */
static bool fits(const struct operation *o, struct view path)
{
    struct view part;
    for (size_t i = 0; i < o->part_count; i++)
        if (!view_split(&path, '/', &part) || !part.n ||
            (!o->parts[i].is_param && !view_is(part, o->parts[i].text)))
            return false;
    return !path.p;
}

static bool take_params(const struct operation *o, struct view path, struct path_params *params)
{
    struct view part;
    params->count = 0;
    for (size_t i = 0; i < o->part_count && view_split(&path, '/', &part); i++) {
        if (!o->parts[i].is_param)
            continue;
        params->names[params->count] = o->parts[i].text;
        if (!decode_param(part, params->values[params->count++]))
            return false;
    }
    return true;
}

/* Whether a has a literal where b first differs from it. */
static bool is_closer(const struct operation *a, const struct operation *b)
{
    for (size_t i = 0; i < a->part_count; i++)
        if (a->parts[i].is_param != b->parts[i].is_param)
            return b->parts[i].is_param;
    return false;
}

static const struct operation *route_in(const struct resource *resource, unsigned method, struct view path,
                                        const struct operation *best, unsigned *allowed)
{
    for (size_t i = 0; i < resource->operation_count; i++) {
        const struct operation *o = &resource->operations[i];
        if (!fits(o, path))
            continue;
        *allowed |= o->methods;
        if (o->methods & method && (!best || is_closer(o, best)))
            best = o;
    }
    return best;
}

const struct operation *profiles_route(const struct profiles *p, enum profile_method method, struct view path,
                                       struct path_params *params, unsigned *allowed)
{
    const struct operation *best = NULL;
    *allowed = 0;
    params->count = 0;
    if (!path.n || path.p[0] != '/')
        return NULL;
    struct view rest = {path.p + 1, path.n - 1};
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->items[i]->resource_count; k++)
            best = route_in(&p->items[i]->resources[k], 1u << method, rest, best, allowed);
    if (!best || take_params(best, rest, params))
        return best;
    *allowed = 0; /* no document can have such a name */
    return NULL;
}
