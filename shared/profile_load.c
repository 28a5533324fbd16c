/* Profiles by their names: finding the files, and what two of them must not both have. */
#include "shared/json.h"
#include "shared/mem.h"
#include "shared/profile_read.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- one --- */

static bool same_text(struct view a, struct view b)
{
    char plain_a[256], plain_b[256];
    return view_eq(a, b) || (json_copy_string(a, plain_a, sizeof plain_a) &&
                             json_copy_string(b, plain_b, sizeof plain_b) && !strcmp(plain_a, plain_b));
}

/* Of two members of one name the last would count, which nobody meant. */
static void find_twins(struct reading *r, struct view value)
{
    struct view key, other, item, unused;
    bool is_object = json_type(value) == JSON_OBJECT;
    size_t index = 0;
    struct json_iter it = json_iter(value);
    while (is_object ? json_next_member(&it, &key, &item) : json_next_element(&it, &item)) {
        size_t was = is_object ? json_at_member(&r->at, key) : json_at_index(&r->at, index++);
        bool twice = false;
        for (struct json_iter rest = it; is_object && !twice && json_next_member(&rest, &other, &unused);)
            twice = same_text(key, other);
        if (twice)
            fault(r, "stands here twice");
        find_twins(r, item);
        json_at_leave(&r->at, was);
    }
}

static void name_collections(struct profile *p)
{
    for (size_t i = 0; p->name && i < p->resource_count; i++)
        snprintf(p->resources[i].collection, sizeof p->resources[i].collection, "%s.%s", p->name,
                 p->resources[i].name);
}

static void read_all(struct reading *r, struct view text)
{
    struct view value;
    struct err err;
    if (text.n > PROFILE_BYTES_MAX) {
        fault(r, "is over %d bytes", PROFILE_BYTES_MAX);
        return;
    }
    if (!json_check(text, JSON_STRICT, &value, &err)) {
        fault(r, "%s", err.text);
        return;
    }
    find_twins(r, value);
    if (r->fault_count)
        return; /* readers take each member once */
    read_profile(r, value);
    name_collections(r->profile);
    refer_all(r);
    check_profile(r);
}

struct profile *profile_read(const char *file, struct view text, struct buf *faults)
{
    struct profile *p = xcalloc(1, sizeof *p);
    struct reading r = {.profile = p, .file = file ? file : "-", .faults = faults, .at = json_at_root()};
    p->file = file ? keep_text(&r, view_of(file)) : NULL;
    p->text = keep_text(&r, text);
    read_all(&r, (struct view){p->text, text.n});
    free(r.references);
    if (!r.fault_count)
        return p;
    profile_free(p);
    return NULL;
}

void profile_free(struct profile *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->block_count; i++)
        free(p->blocks[i]);
    free(p->blocks);
    free(p);
}

/* --- files --- */

static bool read_file(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char piece[4096];
    size_t n;
    bool fits = true;
    while (fits && (n = fread(piece, 1, sizeof piece, file)) > 0)
        fits = buf_add(text, piece, n);
    bool ok = !ferror(file);
    fclose(file);
    return ok;
}

