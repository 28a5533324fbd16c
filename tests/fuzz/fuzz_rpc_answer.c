/* Answers of the state-manager to a gateway: heads ('h' first) and replays. Records that come out of them are
 * of the tenant that was asked for, and readable. */
#include "portal-gateway/feed/rpc_codec.h"
#include "shared/json.h"
#include "shared/log.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static void check_records(const struct record *first, const char *tenant_id)
{
    struct view value;
    for (const struct record *r = first; r; r = r->next) {
        MUST(!tenant_id || !strcmp(r->event.tenant_id, tenant_id));
        MUST(json_check(r->event.data, JSON_STRICT, &value, NULL));
    }
}

static void read_heads(struct view text)
{
    static const char *const tenants[] = {"t1", "t2", "t3"};
    struct heads *heads = heads_create(countof(tenants));
    struct err err = {0};
    heads->count = countof(tenants);
    for (size_t i = 0; i < countof(tenants); i++)
        memcpy(heads->items[i].tenant_id, tenants[i], 3);
    bool ok = rpc_read_heads(text, heads, &err);
    MUST(ok || err.code == ERR_UNAVAILABLE || err.code == ERR_MALFORMED);
    for (size_t i = 0; i < heads->count; i++) {
        const struct head *h = &heads->items[i];
        MUST(!h->answered || !*h->head.epoch || view_is_name(view_of(h->head.epoch), EPOCH_MAX, ""));
        check_records(h->latest, h->tenant_id);
    }
    heads_destroy(heads);
}

static void read_replay(struct view text)
{
    struct replay replay = {.after = {"k3f9", 40}};
    struct err err = {0};
    bool ok = rpc_read_replay(text, &replay, &err);
    MUST(ok || err.code == ERR_UNAVAILABLE || err.code == ERR_MALFORMED || err.code == ERR_INVALID);
    MUST(ok || !replay.records);
    check_records(replay.records, replay.records ? replay.records->event.tenant_id : NULL);
    record_destroy_chain(replay.records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data + (size > 0), size - (size > 0));
    log_init(LOG_ERROR);
    if (size && data[0] == 'h')
        read_heads(text);
    else
        read_replay(text);
    return 0;
}
