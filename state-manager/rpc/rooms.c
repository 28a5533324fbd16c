/* What gateways ask about rooms: which may be joined, and who is in which. */
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/model.h"
#include "state-manager/core/record.h"
#include "state-manager/rpc/answers.h"
#include <stdlib.h>
#include <string.h>

/* --- rights: which of some rooms there are, and whose -----------------------------------------------------
 */

#define CONVERSATION_ROOM "conversation:"

struct asked {
    char name[EVENT_ROOM_BYTES_MAX + 1];
    const struct room_rule *rule; /* NULL: none of a profile's */
    char id[RECORD_TEXT_SIZE], key[DOC_KEY_MAX];
    bool exists;
    char owner[RECORD_TEXT_SIZE];
};

struct asking {
    const struct answering *from;
    struct asked rooms[RIGHTS_MAX];
    struct wanted wanted[RIGHTS_MAX]; /* documents that a room stands for, and which room that is */
    size_t room_of[RIGHTS_MAX];
    size_t count, wanted_count;
};

static void want(struct asking *a, size_t room, enum doc_kind kind, struct view key)
{
    a->room_of[a->wanted_count] = room;
    a->wanted[a->wanted_count++] = (struct wanted){kind, key};
}

/* The conversation, or the document of a profile, that a room is of. */
static void want_document(struct asking *a, size_t at)
{
    const struct profiles *profiles = a->from->profiles;
    struct asked *room = &a->rooms[at];
    struct view name = view_of(room->name), id;
    const struct room_rule *rule = profiles ? profiles_room(profiles, name, &id) : NULL;
    if (rule && rule->of && record_id_valid(id) && view_copy(id, room->id, sizeof room->id)) {
        room->rule = rule;
        want(a, at, DOC_RECORD, record_key(rule->of, room->id, room->key));
        return;
    }
    if (!view_starts(name, CONVERSATION_ROOM) ||
        (profiles && !profiles_has_builtin(profiles, BUILTIN_AGENT_PORTAL)))
        return;
    id = view_of(name.p + sizeof CONVERSATION_ROOM - 1);
    if (view_is_name(id, MODEL_ID_SIZE - 1, "_-"))
        want(a, at, DOC_CONVERSATION, id);
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
        want_document(a, a->count);
    }
    return true;
}

static void read_document(struct asked *room, const struct record *record)
{
    struct buf absent;
    buf_init(&absent, RECORD_BYTES_MAX);
    struct view shown = record_shown(room->rule->of, room->id, record, &absent);
    room->exists = shown.n > 0;
    record_owner(room->rule->of, shown, room->owner);
    buf_free(&absent);
}

static void on_found(void *ctx, size_t index, struct view doc)
{
    struct asking *a = ctx;
    struct asked *room = &a->rooms[a->room_of[index]];
    struct record record;
    room->exists = true;
    if (!room->rule)
        return;
    record_read(doc, &record);
    read_document(room, &record);
}

/* False, true, or whose it is where that decides. */
static void write_right(struct json_writer *w, const struct asked *room)
{
    if (room->exists && room->rule && room->rule->owner)
        jw_key_text(w, room->name, room->owner);
    else
        jw_key_bool(w, room->name, room->exists);
}

bool answer_rights(const struct answering *from, struct view request, struct json_writer *w, struct err *err)
{
    char tenant_id[TENANT_ID_MAX + 1];
    struct asking *a = xcalloc(1, sizeof *a);
    struct record none = {.version = 0};
    a->from = from;
    bool ok = answer_read_tenant(json_get(request, "tenantId"), tenant_id, err) &&
              read_rooms(json_get(request, "rooms"), a, err);
    for (size_t i = 0; ok && i < a->count; i++)
        if (a->rooms[i].rule)
            read_document(&a->rooms[i], &none); /* what it is when there is none */
    ok = ok && (!a->wanted_count || from->store->ops->get_many(from->store, tenant_id, a->wanted,
                                                               a->wanted_count, on_found, a, err));
    jw_key(w, "rooms");
    jw_begin(w, '{');
    for (size_t i = 0; ok && i < a->count; i++)
        write_right(w, &a->rooms[i]);
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

bool answer_sessions(const struct answering *from, struct view request, struct json_writer *w,
                     struct err *err)
{
    struct store *store = from->store;
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
