/* Bodies from the exchange: what is taken obeys the contract of shared/event.h. */
#include "shared/event.h"
#include "shared/json.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view body = fuzz_input(data, size), value;
    struct event event;
    struct err err;
    char epoch[EPOCH_MAX + 1], offset[OFFSET_SIZE], key[EVENT_ROUTING_KEY_SIZE];
    uint64_t seq;
    bool is_offset = offset_parse(body, epoch, &seq);
    if (!event_decode(body, &event, &err)) {
        MUST(err.code == ERR_MALFORMED || err.code == ERR_INVALID || err.code == ERR_TOO_LARGE);
        if (is_offset)
            offset_format(epoch, seq, offset);
        return 0;
    }
    MUST(tenant_id_valid(view_of(event.tenant_id)) &&
         (event.inside || event_type_valid(view_of(event.type))));
    MUST(event.inside == event_type_is_inside(view_of(event.type)));
    MUST(!event.seq || *event.epoch);
    MUST(event.class != EVENT_DURABLE || event.seq);
    MUST(event.class != EVENT_LATEST || *event.key);
    MUST(!event.rooms.n || event_rooms_valid(event.rooms));
    MUST(json_check(event.data, JSON_STRICT, &value, NULL));
    event_routing_key(event.tenant_id, event.type, key);
    if (event.seq) {
        offset_format(event.epoch, event.seq, offset);
        MUST(offset_parse(view_of(offset), epoch, &seq) && seq == event.seq && !strcmp(epoch, event.epoch));
    }
    return 0;
}
