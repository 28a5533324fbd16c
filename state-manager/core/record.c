#include "state-manager/core/record.h"
#include "shared/json.h"
#include <stdio.h>
#include <string.h>

struct view record_key(const struct resource *r, const char *id, char room[static DOC_KEY_MAX])
{
    int n = snprintf(room, DOC_KEY_MAX, "%s/%s", r->collection, id);
    return (struct view){room, (size_t)n};
}

struct view record_audit_key(struct view key, int64_t version, char room[static DOC_KEY_MAX])
{
    int n = snprintf(room, DOC_KEY_MAX, "%.*s/%lld", VIEW_ARG(key), (long long)version);
    return (struct view){room, (size_t)n};
}

bool record_id_valid(struct view id)
{
    bool ok = id.n >= 1 && id.n <= RECORD_ID_MAX && view_is_utf8(id);
    for (size_t i = 0; ok && i < id.n; i++)
        ok = (unsigned char)id.p[i] >= 0x20 && id.p[i] != 0x7f;
    return ok;
}

static int64_t number_of(struct view object, const char *name)
{
    int64_t number;
    return json_i64(json_get(object, name), &number) ? number : 0;
}

void record_read(struct view doc, struct record *out)
{
    *out = (struct record){.document = json_get(doc, "document")};
    out->version = number_of(out->document.n ? out->document : doc, "version");
    out->at = number_of(doc, "at");
    out->ord = number_of(doc, "ord");
}

void record_write(const struct record *record, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_i64(&w, "at", record->at);
    jw_key_i64(&w, "ord", record->ord);
    jw_key_raw(&w, "document", record->document);
    jw_end(&w, '}');
}

void record_write_deleted(int64_t version, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_bool(&w, "deleted", true);
    jw_key_i64(&w, "version", version);
    jw_end(&w, '}');
}

struct view record_shown(const struct resource *r, const char *id, const struct record *record,
                         struct buf *room)
{
    struct json_writer w;
    struct view name, value;
    if (record->document.n || !r->absent.n)
        return record->document;
    buf_clear(room);
    jw_init(&w, room);
    jw_begin(&w, '{');
    for (size_t i = 0; i < r->id_names.count; i++)
        jw_key_text(&w, r->id_names.items[i], id);
    for (struct json_iter it = json_iter(r->absent); json_next_member(&it, &name, &value);) {
        char key[PROFILE_NAME_MAX + 1];
        if (json_copy_string(name, key, sizeof key))
            jw_key_raw(&w, key, value);
    }
    jw_key_i64(&w, "version", 0);
    jw_end(&w, '}');
    return buf_view(room);
}

bool record_text(struct view value, char out[static RECORD_TEXT_SIZE])
{
    enum json_type type = json_type(value);
    out[0] = 0;
    bool ok = type == JSON_STRING
                  ? json_copy_string(value, out, RECORD_TEXT_SIZE)
                  : (type == JSON_NUMBER || type == JSON_BOOL) && view_copy(value, out, RECORD_TEXT_SIZE);
    if (!ok)
        out[0] = 0;
    return *out != 0;
}

bool record_text_is(struct view value, struct view text)
{
    struct view plain;
    struct buf decoded;
    enum json_type type = json_type(value);
    if (type == JSON_NUMBER || type == JSON_BOOL)
        return view_eq(value, text);
    if (json_plain_string(value, &plain))
        return view_eq(plain, text);
    buf_init(&decoded, value.n * 3);
    bool same = json_decode_string(value, &decoded) && view_eq(buf_view(&decoded), text);
    buf_free(&decoded);
    return same;
}

void record_owner(const struct resource *r, struct view document, char out[static RECORD_TEXT_SIZE])
{
    out[0] = 0;
    if (r->owner && !record_text(json_get(document, r->owner), out))
        out[0] = 0;
}

struct view record_parent(const struct resource *r, const char *value, char room[static RECORD_PARENT_SIZE])
{
    int n = snprintf(room, RECORD_PARENT_SIZE, "%s%s%s", r->collection, value ? "/" : "", value ? value : "");
    return (struct view){room, (size_t)n};
}

const char *record_state(const struct resource *r)
{
    for (size_t i = 0; r->state && i < r->field_count; i++)
        if (!strcmp(r->fields[i].name, r->state) &&
            (r->fields[i].choices.count || r->fields[i].type == FIELD_BOOLEAN))
            return r->state;
    return NULL;
}

bool record_place(const struct resource *r, struct view document, struct record_place *out, struct err *err)
{
    char value[RECORD_TEXT_SIZE];
    *out = (struct record_place){0};
    record_owner(r, document, out->owner);
    if (record_state(r) && record_text(json_get(document, r->state), value) && strlen(value) <= DOC_STATE_MAX)
        memcpy(out->state, value, strlen(value) + 1);
    if (r->within && !record_text(json_get(document, r->within), value))
        return err_set(err, ERR_INVALID, "%s must be a text of 1 to %d bytes", r->within, RECORD_ID_MAX);
    record_parent(r, r->within ? value : NULL, out->parent);
    return true;
}

bool record_moves(const struct resource *r)
{
    for (size_t i = 0; i < r->operation_count; i++)
        if (r->operations[i].by_update)
            return true;
    return false;
}
