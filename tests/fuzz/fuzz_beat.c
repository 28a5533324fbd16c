/* Heartbeats of other gateways, and the header of what they relay: nothing that is not signed gets through.
 */
#include "portal-gateway/core/beat.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data, size);
    struct peer_keys keys;
    struct beat beat;
    struct err err = {0};
    peer_keys_derive(&keys, "a-secret-that-no-corpus-file-was-signed-with", "");
    MUST(!beat_read(text, &keys, 1795269600000, &beat, &err));
    MUST(err.code == ERR_MALFORMED || err.code == ERR_INVALID || err.code == ERR_UNAUTHENTICATED);
    MUST(!peer_pass_check(&keys, 1795269600000, "GET", VIEW("AAAAAA01234567890123456789"), text));
    return 0;
}