/* Beside the binary: in a tree that was built, or installed. */
static bool find_named(const char *name, char out[static PATH_MAX])
{
    static const char *const places[] = {"../../deploy/profiles", "../../../deploy/profiles",
                                         "../share/portalcast/profiles"};
    char binary[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", binary, sizeof binary - 1);
    if (n <= 0)
        return false;
    binary[n] = 0;
    char *slash = strrchr(binary, '/');
    if (slash)
        *slash = 0;
    for (size_t i = 0; i < countof(places); i++) {
        int length = snprintf(out, PATH_MAX, "%s/%s/%s.json", binary, places[i], name);
        if (length > 0 && length < PATH_MAX && !access(out, R_OK))
            return true;
    }
    return false;
}

/* What needs no file to be known. */
static struct view builtin_text(const char *name)
{
    if (!strcmp(name, "agent-portal"))
        return VIEW("{\"profile\":\"agent-portal\",\"builtin\":\"agent-portal\"}");
    if (!strcmp(name, "conformance"))
        return VIEW("{\"profile\":\"conformance\",\"builtin\":\"conformance\"}");
    return (struct view){NULL, 0};
}

static struct profile *load_file(const char *path, struct buf *faults)
{
    struct buf text;
    struct profile *p = NULL;
    buf_init(&text, PROFILE_BYTES_MAX + 1); /* one more is too much, and said to be */
    if (read_file(path, &text))
        p = profile_read(path, buf_view(&text), faults);
    else
        buf_addf(faults, "%s: cannot be read: %s\n", path, strerror(errno));
    buf_free(&text);
    return p;
}

static struct profile *load_one(struct view name_or_path, struct buf *faults)
{
    char name[PATH_MAX], path[PATH_MAX];
    if (!view_copy(name_or_path, name, sizeof name)) {
        buf_addf(faults, "PROFILE: a path is too long\n");
        return NULL;
    }
    if (strchr(name, '/') || (name_or_path.n > 5 && !strcmp(name + name_or_path.n - 5, ".json")))
        return load_file(name, faults);
    if (!is_profile_name(name_or_path))
        buf_addf(faults, "PROFILE: \"%s\" is neither a profile's name nor a path\n", name);
    else if (builtin_text(name).n)
        return profile_read(NULL, builtin_text(name), faults);
    else if (find_named(name, path))
        return load_file(path, faults);
    else
        buf_addf(faults, "PROFILE: there is no profile \"%s\" (a path has a slash in it)\n", name);
    return NULL;
}

/* --- several --- */

static bool same_pattern(const char *prefix_a, const char *suffix_a, const char *prefix_b,
                         const char *suffix_b)
{
    return !strcmp(prefix_a, prefix_b) && !strcmp(suffix_a, suffix_b);
}

static bool share_room(const struct profile *a, const struct profile *b, struct buf *faults)
{
    size_t found = 0;
    for (size_t i = 0; i < a->room_count; i++)
        for (size_t k = 0; k < b->room_count; k++) {
            const struct room_rule *x = &a->rooms[i], *y = &b->rooms[k];
            if (!x->param != !y->param || !same_pattern(x->prefix, x->suffix, y->prefix, y->suffix))
                continue;
            buf_addf(faults, "%s: $.rooms[%zu]: the profile \"%s\" has this room, too\n", b->file, k,
                     a->name);
            found++;
        }
    return found;
}

static bool share_event(const struct profile *a, const struct profile *b, struct buf *faults)
{
    size_t found = 0;
    for (size_t i = 0; i < a->event_count; i++)
        for (size_t k = 0; k < b->event_count; k++)
            if (!strcmp(a->events[i].name, b->events[k].name)) {
                buf_addf(faults, "%s: $.events.%s: the profile \"%s\" has this client event, too\n", b->file,
                         b->events[k].name, a->name);
                found++;
            }
    for (size_t i = 0; i < a->typing_count; i++)
        for (size_t k = 0; k < b->typing_count; k++)
            if (!strcmp(a->typing[i].argument, b->typing[k].argument)) {
                buf_addf(faults, "%s: $.typing.%s: the profile \"%s\" has this argument, too\n", b->file,
                         b->typing[k].argument, a->name);
                found++;
            }
    return found;
}

static size_t each_operation(const struct profile *p, const struct operation **out)
{
    size_t count = 0;
    for (size_t i = 0; i < p->resource_count; i++)
        for (size_t k = 0; k < p->resources[i].operation_count; k++, count++)
            if (out)
                out[count] = &p->resources[i].operations[k];
    return count;
}

static bool share_path(const struct profile *a, const struct profile *b, struct buf *faults)
{
    size_t found = 0, count_a = each_operation(a, NULL), count_b = each_operation(b, NULL);
    const struct operation **of_a = xcalloc(count_a, sizeof *of_a), **of_b = xcalloc(count_b, sizeof *of_b);
    each_operation(a, of_a);
    each_operation(b, of_b);
    for (size_t i = 0; i < count_a; i++)
        for (size_t k = 0; k < count_b; k++)
            if (operations_collide(of_a[i], of_b[k])) {
                buf_addf(faults,
                         "%s: $.resources.%s.operations.%s.path: the profile \"%s\" has this path, too\n",
                         b->file, of_b[k]->resource->name, of_b[k]->name, a->name);
                found++;
            }
    free(of_a);
    free(of_b);
    return found;
}

/* All of it is said, not only the first. */
static bool clash(const struct profile *a, const struct profile *b, struct buf *faults)
{
    bool name = !strcmp(a->name, b->name);
    if (name)
        buf_addf(faults, "%s: $.profile: \"%s\" is loaded already\n", b->file ? b->file : "PROFILE", b->name);
    if (name)
        return true;
    bool room = share_room(a, b, faults), event = share_event(a, b, faults), path = share_path(a, b, faults);
    return room || event || path;
}

/* What agent-portal's clients say is in C, in the gateway. */
static bool clash_with_code(const struct profiles *all, const struct profile *p, struct buf *faults)
{
    static const char *const names[] = {"send_message", "mark_read", "join_conversation",
                                        "leave_conversation"};
    bool found = false;
    for (size_t i = 0; profiles_has_builtin(all, BUILTIN_AGENT_PORTAL) && i < p->event_count; i++)
        for (size_t k = 0; k < countof(names); k++)
            if (!strcmp(p->events[i].name, names[k])) {
                buf_addf(faults, "%s: $.events.%s: the profile \"agent-portal\" has this client event, too\n",
                         p->file, names[k]);
                found = true;
            }
    return found;
}

static bool check_together(struct profiles *all, struct buf *faults)
{
    size_t resources = 0;
    bool clashes = false;
    for (size_t i = 0; i < all->count; i++) {
        struct profile *p = all->items[i];
        for (size_t k = 0; k < p->resource_count; k++)
            p->resources[k].index = resources++;
        for (size_t k = 0; k < i; k++)
            clashes = clash(all->items[k], p, faults) || clashes;
        clashes = clash_with_code(all, p, faults) || clashes;
    }
    if (all->count > 1 && profiles_has_builtin(all, BUILTIN_CONFORMANCE)) {
        buf_addf(faults, "PROFILE: \"conformance\" is to be alone\n");
        clashes = true;
    }
    return !clashes;
}

struct profiles *profiles_load(const char *list, struct buf *faults)
{
    struct profiles *all = xcalloc(1, sizeof *all);
    struct view rest = view_of(list), name;
    bool ok = true;
    while (view_split(&rest, ',', &name)) {
        name = view_trim(name);
        if (all->count == PROFILES_MAX) {
            buf_addf(faults, "PROFILE: over %d profiles\n", PROFILES_MAX);
            ok = false;
            break;
        }
        struct profile *p = load_one(name, faults);
        if (p)
            all->items[all->count++] = p;
        ok = ok && p;
    }
    if (check_together(all, faults) && ok)
        return all;
    profiles_free(all);
    return NULL;
}

void profiles_free(struct profiles *p)
{
    for (size_t i = 0; p && i < p->count; i++)
        profile_free(p->items[i]);
    free(p);
}
