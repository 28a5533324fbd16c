#include "portal-gateway/core/asks.h"
#include "portal-gateway/core/hub.h"
#include "shared/json.h"
#include <assert.h>
#include <stdio.h>

void asks_init(struct asks *asks)
{
    *asks = (struct asks){0};
    map_init(&asks->by_token);
}

void asks_finish(struct asks *asks)
{
    asks->finished = true;
    while (asks->by_token.count) {
        size_t at = 0;
        struct view key;
        void *ask;
        if (map_next(&asks->by_token, &at, &key, &ask))
            asks_settle(asks, ((struct ask *)ask)->token, (struct view){NULL, 0});
    }
    map_free(&asks->by_token);
}

static struct view key_of(const uint64_t *token)
{
    return (struct view){(const char *)token, sizeof *token};
}

void ask_begin(struct json_writer *w, struct buf *out, const char *tenant_id, const char *op)
{
    jw_init(w, out);
    jw_begin(w, '{');
    jw_key_i64(w, "v", 1);
    jw_key_text(w, "op", op);
    jw_key_text(w, "tenantId", tenant_id);
}

void asks_send(struct hub *h, struct ask *ask, const char *tenant_id, struct view request)
{
    assert(!ask->token);
    ask->token = ++h->asks.last;
    map_put(&h->asks.by_token, key_of(&ask->token), ask);
    if (!h->asks.finished)
        h->upstream.ask(h->upstream.ctx, tenant_id, ask->token, request);
}

void asks_cancel(struct hub *h, struct ask *ask)
{
    if (ask->token)
        map_remove(&h->asks.by_token, key_of(&ask->token));
    ask->token = 0;
}

static void refuse(struct answer *answer, const char *code, const char *text)
{
    snprintf(answer->code, sizeof answer->code, "%s", code);
    snprintf(answer->text, sizeof answer->text, "%s", text);
}

static void read_answer(struct view text, struct answer *answer)
{
    struct err err = {0};
    if (!text.n) {
        refuse(answer, "UNAVAILABLE", "no answer in time: try again");
    } else if (!json_check(text, JSON_OURS, &answer->body, &err)) {
        refuse(answer, "INTERNAL", "an answer that cannot be read");
    } else {
        answer->ok = json_is_true(json_get(answer->body, "ok"));
        if (answer->ok)
            return;
        refuse(answer, "INTERNAL", "an answer without a reason");
        struct view code = json_path(answer->body, "error.code"),
                    why = json_path(answer->body, "error.message");
        if (json_copy_string(code, answer->code, sizeof answer->code) &&
            json_copy_string(why, answer->text, sizeof answer->text))
            return;
        refuse(answer, "INTERNAL", "an answer without a reason");
    }
}

void asks_settle(struct asks *asks, uint64_t token, struct view text)
{
    struct ask *ask = map_get(&asks->by_token, key_of(&token));
    struct answer answer = {0};
    if (!ask)
        return; /* cancelled */
    map_remove(&asks->by_token, key_of(&token));
    ask->token = 0;
    read_answer(text, &answer);
    ask->on_answer(ask, &answer);
}
