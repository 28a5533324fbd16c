#include "portal-gateway/core/ws_message.h"
#include "shared/json.h"

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

bool ws_message_parse(struct view text, struct ws_message *out, struct err *err)
{
    struct view message;
    out->type = WS_MESSAGE_UNKNOWN;
    out->id = (struct view){NULL, 0};
    out->token[0] = 0;
    if (!json_check(text, JSON_STRICT, &message, err))
        return false;
    struct view type = json_get(message, "type"), id = json_get(message, "id"),
                token = json_get(message, "token");
    if (json_type(message) != JSON_OBJECT || json_type(type) != JSON_STRING)
        return err_set(err, ERR_MALFORMED, "a message is a JSON object with a string \"type\"");
    if (json_type(id) == JSON_STRING || json_type(id) == JSON_NUMBER)
        out->id = id;
    out->type = type_of(type);
    out->offset = json_get(message, "offset");
    out->rooms = json_get(message, "rooms");
    if (out->type == WS_MESSAGE_AUTH && json_type(token) != JSON_NONE &&
        !json_copy_string(token, out->token, sizeof out->token))
        return err_set(err, ERR_INVALID, "token is a string of at most %d bytes", TOKEN_MAX_BYTES);
    return true;
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
