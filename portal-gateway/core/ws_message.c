#include "portal-gateway/core/ws_message.h"
#include "shared/json.h"
#include <string.h>

static bool copy_token(struct view message, struct ws_message *out)
{
    struct view token = json_get(message, "token");
    return json_type(token) == JSON_NONE || json_copy_string(token, out->token, sizeof out->token);
}

static bool read_token(struct view message, struct ws_message *out, struct err *err)
{
    return copy_token(message, out) ||
           err_set(err, ERR_INVALID, "token is a string of at most %d bytes", TOKEN_MAX_BYTES);
}

static bool copy_room(struct view name, char out[static EVENT_ROOM_BYTES_MAX + 1])
{
    return json_copy_string(name, out, EVENT_ROOM_BYTES_MAX + 1) && *out;
}

static bool read_auth(struct view message, struct ws_message *out, struct err *err)
{
    struct view rooms = json_get(message, "rooms"), one;
    char name[EVENT_ROOM_BYTES_MAX + 1];
    size_t count = 0;
    bool fine = json_type(rooms) == JSON_NONE || json_type(rooms) == JSON_ARRAY;
    for (struct json_iter it = json_iter(rooms); fine && json_next_element(&it, &one);)
        fine = ++count <= WS_MESSAGE_ROOMS_MAX && copy_room(one, name);
    if (!fine)
        return err_set(err, ERR_INVALID, "rooms is an array of at most %d names of 1 to %d bytes",
                       WS_MESSAGE_ROOMS_MAX, EVENT_ROOM_BYTES_MAX);
    out->rooms = rooms;
    out->offset = json_get(message, "offset");
    if (!copy_token(message, out))
        memcpy(out->token, TOKEN_UNREADABLE, sizeof TOKEN_UNREADABLE);
    return true;
}

static bool read_room(struct view message, struct ws_message *out, struct err *err)
{
    return copy_room(json_get(message, "room"), out->room) ||
           err_set(err, ERR_INVALID, "room is a string of 1 to %d bytes", EVENT_ROOM_BYTES_MAX);
}

static bool read_emit(struct view message, struct ws_message *out, struct err *err)
{
    out->event = json_get(message, "event");
    out->data = json_get(message, "data");
    return json_type(out->event) == JSON_STRING || err_set(err, ERR_INVALID, "event is a string");
}

static bool read_nothing(struct view message, struct ws_message *out, struct err *err)
{
    (void)message;
    (void)out;
    (void)err;
    return true;
}

static bool (*const readers[])(struct view, struct ws_message *, struct err *) = {
    [WS_MESSAGE_AUTH] = read_auth,       [WS_MESSAGE_JOIN] = read_room,     [WS_MESSAGE_LEAVE] = read_room,
    [WS_MESSAGE_EMIT] = read_emit,       [WS_MESSAGE_REFRESH] = read_token, [WS_MESSAGE_PING] = read_nothing,
    [WS_MESSAGE_UNKNOWN] = read_nothing,
};

static enum ws_message_type type_of(struct view name)
{
    static const char *const names[] = {
#define X(id, text) text,
        WS_MESSAGE_TYPES(X)
#undef X
    };
    for (size_t i = 0; i < countof(names); i++)
        if (json_string_is(name, names[i]))
            return (enum ws_message_type)i;
    return WS_MESSAGE_UNKNOWN;
}

static void forget(struct ws_message *m)
{
    m->type = WS_MESSAGE_UNKNOWN;
    m->id = m->offset = m->rooms = m->event = m->data = (struct view){NULL, 0};
    m->token[0] = m->room[0] = 0;
}

bool ws_message_parse(struct view text, struct ws_message *out, struct err *err)
{
    struct view message;
    forget(out);
    if (!json_check(text, JSON_STRICT, &message, err))
        return false;
    struct view type = json_get(message, "type"), id = json_get(message, "id");
    if (json_type(message) != JSON_OBJECT || json_type(type) != JSON_STRING)
        return err_set(err, ERR_MALFORMED, "a message is a JSON object with a string \"type\"");
    out->type = type_of(type);
    if (id.n > WS_MESSAGE_ID_MAX)
        return err_set(err, ERR_INVALID, "id has at most %d bytes", WS_MESSAGE_ID_MAX);
    if (json_type(id) == JSON_STRING || json_type(id) == JSON_NUMBER)
        out->id = id;
    return readers[out->type](message, out, err);
}

void ws_message_write_error(struct buf *out, struct view id, const char *code, const char *message)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "type", "error");
    if (id.n)
        jw_key_raw(&w, "id", id);
    jw_key_text(&w, "code", code);
    jw_key_text(&w, "message", message);
    jw_end(&w, '}');
}

void ws_message_write_ack(struct buf *out, struct view id, struct view data)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "type", "ack");
    jw_key_raw(&w, "id", id);
    jw_key_raw(&w, "data", data);
    jw_end(&w, '}');
}
