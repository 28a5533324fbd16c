/* Messages that agents write in the portal: checked, stored as `queued`, announced. The sender takes them
 * from there. */
#include "shared/crypto.h"
#include "shared/json.h"
#include "state-manager/core/conversing.h"
#include <stdio.h>
#include <string.h>

/* Types that Graph's send call knows and that have an object of the same name (facts page, section 10). */
static const char *const sendable[] = {"image",    "video",    "audio",       "document", "sticker",
                                       "location", "contacts", "interactive", "template", "reaction"};

/* Counts what a person would call characters closely enough for the documented limit: code points. */
static size_t characters(struct view string)
{
    struct buf text;
    size_t count = 0;
    buf_init(&text, (size_t)string.n);
    if (json_decode_string(string, &text))
        for (size_t i = 0; i < text.len; i++)
            count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    buf_free(&text);
    return count;
}

static bool read_text(struct view body, struct message *m, struct buf *raw, struct err *err)
{
    m->text = json_get(body, "text");
    if (json_type(m->text) != JSON_STRING)
        return err_set(err, ERR_INVALID, "text must be a string");
    size_t count = characters(m->text);
    if (count < 1 || count > TEXT_MAX_CHARS)
        return err_set(err, ERR_INVALID, "text must have 1 to %d characters", TEXT_MAX_CHARS);
    m->type = VIEW("\"text\"");
    struct json_writer w;
    jw_init(&w, raw);
    jw_begin(&w, '{');
    jw_key_text(&w, "type", "text");
    jw_key(&w, "text");
    jw_begin(&w, '{');
    jw_key_raw(&w, "body", m->text);
    jw_end(&w, '}');
    jw_end(&w, '}');
    m->raw = buf_view(raw);
    return true;
}

static bool read_other(struct view body, struct message *m, struct err *err)
{
    m->type = json_get(body, "type");
    for (size_t i = 0; i < countof(sendable); i++) {
        if (!json_string_is(m->type, sendable[i]))
            continue;
        struct view object = json_get(body, sendable[i]);
        if (json_type(object) != JSON_OBJECT && json_type(object) != JSON_ARRAY)
            return err_set(err, ERR_INVALID, "%s must be an object as in Graph's send call", sendable[i]);
        struct view caption = json_get(object, "caption");
        m->text = json_type(caption) == JSON_STRING ? caption : (struct view){NULL, 0};
        m->raw = body;
        return true;
    }
    return err_set(err, ERR_INVALID, "type is not one that can be sent");
}

static bool read_body(struct view body, struct message *m, struct buf *raw, struct err *err)
{
    if (json_type(body) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    struct view type = json_get(body, "type"), reply_to = json_get(body, "replyTo");
    if (json_type(reply_to) == JSON_STRING)
        m->reply_to = reply_to;
    else if (json_type(reply_to) != JSON_NONE && json_type(reply_to) != JSON_NULL)
        return err_set(err, ERR_INVALID, "replyTo must be a string");
    if (json_type(type) == JSON_NONE || (json_type(type) == JSON_STRING && json_string_is(type, "text")))
        return read_text(body, m, raw, err);
    if (json_type(type) != JSON_STRING)
        return err_set(err, ERR_INVALID, "type must be a string");
    return read_other(body, m, err);
}

bool decide_outbound(struct batch *b, struct command *c, struct err *err)
{
    struct talk t;
    struct message m = {.direction = DIRECTION_OUTBOUND, .status = MESSAGE_QUEUED};
    struct buf raw, from;
    buf_init(&raw, DOC_MAX);
    buf_init(&from, TOKEN_NAME_MAX * 6 + 2);
    bool ok = read_body(c->element, &m, &raw, err) && talk_load(b, c->conversation_id, &t, err);
    if (ok) {
        crypto_random_id("m_", m.id);
        snprintf(m.conversation_id, sizeof m.conversation_id, "%s", t.now.id);
        json_put_string(&from, c->author);
        m.from = buf_view(&from);
        m.channel_id = t.now.channel_id;
        m.timestamp = batch_now(b);
        m.ord = batch_next_ord(b);
        talk_add(b, &t, &m);
        talk_announce(b, &t);
        struct json_writer w;
        jw_init(&w, c->reply);
        jw_begin(&w, '{');
        jw_key_text(&w, "id", m.id);
        jw_key_text(&w, "conversationId", m.conversation_id);
        jw_key_text(&w, "status", message_status_name(m.status));
        jw_end(&w, '}');
    }
    buf_free(&raw);
    buf_free(&from);
    return ok;
}
