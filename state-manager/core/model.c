#include "state-manager/core/model.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include <string.h>

static const struct {
    const char *name;
    int rank;
} statuses[] = {
#define X(status, name, rank) {name, rank},
    MESSAGE_STATUSES(X)
#undef X
};

const char *message_status_name(enum message_status status)
{
    return statuses[status].name;
}

enum message_status message_status_parse(struct view string)
{
    for (size_t i = 0; i < countof(statuses); i++)
        if (json_type(string) == JSON_STRING && json_string_is(string, statuses[i].name))
            return (enum message_status)i;
    return MESSAGE_NONE;
}

bool message_status_moves(enum message_status from, enum message_status to)
{
    if (statuses[to].rank < 0 || from == to)
        return false;
    if (to == MESSAGE_FAILED)
        return statuses[from].rank <= statuses[MESSAGE_SENT].rank;
    return statuses[to].rank > statuses[from].rank;
}

const char *direction_name(enum direction direction)
{
    return direction == DIRECTION_INBOUND ? "inbound" : "outbound";
}

static enum direction direction_read(struct view string)
{
    return json_type(string) == JSON_STRING && json_string_is(string, "outbound") ? DIRECTION_OUTBOUND
                                                                                  : DIRECTION_INBOUND;
}

/* null and absent are the same to us: an empty slice. */
static struct view member(struct view object, const char *key)
{
    struct view value = json_get(object, key);
    return json_type(value) == JSON_NULL ? (struct view){NULL, 0} : value;
}

static int64_t number(struct view object, const char *key)
{
    int64_t value;
    return json_i64(json_get(object, key), &value) ? value : 0;
}

static int64_t date(struct view object, const char *key)
{
    char text[CLOCK_ISO_SIZE];
    int64_t ms;
    bool ok = json_copy_string(json_get(object, key), text, sizeof text) && clock_parse_iso(text, &ms);
    return ok ? ms : 0;
}

static void put_date(struct json_writer *w, const char *key, int64_t wall_ms)
{
    char text[CLOCK_ISO_SIZE];
    clock_iso(wall_ms, text);
    jw_key_text(w, key, wall_ms ? text : NULL);
}

static void put_if_there(struct json_writer *w, const char *key, struct view raw)
{
    if (raw.n)
        jw_key_raw(w, key, raw);
}

bool conversation_read(struct view doc, struct conversation *out)
{
    struct view contact = json_get(doc, "contact");
    *out = (struct conversation){
        .channel_id = member(doc, "channelId"),
        .wa_id = member(contact, "waId"),
        .user_id = member(contact, "userId"),
        .group_id = member(contact, "groupId"),
        .name = member(contact, "name"),
        .username = member(contact, "username"),
        .closed = json_type(json_get(doc, "status")) == JSON_STRING &&
                  json_string_is(json_get(doc, "status"), "closed"),
        .assignee = member(doc, "assignee"),
        .tags = member(doc, "tags"),
        .correlation = member(doc, "correlation"),
        .last_message = member(doc, "lastMessage"),
        .direction = direction_read(json_get(doc, "direction")),
        .last_message_at = date(doc, "lastMessageAt"),
        .created_at = date(doc, "createdAt"),
        .updated_at = date(doc, "updatedAt"),
        .unanswered_since = date(doc, "unansweredSince"),
        .unread = number(doc, "unread"),
        .version = number(doc, "version"),
        .ord = number(doc, "ord"),
    };
    return json_copy_string(json_get(doc, "id"), out->id, sizeof out->id);
}

void conversation_write(const struct conversation *c, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "id", c->id);
    jw_key_raw(&w, "channelId", c->channel_id);
    jw_key(&w, "contact");
    jw_begin(&w, '{');
    put_if_there(&w, "waId", c->wa_id);
    put_if_there(&w, "userId", c->user_id);
    put_if_there(&w, "groupId", c->group_id);
    jw_key_raw(&w, "name", c->name);
    put_if_there(&w, "username", c->username);
    jw_end(&w, '}');
    jw_key_text(&w, "status", c->closed ? "closed" : "open");
    jw_key_raw(&w, "assignee", c->assignee);
    jw_key_raw(&w, "tags", c->tags.n ? c->tags : VIEW("[]"));
    put_if_there(&w, "correlation", c->correlation);
    jw_key_raw(&w, "lastMessage", c->last_message);
    put_date(&w, "lastMessageAt", c->last_message_at);
    jw_key_text(&w, "direction", direction_name(c->direction));
    jw_key_i64(&w, "unread", c->unread);
    put_date(&w, "unansweredSince", c->unanswered_since);
    put_date(&w, "createdAt", c->created_at);
    put_date(&w, "updatedAt", c->updated_at);
    jw_key_i64(&w, "version", c->version);
    jw_key_i64(&w, "ord", c->ord);
    jw_end(&w, '}');
}

