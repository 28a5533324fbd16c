/* Polling payloads, and that packets that were read are written as they were. */
#include "portal-gateway/core/eio_payload.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data, size), packet;
    struct eio_payload p;
    struct buf written;
    bool is_text, is_exact = true; /* base64 may have bits to spare */
    enum eio_found found;
    size_t bytes = 0;
    buf_init(&written, size * 2 + 16);
    eio_payload_init(&p, text);
    while ((found = eio_payload_next(&p, &packet, &is_text)) == EIO_FOUND) {
        bytes += packet.n;
        is_exact = is_exact && is_text;
        MUST(bytes <= size);
        MUST(!is_text || (packet.n && view_is_utf8(packet) && !memchr(packet.p, 0x1e, packet.n)));
        MUST(eio_payload_add(&written, packet, is_text));
    }
    MUST(found == EIO_BROKEN ? written.len <= text.n : written.len == text.n);
    MUST(found == EIO_BROKEN || !is_exact || !memcmp(written.data, text.p, text.n));
    eio_payload_finish(&p);
    buf_free(&written);
    return 0;
}
