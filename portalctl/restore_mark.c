#include "portalctl/restore_mark.h"
#include "shared/json.h"

#define MARK_KEY "restore"

bool restore_mark_read(struct store *s, const char *tenant_id, struct restore_mark *out, struct err *err)
{
    struct buf doc;
    struct view value;
    *out = (struct restore_mark){0};
    buf_init(&doc, DOC_MAX);
    bool ok = s->ops->get(s, tenant_id, DOC_REPLY, VIEW(MARK_KEY), &doc, &out->found, err);
    if (ok && out->found) {
        bool sound = json_check(buf_view(&doc), JSON_STRICT, &value, NULL) &&
                     json_copy_string(json_get(value, "digest"), out->digest, sizeof out->digest);
        out->unfinished = !sound || !json_is_true(json_get(value, "done"));
    }
    buf_free(&doc);
    return ok;
}

void restore_mark_write(const struct restore_mark *mark, int64_t now_wall_ms, struct buf *doc,
                        struct change *out)
{
    struct json_writer w;
    buf_clear(doc);
    jw_init(&w, doc);
    jw_begin(&w, '{');
    jw_key_text(&w, "digest", mark->digest);
    jw_key_bool(&w, "done", !mark->unfinished);
    jw_end(&w, '}');
    /* An answer goes with its age; one that is still waited for does not. */
    *out = (struct change){.kind = DOC_REPLY,
                           .key = VIEW(MARK_KEY),
                           .place.rank = mark->unfinished ? INT64_MAX : now_wall_ms,
                           .doc = buf_view(doc)};
}

bool restore_mark_is(const struct change *change)
{
    return change->kind == DOC_REPLY && view_is(change->key, MARK_KEY);
}
