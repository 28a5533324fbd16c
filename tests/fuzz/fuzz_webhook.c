/* Webhook bodies: everything that comes out points into the body and has a type that is known. */
#include "shared/json.h"
#include "state-manager/core/whatsapp.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

struct found {
    struct view body;
    size_t count;
};

static void check_inside(const struct found *f, struct view v)
{
    MUST(!v.n || (v.p >= f->body.p && v.p + v.n <= f->body.p + f->body.n));
}

static void on_command(void *ctx, const struct command *command)
{
    struct found *f = ctx;
    struct view value;
    f->count++;
    MUST(*command_name(command->type) && command->channel_id.n <= CHANNEL_ID_MAX);
    check_inside(f, command->element);
    check_inside(f, command->contact);
    MUST(json_check(command->element, JSON_STRICT, &value, NULL));
}

static void on_quarantine(void *ctx, const char *reason, struct view channel_id, struct view bytes)
{
    struct found *f = ctx;
    f->count++;
    MUST(*reason && (!channel_id.n || view_is_name(channel_id, CHANNEL_ID_MAX, "_-")));
    check_inside(f, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct found found = {.body = fuzz_input(data, size)};
    struct whatsapp_sink sink = {on_command, on_quarantine, &found};
    whatsapp_decode(found.body, &sink);
    check_inside(&found, whatsapp_peek_channel(found.body));
    MUST(found.count <= size + 1);
    return 0;
}
