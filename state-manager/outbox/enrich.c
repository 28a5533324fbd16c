#include "state-manager/outbox/enrich.h"
#include "shared/json.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/core/model.h"
#include "state-manager/core/store.h"
#include <stdlib.h>

/* The documents of an entry by key; keys of messages and conversations never meet ("m_", "c_"). */
static void index_docs(struct view changes, struct map *docs)
{
    struct view change;
    for (struct json_iter it = json_iter(changes); json_next_element(&it, &change);) {
        struct view kind = json_get(change, "kind"), key;
        if ((json_string_is(kind, doc_kind_name(DOC_MESSAGE)) ||
             json_string_is(kind, doc_kind_name(DOC_CONVERSATION))) &&
            json_plain_string(json_get(change, "key"), &key)) {
            struct view *doc = xcalloc(1, sizeof *doc);
            *doc = json_get(change, "doc");
            free(map_put(docs, key, doc));
        }
    }
}

static struct view doc_of(const struct map *docs, struct view id)
{
    struct view plain, *doc = json_plain_string(id, &plain) ? map_get(docs, plain) : NULL;
    return doc ? *doc : (struct view){NULL, 0};
}

static void write_body(struct buf *out, const char *tenant_id, struct view message, struct view conversation)
{
    struct json_writer w;
    buf_clear(out);
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_i64(&w, "v", 1);
    jw_key_text(&w, "tenantId", tenant_id);
    jw_key_raw(&w, "message", message);
    jw_key_raw(&w, "conversation", conversation);
    jw_end(&w, '}');
}

bool enrich_entry(const char *tenant_id, struct view events, struct view changes,
                  bool (*fn)(void *ctx, struct view id, struct view body), void *ctx)
{
    struct map docs;
    struct buf body;
    struct view event;
    bool ok = true;
    map_init(&docs);
    buf_init(&body, 2 * DOC_MAX);
    for (struct json_iter it = json_iter(events); ok && json_next_element(&it, &event);) {
        struct view id, data = json_get(event, "data");
        if (!json_string_is(json_get(event, "type"), "new_message") ||
            !json_plain_string(json_get(data, "id"), &id))
            continue;
        if (!docs.count)
            index_docs(changes, &docs);
        struct view message = doc_of(&docs, json_get(data, "id")),
                    conversation = doc_of(&docs, json_get(data, "conversationId"));
        if (!message.n || !conversation.n)
            continue; /* another backend's event of that name */
        write_body(&body, tenant_id, message, conversation);
        ok = fn(ctx, id, buf_view(&body));
    }
    void *doc;
    for (size_t at = 0; map_next(&docs, &at, NULL, &doc);)
        free(doc);
    map_free(&docs);
    buf_free(&body);
    return ok;
}
