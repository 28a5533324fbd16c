/* Messages of plain WebSocket clients. */
#include "portal-gateway/core/ws_message.h"
#include "shared/json.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data, size), value;
    struct ws_message message;
    struct err err;
    if (!ws_message_parse(text, &message, &err)) {
        MUST(err.code == ERR_MALFORMED || err.code == ERR_INVALID);
        return 0;
    }
    MUST(message.type <= WS_MESSAGE_UNKNOWN && strlen(message.token) <= TOKEN_MAX_BYTES);
    MUST(message.id.n <= WS_MESSAGE_ID_MAX && view_is_utf8(view_of(message.room)));
    MUST(message.type == WS_MESSAGE_AUTH || !message.rooms.n);
    MUST((message.type == WS_MESSAGE_EMIT) == (json_type(message.event) == JSON_STRING));
    MUST((message.type == WS_MESSAGE_JOIN || message.type == WS_MESSAGE_LEAVE) == (*message.room != 0));
    struct buf out;
    buf_init(&out, size * 2 + 256);
    ws_message_write_error(&out, message.id, "CODE", "why");
    MUST(!out.overflow && json_check(buf_view(&out), JSON_STRICT, &value, NULL));
    buf_free(&out);
    return 0;
}
