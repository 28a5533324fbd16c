/* What gateways ask about rooms: which may be joined, and who is in which. */
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/model.h"
#include "state-manager/rpc/answers.h"
#include <stdlib.h>
#include <string.h>

/* --- rights: which of some rooms there are ---------------------------------------------------------------
 */

#define CONVERSATION_ROOM "conversation:"

struct asked {
    char name[EVENT_ROOM_BYTES_MAX + 1];
    bool exists;
};

struct asking {
    struct asked rooms[RIGHTS_MAX];
    struct wanted wanted[RIGHTS_MAX]; /* documents that a room stands for, and which room that is */
    size_t room_of[RIGHTS_MAX];
    size_t count, wanted_count;
};

static void want(struct asking *a, size_t room)
{
    struct view name = view_of(a->rooms[room].name), id;
    if (!view_starts(name, CONVERSATION_ROOM))
        return;
    id = view_of(name.p + sizeof CONVERSATION_ROOM - 1);
    if (!view_is_name(id, MODEL_ID_SIZE - 1, "_-"))
        return;
    a->room_of[a->wanted_count] = room;
    a->wanted[a->wanted_count++] = (struct wanted){DOC_CONVERSATION, id};
}

static bool read_rooms(struct view rooms, struct asking *a, struct err *err)
{
    struct view one;
    if (json_type(rooms) != JSON_ARRAY)
        return err_set(err, ERR_INVALID, "rooms must be an array");
    for (struct json_iter it = json_iter(rooms); json_next_element(&it, &one); a->count++) {
        if (a->count == RIGHTS_MAX)
            return err_set(err, ERR_INVALID, "more than %d rooms in one request", RIGHTS_MAX);
        if (!json_copy_string(one, a->rooms[a->count].name, sizeof a->rooms[a->count].name))
            return err_set(err, ERR_INVALID, "a room must be a string of at most %d bytes",
                           EVENT_ROOM_BYTES_MAX);
        want(a, a->count);
    }
    return true;
}

static void on_found(void *ctx, size_t index, struct view doc)
{
    struct asking *a = ctx;
    (void)doc;
    a->rooms[a->room_of[index]].exists = true;
}

bool answer_rights(struct store *store, struct view request, int64_t now, struct json_writer *w,
                   struct err *err)
{
    (void)now;
    char tenant_id[TENANT_ID_MAX + 1];
    struct asking *a = xcalloc(1, sizeof *a);
    bool ok = answer_read_tenant(json_get(request, "tenantId"), tenant_id, err) &&
              read_rooms(json_get(request, "rooms"), a, err) &&
              (!a->wanted_count ||
               store->ops->get_many(store, tenant_id, a->wanted, a->wanted_count, on_found, a, err));
    jw_key(w, "rooms");
    jw_begin(w, '{');
    for (size_t i = 0; ok && i < a->count; i++)
        jw_key_bool(w, a->rooms[i].name, a->rooms[i].exists);
    jw_end(w, '}');
    free(a);
    return ok;
}

/* --- sessions: the documents of a tenant, in pages -------------------------------------------------------
 */

struct session_page {
    struct json_writer *w;
    size_t bytes, count;
    char last[DOC_KEY_MAX + 1];
    bool cut;
};

static bool on_session(void *ctx, const struct change *row)
{
    struct session_page *p = ctx;
    p->cut = p->bytes >= SESSIONS_BYTES;
    if (p->cut || !view_copy(row->key, p->last, sizeof p->last))
        return false;
    jw_raw(p->w, row->doc);
    p->bytes += row->doc.n;
    p->count++;
    return true;
}

bool answer_sessions(struct store *store, struct view request, int64_t now, struct json_writer *w,
                     struct err *err)
{
    (void)now;
    char tenant_id[TENANT_ID_MAX + 1], after[DOC_KEY_MAX + 1];
    struct session_page page = {.w = w};
    struct head head;
    if (!answer_read_tenant(json_get(request, "tenantId"), tenant_id, err))
        return false;
    if (!json_copy_string(json_get(request, "after"), after, sizeof after))
        return err_set(err, ERR_INVALID, "after must be a string: empty, or the last answer's next");
    if (!store->ops->head(store, tenant_id, &head, err)) /* first: a later change has a later place */
        return false;
    jw_key_text(w, "tenantId", tenant_id);
    jw_key_text(w, "epoch", head.epoch);
    jw_key_i64(w, "head", (int64_t)head.seq);
    jw_key(w, "sessions");
    jw_begin(w, '[');
    if (!store->ops->scan(store, tenant_id, DOC_SESSION, view_of(after), PAGE_ROWS_MAX, on_session, &page,
                          err))
        return false;
    jw_end(w, ']');
    jw_key_text(w, "next", page.cut || page.count == PAGE_ROWS_MAX ? page.last : "");
    return true;
}
