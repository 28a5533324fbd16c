#include "portal-gateway/http/handshake.h"
#include "shared/http_text.h"
#include <string.h>

enum { WORD_SIZE = 32 };

static bool is_set_to(struct view query, const char *name, const char *value)
{
    char text[WORD_SIZE];
    return http_query_param(query, name, text, sizeof text) && strcmp(text, value) == 0;
}

void eio_query_read(struct view query, struct eio_query *out)
{
    *out = (struct eio_query){
        .transport = is_set_to(query, "transport", "polling")     ? EIO_POLLING
                     : is_set_to(query, "transport", "websocket") ? EIO_WEBSOCKET
                                                                  : EIO_NO_TRANSPORT,
        .is_v4 = is_set_to(query, "EIO", "4"),
        .b64 = is_set_to(query, "b64", "1"),
        .has_sid = http_query_has(query, "sid"),
    };
    if (!http_query_param(query, "sid", out->sid, sizeof out->sid))
        out->sid[0] = 0;
}

const char *eio_error_message(enum eio_error why)
{
    static const char *const messages[] = {
#define X(id, message) message,
        EIO_ERRORS(X)
#undef X
    };
    return why == EIO_FINE ? "" : messages[why];
}

static bool is_printable(struct view text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

enum eio_error eio_check(const struct eio_query *q, struct view origin)
{
    if (q->transport == EIO_NO_TRANSPORT)
        return EIO_UNKNOWN_TRANSPORT;
    return is_printable(origin) ? EIO_FINE : EIO_BAD_REQUEST;
}

enum eio_error eio_check_handshake(const struct eio_query *q, enum http_method method)
{
    if (method != HTTP_GET)
        return EIO_BAD_HANDSHAKE_METHOD;
    return q->transport == EIO_POLLING ? EIO_FINE : EIO_BAD_REQUEST;
}
