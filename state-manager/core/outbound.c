/* Messages that agents write in the portal: checked, stored as `queued`, announced. The sender takes them
 * from there. */
#include "shared/crypto.h"
#include "shared/json.h"
#include "state-manager/core/conversing.h"
#include "state-manager/core/text.h"
#include <stdio.h>
#include <string.h>

/* Types that Graph's send call knows and that have an object of the same name (facts page, section 10). */
static const char *const sendable[] = {"image",    "video",    "audio",       "document", "sticker",
                                       "location", "contacts", "interactive", "template", "reaction"};

/* Of the facts page, section 10; an object of Graph's is far below. */
enum { CAPTION_MAX_CHARS = 1024, OBJECT_MAX_BYTES = 256 << 10 };

static bool read_text(struct view body, struct message *m, struct buf *raw, struct err *err)
{
    m->text = json_get(body, "text");
    if (!text_is_whole(m->text))
        return err_set(err, ERR_INVALID, "text must be a string, without U+0000 and lone surrogates");
    size_t count = text_characters(m->text);
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

static bool read_caption(struct view caption, struct message *m, struct err *err)
{
    if (json_type(caption) == JSON_NONE || json_type(caption) == JSON_NULL)
        return true;
    m->text = caption;
    if (!text_is_whole(caption) || text_characters(caption) > CAPTION_MAX_CHARS)
        return err_set(
            err, ERR_INVALID,
            "caption must be a string of at most %d characters, without U+0000 and lone surrogates",
            CAPTION_MAX_CHARS);
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
        if (body.n > OBJECT_MAX_BYTES)
            return err_set(err, ERR_INVALID, "%s is over %d bytes", sendable[i], OBJECT_MAX_BYTES);
        m->raw = body;
        return read_caption(json_get(object, "caption"), m, err);
    }
    return err_set(err, ERR_INVALID, "type is not one that can be sent");
}

static bool read_body(struct view body, struct message *m, struct buf *raw, struct err *err)
{
    if (json_type(body) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    struct view type = json_get(body, "type"), reply_to = json_get(body, "replyTo");
    if (text_is_name(reply_to, WAMID_MAX))
        m->reply_to = reply_to;
    else if (json_type(reply_to) != JSON_NONE && json_type(reply_to) != JSON_NULL)
        return err_set(err, ERR_INVALID, "replyTo must be a string of 1 to %d bytes", WAMID_MAX);
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
        /* Behind what it answers, whatever the customer's clock and those of other state-managers say. */
        m.timestamp = batch_now(b) > t.now.last_message_at ? batch_now(b) : t.now.last_message_at;
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
