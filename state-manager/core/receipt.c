/*
 * Receipts: sent, delivered, read... (facts page, section 5). They come in any order, twice, and before their
 * message. Every one is kept; only an upward move of the message's status is announced.
 */
#include "shared/clock.h"
#include "shared/json.h"
#include "state-manager/core/conversing.h"
#include <stdio.h>

enum { RECEIPTS_PER_MESSAGE_MAX = 1024 };

/* In groups one message gets a receipt per participant. */
static struct view participant_of(struct view receipt)
{
    struct view id = json_get(receipt, "recipient_participant_id");
    if (json_type(id) != JSON_STRING)
        id = json_get(receipt, "recipient_participant_user_id");
    return json_type(id) == JSON_STRING ? id : (struct view){NULL, 0};
}

/* Whether an array of receipts has this status for this participant. *count: how many it holds. */
static bool has_receipt(struct view receipts, struct view status, struct view participant, size_t *count)
{
    struct view one;
    bool found = false;
    *count = 0;
    for (struct json_iter it = json_iter(receipts); json_next_element(&it, &one); ++*count)
        found =
            found || (view_eq(json_get(one, "status"), status) && view_eq(participant_of(one), participant));
    return found;
}

/* The array with one more element. */
static void append_element(struct buf *out, struct view array, struct view element)
{
    bool empty = array.n <= 2;
    buf_add_view(out, empty ? VIEW("[") : (struct view){array.p, array.n - 1});
    if (!empty)
        buf_add_char(out, ',');
    buf_add_view(out, element);
    buf_add_char(out, ']');
}

/* One element of statusHistory: ours in front, the receipt as it came behind it. */
static void write_history_element(struct buf *out, struct view receipt, int64_t at_wall_ms)
{
    char at[CLOCK_ISO_SIZE];
    struct view participant = participant_of(receipt);
    struct json_writer w;
    clock_iso(at_wall_ms, at);
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_raw(&w, "status", json_get(receipt, "status"));
    jw_key_text(&w, "timestamp", at);
    if (participant.n)
        jw_key_raw(&w, "recipient_participant_id", participant);
    jw_key_raw(&w, "raw", receipt);
    jw_end(&w, '}');
}

static void announce(struct batch *b, const struct message *m, int64_t at_wall_ms)
{
    char at[CLOCK_ISO_SIZE], own_id[MODEL_ID_SIZE + 2];
    clock_iso(at_wall_ms, at);
    struct buf data;
    struct json_writer w;
    buf_init(&data, DOC_MAX);
    jw_init(&w, &data);
    jw_begin(&w, '{');
    jw_key_raw(&w, "messageId",
               m->message_id.n ? m->message_id : quoted(view_of(m->id), own_id, sizeof own_id));
    jw_key_text(&w, "id", m->id);
    jw_key_text(&w, "conversationId", m->conversation_id);
    jw_key_text(&w, "status", message_status_name(m->status));
    jw_key_text(&w, "timestamp", at);
    if (m->status == MESSAGE_FAILED && m->errors.n)
        jw_key_raw(&w, "errors", m->errors);
    jw_end(&w, '}');
    batch_emit(b, &(struct event_draft){.type = "status_update", .data = buf_view(&data)}, NULL);
    buf_free(&data);
}

bool receipt_apply(struct batch *b, struct message *m, struct view receipt)
{
    size_t count;
    struct view status = json_get(receipt, "status");
    if (has_receipt(m->history, status, participant_of(receipt), &count) || count >= RECEIPTS_PER_MESSAGE_MAX)
        return false;
    int64_t at = unix_seconds(json_get(receipt, "timestamp"), batch_now(b));
    struct buf element, history;
    buf_init(&element, DOC_MAX);
    buf_init(&history, DOC_MAX);
    write_history_element(&element, receipt, at);
    append_element(&history, m->history, buf_view(&element));
    enum message_status to = message_status_parse(status);
    bool moves = message_status_moves(m->status, to);
    m->history = buf_view(&history);
    if (moves) {
        m->status = to;
        if (json_type(json_get(receipt, "errors")) == JSON_ARRAY)
            m->errors = json_get(receipt, "errors");
    }
    message_put(b, m);
    if (moves)
        announce(b, m, at);
    /* The document that was just written holds the history now; the message points there, not into our
     * buffers. */
    bool readable = message_read(batch_get(b, DOC_MESSAGE, view_of(m->id)), m);
    buf_free(&element);
    buf_free(&history);
    return readable;
}

struct view parked_key(struct view channel_id, struct view wamid, char *room, size_t size)
{
    int n = snprintf(room, size, "%.*s|%.*s", VIEW_ARG(channel_id), VIEW_ARG(wamid));
    return (struct view){room, (size_t)n};
}

void receipts_unpark(struct batch *b, struct view channel_id, struct view wamid, struct message *m)
{
    char room[DOC_KEY_MAX];
    struct view key = parked_key(channel_id, wamid, room, sizeof room), receipt;
    struct view parked = json_get(batch_get(b, DOC_PARKED, key), "receipts");
    bool some = false;
    for (struct json_iter it = json_iter(parked); json_next_element(&it, &receipt); some = true)
        receipt_apply(b, m, receipt);
    if (some)
        batch_put(b, DOC_PARKED, key, (struct doc_place){.rank = batch_now(b)}, VIEW("{\"receipts\":[]}"));
}

static void park(struct batch *b, struct command *c, struct view wamid)
{
    char room[DOC_KEY_MAX];
    size_t count;
    struct view key = parked_key(c->channel_id, wamid, room, sizeof room);
    struct view receipts = json_get(batch_get(b, DOC_PARKED, key), "receipts");
    c->duplicate =
        has_receipt(receipts, json_get(c->element, "status"), participant_of(c->element), &count) ||
        count >= RECEIPTS_PER_MESSAGE_MAX;
    if (c->duplicate)
        return;
    struct buf doc;
    buf_init(&doc, DOC_MAX);
    buf_add_text(&doc, "{\"receipts\":");
    append_element(&doc, receipts, c->element);
    buf_add_char(&doc, '}');
    batch_put(b, DOC_PARKED, key, (struct doc_place){.rank = batch_now(b)}, buf_view(&doc));
    buf_free(&doc);
}

void foresee_receipt(struct batch *b, const struct command *c)
{
    char wamid[WAMID_MAX + 1];
    if (json_copy_string(json_get(c->element, "id"), wamid, sizeof wamid))
        message_want(b, c->channel_id, view_of(wamid));
}

bool decide_receipt(struct batch *b, struct command *c, struct err *err)
{
    char wamid[WAMID_MAX + 1];
    struct message m;
    if (!json_copy_string(json_get(c->element, "id"), wamid, sizeof wamid) || !*wamid)
        return err_set(err, ERR_INVALID, "a receipt without the id of a message");
    if (json_type(json_get(c->element, "status")) != JSON_STRING)
        return err_set(err, ERR_INVALID, "a receipt without a status");
    if (message_find(b, c->channel_id, view_of(wamid), &m))
        c->duplicate = !receipt_apply(b, &m, c->element);
    else if (!batch_failed(b, err))
        park(b, c, view_of(wamid));
    return true;
}
