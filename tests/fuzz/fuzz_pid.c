/* Private ids of sessions: what is not signed is refused, and of what is signed with anything in it either
 * the very same is read or nothing. */
#include "portal-gateway/core/pid.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static void take(struct view *rest, void *out, size_t n)
{
    if (n > rest->n)
        n = rest->n;
    if (n)
        memcpy(out, rest->p, n);
    rest->p += n;
    rest->n -= n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data, size), rest = text;
    struct peer_keys keys;
    struct claims nobody = {.tenant_id = "t1", .sub = "u1"}, other = {.tenant_id = "t1", .sub = "u2"};
    struct pid in = {.id = ""}, out;
    char pid[PID_SIZE];
    peer_keys_derive(&keys, "a-secret-that-no-corpus-file-was-signed-with", "");
    MUST(!pid_read(&keys, &nobody, text, &out));

    take(&rest, in.id, sizeof in.id - 1);
    take(&rest, in.base.epoch, sizeof in.base.epoch - 1);
    take(&rest, &in.base.seq, sizeof in.base.seq);
    take(&rest, &in.issued_ms, sizeof in.issued_ms);
    pid_write(&keys, &nobody, &in, pid);
    if (pid_read(&keys, &nobody, view_of(pid), &out))
        MUST(!strcmp(in.id, out.id) && !strcmp(in.base.epoch, out.base.epoch) &&
             in.base.seq == out.base.seq && in.issued_ms == out.issued_ms);
    MUST(!pid_read(&keys, &other, view_of(pid), &out));
    return 0;
}
