/* Messages that come by webhook: from customers, and echoes of what agents type on the phone. */
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "state-manager/core/conversing.h"
#include <stdio.h>

enum { CHANNEL_ROOM = CHANNEL_ID_MAX + 3, PARTY_ROOM = 162 };

/* The id under which the message is known: its wamid, or, where there is none, a digest of the element. */
static void natural_id(struct view element, char *out, size_t size)
{
    if (!json_copy_string(json_get(element, "id"), out, size) || !*out)
        crypto_name_id("none.", element, out);
}

static void announce_message(struct batch *b, const struct talk *t, const struct message *m)
{
    char at[CLOCK_ISO_SIZE], own_id[MODEL_ID_SIZE + 2], from[PARTY_ROOM];
    struct view plain;
    clock_iso(m->timestamp, at);
    struct buf data;
    struct json_writer w;
    buf_init(&data, DOC_MAX);
    jw_init(&w, &data);
    jw_begin(&w, '{');
    jw_key_text(&w, "conversationId", m->conversation_id);
    jw_key_raw(&w, "messageId",
               m->message_id.n ? m->message_id : quoted(view_of(m->id), own_id, sizeof own_id));
    bool by_phone = json_plain_string(m->from, &plain) && plain.n && plain.n < sizeof from - 1;
    snprintf(from, sizeof from, "+%.*s", by_phone ? (int)plain.n : 0, by_phone ? plain.p : "");
    jw_key_text(&w, "from", by_phone ? from : NULL);
    jw_key_raw(&w, "from_name", m->from_name);
    jw_key_raw(&w, "message", m->text);
    jw_key_raw(&w, "media_url", json_get(m->media, "url"));
    jw_key_text(&w, "timestamp", at);
    jw_key_bool(&w, "isNewConversation", t->is_new);
    jw_key_text(&w, "id", m->id);
    jw_key_raw(&w, "type", m->type);
    jw_end(&w, '}');
    batch_emit(b, &(struct event_draft){.type = "new_message", .data = buf_view(&data)}, NULL);
    buf_free(&data);
}

/* What both directions have in common. False: known already, or refused. */
static bool begin(struct batch *b, struct command *c, const struct party *party, struct message *m,
                  struct talk *t, char *wamid, size_t wamid_size, struct buf *media, struct err *err)
{
    natural_id(c->element, wamid, wamid_size);
    message_id_for(c->channel_id, view_of(wamid), m->id);
    c->duplicate = batch_get(b, DOC_MESSAGE, view_of(m->id)).n > 0;
    if (c->duplicate || batch_failed(b, err) || !talk_open(b, c->channel_id, party, t, err))
        return false;
    snprintf(m->conversation_id, sizeof m->conversation_id, "%s", t->now.id);
    struct view id = json_get(c->element, "id");
    m->message_id = json_type(id) == JSON_STRING ? id : (struct view){NULL, 0};
    m->timestamp = unix_seconds(json_get(c->element, "timestamp"), batch_now(b));
    m->ord = batch_next_ord(b);
    content_read(c->element, m, media);
    return true;
}

static struct view member(struct view object, const char *key)
{
    struct view value = json_get(object, key);
    return json_type(value) == JSON_STRING ? value : (struct view){NULL, 0};
}

/* Who the customer of an element is; fields as in whatsapp's table of parts. */
static struct party party_of(const struct command *c, const char *user_key, const char *phone_key)
{
    struct view profile = json_get(c->contact, "profile");
    struct party party = {
        .group_id = member(c->element, "group_id"),
        .user_id = member(c->element, user_key),
        .wa_id = member(c->element, phone_key),
        .name = member(profile, "name"),
        .username = member(profile, "username"),
    };
    if (!party.user_id.n)
        party.user_id = member(c->contact, "user_id");
    return party;
}

void foresee_inbound(struct batch *b, const struct command *c)
{
    char wamid[WAMID_MAX + 1], id[MODEL_ID_SIZE];
    struct party party = party_of(c, "from_user_id", "from");
    natural_id(c->element, wamid, sizeof wamid);
    message_id_for(c->channel_id, view_of(wamid), id);
    batch_want(b, DOC_MESSAGE, view_of(id));
    party_want(b, c->channel_id, &party);
}

void foresee_echo(struct batch *b, const struct command *c)
{
    char wamid[WAMID_MAX + 1];
    struct party party = party_of(c, "to_user_id", "to");
    natural_id(c->element, wamid, sizeof wamid);
    message_want(b, c->channel_id, view_of(wamid));
    party_want(b, c->channel_id, &party);
}

bool decide_inbound(struct batch *b, struct command *c, struct err *err)
{
    char wamid[WAMID_MAX + 1], channel[CHANNEL_ROOM];
    struct message m = {.direction = DIRECTION_INBOUND, .status = MESSAGE_RECEIVED};
    struct talk t;
    struct party party = party_of(c, "from_user_id", "from");
    struct buf media;
    buf_init(&media, DOC_MAX);
    bool fresh = begin(b, c, &party, &m, &t, wamid, sizeof wamid, &media, err);
    if (fresh) {
        m.channel_id = quoted(c->channel_id, channel, sizeof channel);
        m.from = party.wa_id;
        m.from_name = party.name;
        bool reopens = t.before.closed;
        talk_add(b, &t, &m);
        message_amend(b, c, &t, &m);
        announce_message(b, &t, &m);
        if (reopens)
            talk_announce(b, &t);
    }
    buf_free(&media);
    return fresh || c->duplicate;
}

bool decide_echo(struct batch *b, struct command *c, struct err *err)
{
    char wamid[WAMID_MAX + 1], channel[CHANNEL_ROOM];
    struct message m = {.direction = DIRECTION_OUTBOUND, .status = MESSAGE_SENT};
    struct talk t;
    struct party party = party_of(c, "to_user_id", "to");
    struct buf media;
    buf_init(&media, DOC_MAX);
    bool fresh = begin(b, c, &party, &m, &t, wamid, sizeof wamid, &media, err);
    if (fresh) {
        m.channel_id = quoted(c->channel_id, channel, sizeof channel);
        m.from = member(c->element, "from");
        talk_add(b, &t, &m);
        message_amend(b, c, &t, &m);
        talk_announce(b, &t);
        receipts_unpark(b, c->channel_id, view_of(wamid), &m);
    }
    buf_free(&media);
    return fresh || c->duplicate;
}
