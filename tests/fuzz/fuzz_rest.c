/* Bodies of REST calls and elements of webhooks, decided on a throw-away store with one conversation. The
 * first byte says which. What is taken leaves readable documents, events and an answer; what is refused
 * leaves nothing. */
#include "shared/json.h"
#include "shared/log.h"
#include "state-manager/core/batch.h"
#include "state-manager/core/command.h"
#include "state-manager/core/model.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/one_conversation.h"

enum { REPLY_MAX = 4 << 20 };

static const enum command_type calls[] = {
    COMMAND_OUTBOUND, COMMAND_PATCH,   COMMAND_READ,    COMMAND_CORRELATE, COMMAND_REFRESH,
    COMMAND_EVENTS,   COMMAND_TENANT,  COMMAND_SESSION, COMMAND_REVOKE,    COMMAND_INBOUND,
    COMMAND_ECHO,     COMMAND_RECEIPT, COMMAND_ACCOUNT};
enum { WEBHOOK_CALLS = 4 }; /* the last ones, which nobody waits for */

static void check_event(struct view body)
{
    struct event event;
    struct err err;
    MUST(event_decode(body, &event, &err));
}

static void check_entry(const struct entry *e)
{
    struct view value, body;
    struct conversation c;
    struct message m;
    for (size_t i = 0; i < e->change_count; i++) {
        const struct change *change = &e->changes[i];
        MUST(json_check(change->doc, JSON_OURS, &value, NULL) && view_eq(value, change->doc));
        MUST(change->kind != DOC_CONVERSATION || conversation_read(value, &c));
        MUST(change->kind != DOC_MESSAGE || message_read(value, &m));
        MUST(view_is_utf8(change->place.owner));
    }
    MUST(json_check(e->events, JSON_STRICT, &value, NULL));
    for (struct json_iter it = json_iter(value); json_next_element(&it, &body);)
        check_event(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view body = fuzz_input(data + (size > 0), size - (size > 0)), value = {NULL, 0};
    struct err err = {0};
    struct buf reply;
    if (!size || !json_check(body, JSON_STRICT, &value, &err))
        return 0;
    buf_init(&reply, REPLY_MAX);
    size_t which = ((data[0] & 0x7fu) + 6 * countof(calls) - '1') % countof(calls); /* '1' is the first */
    bool is_call = which < countof(calls) - WEBHOOK_CALLS;
    struct command c = {.type = calls[which],
                        .element = value,
                        .channel_id = VIEW("100"),
                        .contact = VIEW("{\"wa_id\":\"4477\",\"profile\":{\"name\":\"Ann\"}}"),
                        .field = VIEW("\"account_update\""),
                        .conversation_id = view_of(one_conversation_id()),
                        .author = VIEW("agent-1"),
                        .idempotency_key = is_call && data[0] & 0x80 ? VIEW("key") : VIEW(""),
                        .reply = is_call ? &reply : NULL};
    struct batch *b = one_batch();
    bool taken = command_decide(b, &c, &err);
    MUST(taken || err.code == ERR_INVALID || err.code == ERR_CONFLICT || err.code == ERR_NOT_FOUND);
    MUST(taken || view_is_utf8(view_of(err.text)));
    struct err failure = {0};
    const struct entry *e = batch_seal(b, &failure);
    MUST(!failure.code && (taken || !e));
    if (e)
        check_entry(e);
    MUST(!taken || !is_call || json_check(buf_view(&reply), JSON_STRICT, &value, &err));
    batch_destroy(b);
    buf_free(&reply);
    return 0;
}
