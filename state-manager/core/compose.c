/* The document of a write: what it begins with, the body's fields, `append`, `set`. */
#include "shared/json.h"
#include "shared/profile.h"
#include "state-manager/core/writing.h"

static bool is_null(struct view value)
{
    return json_type(value) == JSON_NONE || json_type(value) == JSON_NULL;
}

/* --- the document as templates see it while it is being made --- */

/* Members as they are now, under the version to be. */
static bool show(struct writing *w, struct err *err)
{
    struct buf text;
    int64_t version = w->before.version + 1;
    buf_init(&text, RECORD_BYTES_MAX);
    members_write(&w->members, w->o->resource, w->id, version, &text);
    if (text.overflow) {
        buf_free(&text);
        return err_set(err, ERR_TOO_LARGE, "the document would be over %d bytes", RECORD_BYTES_MAX);
    }
    w->scope.roots[TEMPLATE_DOCUMENT] = writing_keep(w, &text);
    return true;
}

/* --- body --- */

/* On create and replace null says as much as nothing, on update that the field goes. */
static void take_body(struct writing *w, struct view body)
{
    bool fresh = w->o->kind != DO_UPDATE;
    for (size_t i = 0; i < w->o->field_count; i++) {
        const struct field *field = w->o->fields[i].field;
        struct view value = json_get(body, field->name);
        if (field->is_transient)
            continue;
        if (!is_null(value))
            members_set(&w->members, field->name, value);
        else if (value.n && !fresh)
            members_remove(&w->members, field->name);
    }
    for (size_t i = 0; fresh && i < w->o->resource->field_count; i++) {
        const struct field *field = &w->o->resource->fields[i];
        if (field->fallback.n && !field->is_transient && !members_get(&w->members, field->name).n)
            members_set(&w->members, field->name, field->fallback);
    }
}

/* --- append --- */

/* The array with one more element. What is no array is none. */
static struct view with_element(struct writing *w, struct view array, struct view element)
{
    struct json_writer writer;
    struct view one;
    struct buf text;
    buf_init(&text, RECORD_BYTES_MAX * 2);
    jw_init(&writer, &text);
    jw_begin(&writer, '[');
    if (json_type(array) == JSON_ARRAY)
        for (struct json_iter it = json_iter(array); json_next_element(&it, &one);)
            jw_raw(&writer, one);
    jw_raw(&writer, element);
    jw_end(&writer, ']');
    return writing_keep(w, &text);
}

static bool append_all(struct writing *w, struct err *err)
{
    for (size_t i = 0; i < w->o->append_count; i++) {
        const struct setting *s = &w->o->append[i];
        struct view value;
        if (!writing_render(w, s->value, RECORD_BYTES_MAX, &value, err))
            return false;
        members_set(&w->members, s->name, with_element(w, members_get(&w->members, s->name), value));
        w->scope.roots[TEMPLATE_APPENDED] = value;
    }
    return true;
}

/* --- set --- */

static bool set_all(struct writing *w, struct members *m, const struct setting *set, size_t count,
                    struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct view value;
        if (!writing_render(w, set[i].value, RECORD_BYTES_MAX, &value, err))
            return false;
        members_set(m, set[i].name, value);
    }
    return true;
}

/* --- all of it --- */

static bool is_unchanged(const struct writing *w)
{
    struct members before;
    if (w->o->kind != DO_UPDATE || w->o->append_count || !w->before.document.n)
        return false;
    members_init(&before);
    members_take(&before, w->before.document);
    bool same = members_same(&w->members, &before, w->o->set, w->o->set_count);
    members_free(&before);
    return same;
}

bool compose_document(struct writing *w, struct view body, struct err *err)
{
    const struct operation *o = w->o;
    if (o->kind == DO_UPDATE)
        members_take(&w->members, w->base);
    take_body(w, body);
    if (!show(w, err))
        return false;
    if (o->append_count && (!append_all(w, err) || !show(w, err)))
        return false;
    if (!set_all(w, &w->members, o->set, o->set_count, err))
        return false;
    w->unchanged = is_unchanged(w);
    if (w->unchanged) {
        w->scope.roots[TEMPLATE_DOCUMENT] = w->before.document;
        return true;
    }
    if (!show(w, err))
        return false;
    return json_depth(w->scope.roots[TEMPLATE_DOCUMENT]) <= RECORD_DEPTH_MAX ||
           err_set(err, ERR_INVALID, "the document would be nested over %d deep", RECORD_DEPTH_MAX);
}

/* --- other documents --- */

static void show_joined(struct writing *w)
{
    struct json_writer writer;
    struct buf text;
    buf_init(&text, WRITE_BYTES_MAX * 2);
    jw_init(&writer, &text);
    jw_begin(&writer, '{');
    for (size_t i = 0; i < w->o->joined_count; i++)
        if (w->joined[i].n)
            jw_key_raw(&writer, w->o->joined[i].name, w->joined[i]);
    jw_end(&writer, '}');
    w->scope.roots[TEMPLATE_JOINED] = writing_keep(w, &text);
}

static struct view find_joined(struct writing *w, const struct joined_rule *rule)
{
    char id[RECORD_TEXT_SIZE];
    struct record record;
    struct buf room;
    if (!writing_text(w, rule->id, id, sizeof id) || !record_id_valid(view_of(id)))
        return (struct view){NULL, 0};
    writing_find(w, rule->resource, id, &record);
    buf_init(&room, RECORD_BYTES_MAX);
    struct view shown = record_shown(rule->resource, id, &record, &room), kept = writing_keep(w, &room);
    return record.document.n || !shown.n ? record.document : kept;
}

bool compose_joined(struct writing *w, bool early, struct err *err)
{
    const struct operation *o = w->o;
    bool any = false;
    for (size_t i = 0; i < o->joined_count; i++) {
        if (early == template_uses(o->joined[i].id, TEMPLATE_DOCUMENT))
            continue;
        any = true;
        w->joined[i] = find_joined(w, &o->joined[i]);
        if (!w->joined[i].n && o->joined[i].required)
            return err_set(err, ERR_NOT_FOUND, "there is no such %s", o->joined[i].name);
    }
    if (any)
        show_joined(w);
    return true;
}

bool compose_follow_up(struct writing *w, const struct follow_up *f, const char *id,
                       const struct record *before, struct view *out, struct err *err)
{
    struct members now, then;
    struct buf text;
    members_init(&now);
    members_init(&then);
    members_take(&now, before->document);
    members_take(&then, before->document);
    buf_init(&text, RECORD_BYTES_MAX);
    bool ok = set_all(w, &now, f->set, f->set_count, err);
    bool same = before->document.n && members_same(&now, &then, f->set, f->set_count);
    if (ok && !same)
        members_write(&now, f->resource, id, before->version + 1, &text);
    if (text.overflow)
        ok = err_set(err, ERR_TOO_LARGE, "a document of %s would be over %d bytes", f->resource->name,
                     RECORD_BYTES_MAX);
    *out = writing_keep(w, &text);
    members_free(&now);
    members_free(&then);
    return ok;
}
