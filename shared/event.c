#include "shared/event.h"
#include "shared/clock.h"
#include "shared/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const class_names[] = {"durable", "latest", "ephemeral"};

const char *event_class_name(enum event_class class)
{
    return class_names[class];
}

bool tenant_id_valid(struct view v)
{
    return view_is_name(v, TENANT_ID_MAX, "_-");
}

bool event_type_valid(struct view v)
{
    /* socket.io-client drops a connection that emits one of these (wire spec, 3.1) */
    static const char *const reserved[] = {"connect",       "connect_error", "disconnect",
                                           "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < countof(reserved); i++)
        if (view_is(v, reserved[i]))
            return false;
    return view_is_name(v, EVENT_TYPE_MAX, "_.:-") && !event_type_is_inside(v);
}

bool event_type_is_inside(struct view v)
{
    return view_starts(v, EVENT_INSIDE);
}

bool event_rooms_valid(struct view rooms)
{
    size_t count = 0;
    struct view room;
    if (json_type(rooms) != JSON_ARRAY)
        return false;
    for (struct json_iter it = json_iter(rooms); json_next_element(&it, &room); count++) {
        char name[EVENT_ROOM_BYTES_MAX + 1];
        if (!json_copy_string(room, name, sizeof name) || !*name)
            return false;
    }
    return count >= 1 && count <= EVENT_ROOMS_MAX;
}

void event_routing_key(const char *tenant_id, const char *type, char out[static EVENT_ROUTING_KEY_SIZE])
{
    snprintf(out, EVENT_ROUTING_KEY_SIZE, "tenant.%s.%s", tenant_id, type);
}

/* The members of a body. */
#define MEMBERS(X) \
    X(tenantId)    \
    X(type)        \
    X(id)          \
    X(epoch)       \
    X(key)         \
    X(except)      \
    X(seq)         \
    X(rev)         \
    X(class)       \
    X(rooms)       \
    X(data)        \
    X(at)
#define MEMBER_INDEX(name) MEMBER_##name,
#define MEMBER_NAME(name)  #name,
enum { MEMBERS(MEMBER_INDEX) MEMBER_COUNT };
static const char *const member_names[] = {MEMBERS(MEMBER_NAME)};

/* An optional string into a fixed array: absent and null leave it empty. */
static bool read_optional(struct view value, char *out, size_t size)
{
    out[0] = 0;
    if (json_type(value) == JSON_NONE || json_type(value) == JSON_NULL)
        return true;
    return json_copy_string(value, out, size);
}

static bool read_unsigned(struct view value, uint64_t *out)
{
    *out = 0;
    if (json_type(value) == JSON_NONE || json_type(value) == JSON_NULL)
        return true;
    int64_t number;
    if (!json_i64(value, &number) || number < 0)
        return false;
    *out = (uint64_t)number;
    return true;
}

static bool read_class(struct view value, struct event *out)
{
    out->class = out->seq ? EVENT_DURABLE : EVENT_EPHEMERAL;
    if (json_type(value) == JSON_NONE)
        return true;
    for (size_t i = 0; i < countof(class_names); i++)
        if (json_string_is(value, class_names[i])) {
            out->class = (enum event_class)i;
            if (out->class == EVENT_DURABLE && !out->seq) /* a foreign producer's: nothing can replay it */
                out->class = EVENT_EPHEMERAL;
            return true;
        }
    return false;
}

static bool read_rooms(struct view rooms, struct event *out)
{
    out->rooms = rooms;
    struct view first;
    struct json_iter it = json_iter(out->rooms);
    if (json_type(out->rooms) == JSON_NONE || json_type(out->rooms) == JSON_NULL ||
        (json_type(out->rooms) == JSON_ARRAY && !json_next_element(&it, &first))) {
        out->rooms = (struct view){NULL, 0};
        return true;
    }
    return event_rooms_valid(out->rooms);
}

/* Ours need a name of their own behind what they all begin with. */
static bool read_type(struct view string, struct event *out)
{
    if (!json_copy_string(string, out->type, sizeof out->type))
        return false;
    struct view type = view_of(out->type);
    out->inside = event_type_is_inside(type);
    return out->inside ? type.n > sizeof EVENT_INSIDE - 1 && view_is_name(type, EVENT_TYPE_MAX, "_.:-")
                       : event_type_valid(type);
}

static bool read_names(const struct view *members, struct event *out, struct err *err)
{
    if (!json_copy_string(members[MEMBER_tenantId], out->tenant_id, sizeof out->tenant_id) ||
        !tenant_id_valid(view_of(out->tenant_id)))
        return err_set(err, ERR_INVALID, "tenantId is missing or breaks its rule");
    if (!read_type(members[MEMBER_type], out))
        return err_set(err, ERR_INVALID, "type is missing or breaks its rule");
    if (!read_optional(members[MEMBER_id], out->id, sizeof out->id) ||
        !read_optional(members[MEMBER_epoch], out->epoch, sizeof out->epoch) ||
        !read_optional(members[MEMBER_key], out->key, sizeof out->key) ||
        !read_optional(members[MEMBER_except], out->except, sizeof out->except))
        return err_set(err, ERR_INVALID, "id, epoch, key and except are strings within their sizes");
    return true;
}

static bool read_place(const struct view *members, struct event *out, struct err *err)
{
    if (!read_unsigned(members[MEMBER_seq], &out->seq) || !read_unsigned(members[MEMBER_rev], &out->rev))
        return err_set(err, ERR_INVALID, "seq and rev are non-negative integers");
    if (*out->epoch && !view_is_name(view_of(out->epoch), EPOCH_MAX, "")) /* it becomes part of an offset */
        return err_set(err, ERR_INVALID, "epoch breaks its rule");
    if (!out->seq)
        out->epoch[0] = 0;
    if (!read_class(members[MEMBER_class], out) || (out->class == EVENT_LATEST && !*out->key) ||
        (out->seq && !*out->epoch))
        return err_set(err, ERR_INVALID, "class is unknown, or key or epoch is missing for it");
    if (!read_rooms(members[MEMBER_rooms], out))
        return err_set(err, ERR_INVALID, "rooms is no array of 1 to %d room names", EVENT_ROOMS_MAX);
    return true;
}

bool event_decode(struct view text, struct event *out, struct err *err)
{
    struct view body, members[MEMBER_COUNT];
    *out = (struct event){0};
    if (text.n > EVENT_BODY_MAX)
        return err_set(err, ERR_TOO_LARGE, "an event body of %zu bytes", text.n);
    if (!json_check(text, JSON_STRICT, &body, err))
        return false;
    if (json_type(body) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "an event is a JSON object");
    json_get_several(body, member_names, members, MEMBER_COUNT);
    if (!read_names(members, out, err) || !read_place(members, out, err))
        return false;
    out->data = members[MEMBER_data];
    if (!out->data.n)
        out->data = VIEW("null");
    out->at = members[MEMBER_at];
    return true;
}

void event_encode(struct buf *out, const struct event_draft *draft, const char *tenant_id, const char *id,
                  const char *epoch, uint64_t seq, int64_t at_wall_ms)
{
    char at[CLOCK_ISO_SIZE];
    clock_iso(at_wall_ms, at);
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_i64(&w, "v", 1);
    jw_key_text(&w, "id", id);
    jw_key_text(&w, "type", draft->type);
    jw_key_text(&w, "tenantId", tenant_id);
    if (seq) {
        jw_key_text(&w, "epoch", epoch);
        jw_key_i64(&w, "seq", (int64_t)seq);
    }
    jw_key_text(&w, "class", event_class_name(draft->class));
    if (draft->class == EVENT_LATEST) {
        jw_key(&w, "key");
        jw_text(&w, draft->key);
        jw_key_i64(&w, "rev", (int64_t)draft->rev);
    }
    if (draft->rooms.n)
        jw_key_raw(&w, "rooms", draft->rooms);
    if (draft->except)
        jw_key_text(&w, "except", draft->except);
    jw_key_text(&w, "at", at);
    jw_key_raw(&w, "data", draft->data);
    jw_end(&w, '}');
}

void offset_format(const char *epoch, uint64_t seq, char out[static OFFSET_SIZE])
{
    snprintf(out, OFFSET_SIZE, "%s-%" PRIu64, epoch, seq);
}

bool offset_parse(struct view text, char epoch[static EPOCH_MAX + 1], uint64_t *seq)
{
    struct view rest = text, head;
    if (!view_split(&rest, '-', &head) || !rest.p)
        return false;
    if (head.n && !view_is_name(head, EPOCH_MAX, ""))
        return false;
    return view_copy(head, epoch, EPOCH_MAX + 1) && view_u64(rest, INT64_MAX, seq);
}
