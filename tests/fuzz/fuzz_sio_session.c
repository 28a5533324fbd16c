/* What a client may do to a Socket.IO session: messages of both kinds in any order. Input: messages one
 * behind the other, each a byte for its kind (odd: binary), two for its length, and its bytes. */
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "shared/log.h"
#include "tests/fuzz/fuzz.h"

static struct loop *loop;
static struct hub *hub;
static bool closed;

static size_t take_all(void *link, const struct iovec *frames, size_t n)
{
    (void)link;
    for (size_t i = 0; i < n; i++)
        MUST(frames[i].iov_len >= 2 && ((const unsigned char *)frames[i].iov_base)[0] & 0x80);
    return n;
}

static void note_close(void *link, int code, const char *reason)
{
    (void)link;
    (void)reason;
    MUST(code == 0 && !closed);
    closed = true;
}

static const struct link_ops ops = {.write = take_all, .close = note_close};

static void set_up(void)
{
    static const struct policy policy = {.conformance = true,
                                         .ping_interval_ms = 25000,
                                         .ping_timeout_ms = 20000,
                                         .connect_timeout_ms = 10000,
                                         .max_payload = 4096,
                                         .ring_events = 4096,
                                         .ring_bytes = 1 << 24,
                                         .lag_bytes = 1 << 20,
                                         .lag_ms = 30000};
    log_init(LOG_ERROR);
    loop = loop_create();
    hub = hub_create(loop, &policy, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int link;
    if (!hub)
        set_up();
    closed = false;
    struct session *s = session_create(hub, size && data[0] & 2 ? &protocol_eio : &protocol_sio, NULL);
    session_on_open(s, &ops, &link);
    while (size >= 3 && !closed) {
        size_t n = (size_t)data[1] << 8 | data[2];
        n = n < size - 3 ? n : size - 3;
        struct view message = fuzz_input(data + 3, n);
        if (data[0] & 1)
            session_on_message(s, message, false);
        else if (view_is_utf8(message))
            session_on_message(s, message, true);
        loop_turn(loop); /* of those who have not signed in one is heard in a turn */
        data += 3 + n;
        size -= 3 + n;
    }
    session_gone(s);
    MUST(hub_session_count(hub) == 0);
    return 0;
}