bool conversation_is_waiting(const struct conversation *c)
{
    return !c->closed && c->direction == DIRECTION_INBOUND;
}

const char *conversation_state(const struct conversation *c)
{
    if (c->closed)
        return CONVERSATION_CLOSED;
    return conversation_is_waiting(c) ? CONVERSATION_WAITING : CONVERSATION_ANSWERED;
}

void conversation_owner(const struct conversation *c, struct buf *out)
{
    buf_add_view(out, VIEW(CONVERSATION_OWNER));
    if (json_type(c->assignee) == JSON_STRING && json_decode_string(c->assignee, out))
        return;
    buf_clear(out);
    buf_add_view(out, VIEW(CONVERSATION_NOBODY));
}

bool message_read(struct view doc, struct message *out)
{
    *out = (struct message){
        .message_id = member(doc, "messageId"),
        .channel_id = member(doc, "channelId"),
        .direction = direction_read(json_get(doc, "direction")),
        .type = member(doc, "type"),
        .text = member(doc, "text"),
        .media = member(doc, "media"),
        .from = member(doc, "from"),
        .from_name = member(doc, "fromName"),
        .reply_to = member(doc, "replyTo"),
        .reaction = member(doc, "reaction"),
        .errors = member(doc, "errors"),
        .raw = member(doc, "raw"),
        .timestamp = date(doc, "timestamp"),
        .edited_at = date(doc, "editedAt"),
        .revoked_at = date(doc, "revokedAt"),
        .status = message_status_parse(json_get(doc, "status")),
        .history = member(doc, "statusHistory"),
        .ord = number(doc, "ord"),
    };
    return json_copy_string(json_get(doc, "id"), out->id, sizeof out->id) &&
           json_copy_string(json_get(doc, "conversationId"), out->conversation_id,
                            sizeof out->conversation_id);
}

void message_write(const struct message *m, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "id", m->id);
    jw_key_raw(&w, "messageId", m->message_id);
    jw_key_text(&w, "conversationId", m->conversation_id);
    jw_key_raw(&w, "channelId", m->channel_id);
    jw_key_text(&w, "direction", direction_name(m->direction));
    jw_key_raw(&w, "type", m->type);
    jw_key_raw(&w, "text", m->text);
    put_if_there(&w, "media", m->media);
    jw_key_raw(&w, "from", m->from);
    jw_key_raw(&w, "fromName", m->from_name);
    put_if_there(&w, "replyTo", m->reply_to);
    put_if_there(&w, "reaction", m->reaction);
    put_date(&w, "timestamp", m->timestamp);
    if (m->edited_at)
        put_date(&w, "editedAt", m->edited_at);
    if (m->revoked_at)
        put_date(&w, "revokedAt", m->revoked_at);
    jw_key_text(&w, "status", message_status_name(m->status));
    jw_key_raw(&w, "statusHistory", m->history.n ? m->history : VIEW("[]"));
    put_if_there(&w, "errors", m->errors);
    jw_key_i64(&w, "ord", m->ord);
    jw_key_raw(&w, "raw", m->raw);
    jw_end(&w, '}');
}

/* Two parts with a separator that neither can hold, hashed. */
static void id_for(const char *prefix, struct view a, struct view b, char out[static MODEL_ID_SIZE])
{
    struct buf key;
    buf_init(&key, 1024);
    buf_add_view(&key, a);
    buf_add_char(&key, '\n');
    buf_add_view(&key, b);
    crypto_name_id(prefix, buf_view(&key), out);
    buf_free(&key);
}

void conversation_id_for(struct view channel_id, struct view contact_key, char out[static MODEL_ID_SIZE])
{
    id_for("c_", channel_id, contact_key, out);
}

void message_id_for(struct view channel_id, struct view wamid, char out[static MODEL_ID_SIZE])
{
    id_for("m_", channel_id, wamid, out);
}
