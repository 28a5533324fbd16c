#include "state-manager/core/members.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

void members_init(struct members *m)
{
    *m = (struct members){0};
}

void members_free(struct members *m)
{
    free(m->items);
    *m = (struct members){0};
}

static struct member *find(const struct members *m, struct view name)
{
    for (size_t i = 0; i < m->count; i++)
        if (view_eq(m->items[i].name, name))
            return &m->items[i];
    return NULL;
}

static void set(struct members *m, struct view name, struct view value)
{
    struct member *known = find(m, name);
    if (known) {
        known->value = value;
        return;
    }
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 16;
        m->items = xrealloc(m->items, m->cap * sizeof *m->items);
    }
    m->items[m->count++] = (struct member){.name = name, .value = value};
}

void members_take(struct members *m, struct view object)
{
    struct view name, plain, value;
    for (struct json_iter it = json_iter(object); json_next_member(&it, &name, &value);)
        if (json_plain_string(name, &plain))
            set(m, plain, value);
}

void members_set(struct members *m, const char *name, struct view value)
{
    set(m, view_of(name), value);
}

void members_remove(struct members *m, const char *name)
{
    struct member *known = find(m, view_of(name));
    if (!known)
        return;
    size_t behind = m->count - (size_t)(known - m->items) - 1;
    memmove(known, known + 1, behind * sizeof *known);
    m->count--;
}

struct view members_get(const struct members *m, const char *name)
{
    const struct member *known = find(m, view_of(name));
    return known ? known->value : (struct view){NULL, 0};
}

/* --- writing --- */

static void put(struct json_writer *w, struct member *member)
{
    char name[PROFILE_NAME_MAX + 1];
    if (!member || member->written || !view_copy(member->name, name, sizeof name))
        return;
    member->written = true;
    jw_key_raw(w, name, member->value);
}

static void put_settings(struct json_writer *w, struct members *m, const struct setting *settings,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(w, find(m, view_of(settings[i].name)));
}

void members_write(struct members *m, const struct resource *r, const char *id, int64_t version,
                   struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    for (size_t i = 0; i < r->id_names.count; i++)
        jw_key_text(&w, r->id_names.items[i], id);
    for (size_t i = 0; i < m->count; i++)
        m->items[i].written =
            names_has(&r->id_names, m->items[i].name) || view_is(m->items[i].name, "version");
    for (size_t i = 0; i < r->field_count; i++)
        put(&w, find(m, view_of(r->fields[i].name)));
    for (size_t i = 0; i < r->operation_count; i++) {
        put_settings(&w, m, r->operations[i].set, r->operations[i].set_count);
        put_settings(&w, m, r->operations[i].append, r->operations[i].append_count);
    }
    for (size_t i = 0; i < m->count; i++)
        put(&w, &m->items[i]);
    jw_key_i64(&w, "version", version);
    jw_end(&w, '}');
}

/* --- comparing --- */

static bool is_of_clock(struct view name, const struct setting *settings, size_t count)
{
    bool of_clock = view_is(name, "version");
    for (size_t i = 0; i < count; i++)
        of_clock = of_clock || (settings[i].only_clock && view_is(name, settings[i].name));
    return of_clock;
}

/* Whether all that counts of `a` is the same in `b`; *count: how much that is. */
static bool all_in(const struct members *a, const struct members *b, const struct setting *settings,
                   size_t setting_count, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct member *mine = &a->items[i];
        if (is_of_clock(mine->name, settings, setting_count))
            continue;
        const struct member *other = find(b, mine->name);
        if (!other || !json_same(mine->value, other->value))
            return false;
        ++*count;
    }
    return true;
}

bool members_same(const struct members *a, const struct members *b, const struct setting *settings,
                  size_t setting_count)
{
    size_t of_a, of_b = 0;
    if (!all_in(a, b, settings, setting_count, &of_a))
        return false;
    for (size_t i = 0; i < b->count; i++)
        of_b += !is_of_clock(b->items[i].name, settings, setting_count);
    return of_a == of_b;
}
