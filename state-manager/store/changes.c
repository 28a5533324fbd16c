#include "state-manager/store/changes.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdlib.h>

static void put_label(struct json_writer *w, const char *key, struct view label)
{
    if (!label.n)
        return;
    jw_key(w, key);
    jw_text(w, label);
}

void changes_write(const struct change *changes, size_t count, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '[');
    for (size_t i = 0; i < count; i++) {
        const struct change *c = &changes[i];
        jw_begin(&w, '{');
        jw_key_text(&w, "kind", doc_kind_name(c->kind));
        jw_key(&w, "key");
        jw_text(&w, c->key);
        jw_key(&w, "parent");
        jw_text(&w, c->place.parent);
        jw_key_i64(&w, "rank", c->place.rank);
        jw_key_i64(&w, "ord", c->place.ord);
        put_label(&w, "state", c->place.state);
        put_label(&w, "owner", c->place.owner);
        jw_key_raw(&w, "doc", c->doc);
        jw_end(&w, '}');
    }
    jw_end(&w, ']');
}

static bool read_kind(struct view name, enum doc_kind *kind)
{
    for (int i = 0; i < DOC_KIND_COUNT; i++)
        if (json_string_is(name, doc_kind_name((enum doc_kind)i))) {
            *kind = (enum doc_kind)i;
            return true;
        }
    return false;
}

/* A decoded string; owned. */
static bool read_text(struct view string, struct view *out)
{
    struct buf text;
    size_t n;
    buf_init(&text, DOC_MAX);
    bool ok = json_decode_string(string, &text);
    char *p = buf_detach(&text, &n);
    *out = (struct view){p, n};
    return ok;
}

/* Absent is empty. */
static bool read_label(struct view string, struct view *out)
{
    return json_type(string) == JSON_NONE || read_text(string, out);
}

static bool read_change(struct view object, struct change *c)
{
    c->doc = json_get(object, "doc");
    return read_kind(json_get(object, "kind"), &c->kind) && read_text(json_get(object, "key"), &c->key) &&
           read_text(json_get(object, "parent"), &c->place.parent) &&
           json_i64(json_get(object, "rank"), &c->place.rank) &&
           json_i64(json_get(object, "ord"), &c->place.ord) &&
           read_label(json_get(object, "state"), &c->place.state) &&
           read_label(json_get(object, "owner"), &c->place.owner) && c->doc.n > 0;
}

bool changes_read(struct view text, struct change **changes, size_t *count, struct err *err)
{
    struct view array, object;
    size_t cap = 0;
    *changes = NULL;
    *count = 0;
    bool ok = json_check(text, JSON_OURS, &array, NULL) && json_type(array) == JSON_ARRAY;
    struct json_iter it = json_iter(ok ? array : (struct view){NULL, 0});
    while (ok && json_next_element(&it, &object)) {
        if (*count == cap) {
            cap = cap ? cap * 2 : 8;
            *changes = xrealloc(*changes, cap * sizeof **changes);
        }
        (*changes)[*count] = (struct change){0};
        ok = read_change(object, &(*changes)[(*count)++]);
    }
    if (ok)
        return true;
    changes_free(*changes, *count);
    *changes = NULL;
    *count = 0;
    return err_set(err, ERR_INTERNAL, "the changes of a log entry cannot be read");
}

void changes_free(struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)changes[i].key.p);
        free((char *)changes[i].place.parent.p);
        free((char *)changes[i].place.state.p);
        free((char *)changes[i].place.owner.p);
    }
    free(changes);
}
