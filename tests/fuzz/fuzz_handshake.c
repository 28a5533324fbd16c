/* The query of requests to Engine.IO, and what is said to them. */
#include "portal-gateway/http/handshake.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view query = fuzz_input(data, size), origin = {0};
    struct eio_query q;
    view_split(&query, '\n', &origin); /* the first line is the Origin */
    eio_query_read(query, &q);
    enum eio_error why = eio_check(&q, origin);
    MUST(strlen(q.sid) <= EIO_SID_MAX && (q.has_sid || !*q.sid));
    MUST((why == EIO_UNKNOWN_TRANSPORT) == (q.transport == EIO_NO_TRANSPORT));
    MUST(why == EIO_FINE || *eio_error_message(why));
    MUST(eio_check_handshake(&q, HTTP_POST) == EIO_BAD_HANDSHAKE_METHOD);
    MUST((eio_check_handshake(&q, HTTP_GET) == EIO_FINE) == (q.transport == EIO_POLLING));
    return 0;
}
