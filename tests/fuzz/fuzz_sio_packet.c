/* Socket.IO packets of clients. */
#include "portal-gateway/core/sio_packet.h"
#include "shared/json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data, size), value;
    struct sio_packet packet;
    struct err err;
    if (!sio_parse(text, &packet, &err)) {
        MUST(err.code == ERR_MALFORMED);
        return 0;
    }
    MUST(packet.type != SIO_CONNECT_ERROR && packet.attachments <= SIO_ATTACHMENTS_MAX);
    MUST(packet.nsp.n && packet.nsp.p[0] == '/');
    MUST(!packet.has_id || packet.id < UINT64_C(1) << 53);
    if (packet.payload.n) {
        MUST(packet.payload.p >= text.p && packet.payload.p + packet.payload.n <= text.p + text.n);
        MUST(json_check(packet.payload, JSON_STRICT, &value, NULL));
    }
    struct buf out;
    buf_init(&out, size * 2 + 256);
    sio_write_connect_error(&out, packet.nsp, "refused", "CODE");
    MUST(!out.overflow);
    buf_free(&out);
    return 0;
}
