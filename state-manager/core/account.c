/*
 * What a webhook holds besides messages and receipts: other fields, and values that carry only errors. Kept
 * as it came and passed on as `account_update`; the same thing sent again is known by its digest.
 */
#include "shared/crypto.h"
#include "shared/json.h"
#include "state-manager/core/command.h"

bool decide_account(struct batch *b, struct command *c, struct err *err)
{
    (void)err; /* nothing is refused: what is signed is kept */
    char key[32];
    struct buf doc;
    struct json_writer w;
    buf_init(&doc, DOC_MAX);
    jw_init(&w, &doc);
    jw_begin(&w, '{');
    jw_key(&w, "channelId");
    jw_text(&w, c->channel_id);
    jw_key_raw(&w, "field", c->field);
    jw_key_raw(&w, "value", c->element);
    jw_end(&w, '}');
    crypto_name_id("r_", buf_view(&doc), key);
    c->duplicate = batch_get(b, DOC_RAW, view_of(key)).n > 0;
    if (!c->duplicate) {
        struct doc_place place = {.rank = batch_now(b), .ord = batch_next_ord(b)};
        batch_put(b, DOC_RAW, view_of(key), place, buf_view(&doc));
        batch_emit(b, &(struct event_draft){.type = "account_update", .data = buf_view(&doc)}, NULL);
    }
    buf_free(&doc);
    return true;
}
