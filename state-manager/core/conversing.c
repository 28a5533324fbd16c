#include "state-manager/core/conversing.h"
#include "shared/clock.h"
#include "shared/json.h"
#include <stdio.h>
#include <string.h>

enum { PARTY_NAMES_MAX = 3, PARTY_NAME_BYTES = 160 };

/* The names under which a party is known, best first: "g:<group>", "u:<user id>", "w:<wa_id>". */
static size_t party_names(const struct party *p, char names[PARTY_NAMES_MAX][PARTY_NAME_BYTES])
{
    const struct {
        char prefix;
        struct view raw;
    } known[] = {{'g', p->group_id}, {'u', p->user_id}, {'w', p->wa_id}};
    size_t count = 0;
    for (size_t i = 0; i < countof(known); i++) {
        char *name = names[count];
        name[0] = known[i].prefix;
        name[1] = ':';
        if (json_type(known[i].raw) != JSON_STRING ||
            !json_copy_string(known[i].raw, name + 2, PARTY_NAME_BYTES - 2) || !name[2])
            continue;
        count++;
        if (known[i].prefix == 'g') /* a member of a group does not name the group */
            break;
    }
    return count;
}

static struct view alias_key(struct view channel_id, const char *name, char *room, size_t size)
{
    int n = snprintf(room, size, "c|%.*s|%s", VIEW_ARG(channel_id), name);
    return (struct view){room, (size_t)n};
}

/* The document of the conversation that goes by this name, directly or by an alias. */
static struct view find_by_name(struct batch *b, struct view channel_id, const char *name)
{
    char id[MODEL_ID_SIZE], room[DOC_KEY_MAX];
    conversation_id_for(channel_id, view_of(name), id);
    struct view doc = batch_get(b, DOC_CONVERSATION, view_of(id));
    if (doc.n)
        return doc;
    struct view alias = batch_get(b, DOC_ALIAS, alias_key(channel_id, name, room, sizeof room));
    if (!alias.n || !json_copy_string(json_get(alias, "target"), id, sizeof id))
        return (struct view){NULL, 0};
    return batch_get(b, DOC_CONVERSATION, view_of(id));
}

void party_want(struct batch *b, struct view channel_id, const struct party *party)
{
    char names[PARTY_NAMES_MAX][PARTY_NAME_BYTES], id[MODEL_ID_SIZE], room[DOC_KEY_MAX];
    size_t count = party_names(party, names);
    for (size_t i = 0; i < count; i++) {
        conversation_id_for(channel_id, view_of(names[i]), id);
        batch_want(b, DOC_CONVERSATION, view_of(id));
        batch_want(b, DOC_ALIAS, alias_key(channel_id, names[i], room, sizeof room));
    }
}

static void put_alias(struct batch *b, struct view key, const char *target)
{
    char doc[MODEL_ID_SIZE + 16];
    int n = snprintf(doc, sizeof doc, "{\"target\":\"%s\"}", target);
    batch_put(b, DOC_ALIAS, key, (struct doc_place){0}, (struct view){doc, (size_t)n});
}

/* Makes sure that the conversation is found by this name from now on. */
static void learn_name(struct batch *b, struct view channel_id, const char *name, const char *conversation_id)
{
    char own[MODEL_ID_SIZE], room[DOC_KEY_MAX];
    conversation_id_for(channel_id, view_of(name), own);
    struct view key = alias_key(channel_id, name, room, sizeof room);
    if (strcmp(own, conversation_id) != 0 && !batch_get(b, DOC_ALIAS, key).n)
        put_alias(b, key, conversation_id);
}

/* Newer knowledge about the customer replaces older; nothing known does not. */
static void learn_party(struct conversation *c, const struct party *p)
{
    const struct {
        struct view *known;
        struct view heard;
    } facts[] = {{&c->wa_id, p->wa_id},
                 {&c->user_id, p->user_id},
                 {&c->group_id, p->group_id},
                 {&c->name, p->name},
                 {&c->username, p->username}};
    for (size_t i = 0; i < countof(facts); i++)
        if (json_type(facts[i].heard) == JSON_STRING)
            *facts[i].known = facts[i].heard;
}

bool talk_open(struct batch *b, struct view channel_id, const struct party *party, struct talk *out,
               struct err *err)
{
    char names[PARTY_NAMES_MAX][PARTY_NAME_BYTES];
    size_t count = party_names(party, names);
    if (!count)
        return err_set(err, ERR_INVALID, "a message from nobody that can be named");
    struct view doc = {NULL, 0};
    for (size_t i = 0; i < count && !doc.n; i++)
        doc = find_by_name(b, channel_id, names[i]);
    if (batch_failed(b, err))
        return false;
    *out = (struct talk){.is_new = !doc.n};
    if (doc.n && !conversation_read(doc, &out->now))
        return err_set(err, ERR_INTERNAL, "a stored conversation cannot be read");
    if (out->is_new) {
        conversation_id_for(channel_id, view_of(names[0]), out->now.id);
        out->now.created_at = batch_now(b);
        out->now.ord = batch_next_ord(b);
    }
    out->before = out->now;
    for (size_t i = 0; i < count; i++)
        learn_name(b, channel_id, names[i], out->now.id);
    learn_party(&out->now, party);
    return true;
}

bool talk_load(struct batch *b, struct view conversation_id, struct talk *out, struct err *err)
{
    *out = (struct talk){0};
    struct view doc = {NULL, 0};
    if (conversation_id.n < MODEL_ID_SIZE)
        doc = batch_get(b, DOC_CONVERSATION, conversation_id);
    if (batch_failed(b, err))
        return false;
    if (!doc.n)
        return err_set(err, ERR_NOT_FOUND, "no such conversation");
    if (!conversation_read(doc, &out->now))
        return err_set(err, ERR_INTERNAL, "a stored conversation cannot be read");
    out->before = out->now;
    return true;
}

static void conversation_put(struct batch *b, const struct conversation *c)
{
    struct buf doc, owner;
    buf_init(&doc, DOC_MAX);
    buf_init(&owner, DOC_MAX);
    conversation_write(c, &doc);
    conversation_owner(c, &owner);
    struct doc_place place = {.rank = c->last_message_at,
                              .ord = c->ord,
                              .state = view_of(conversation_state(c)),
                              .owner = buf_view(&owner)};
    batch_put(b, DOC_CONVERSATION, view_of(c->id), place, buf_view(&doc));
    buf_free(&owner);
    buf_free(&doc);
}

void talk_rename(struct batch *b, struct view channel_id, const struct talk *t, const struct party *party)
{
    char names[PARTY_NAMES_MAX][PARTY_NAME_BYTES];
    struct conversation c;
    size_t count = party_names(party, names);
    if (!count || !conversation_read(batch_get(b, DOC_CONVERSATION, view_of(t->now.id)), &c))
        return;
    for (size_t i = 0; i < count; i++)
        learn_name(b, channel_id, names[i], c.id);
    learn_party(&c, party);
    conversation_put(b, &c);
}

void message_put(struct batch *b, const struct message *m)
{
    struct buf doc;
    buf_init(&doc, DOC_MAX);
    message_write(m, &doc);
    batch_put(b, DOC_MESSAGE, view_of(m->id),
              (struct doc_place){.parent = view_of(m->conversation_id), .rank = m->timestamp, .ord = m->ord},
              buf_view(&doc));
    buf_free(&doc);
}

/* "[image]" and the like, for lists of conversations, where a message has no text. */
static struct view summary(const struct message *m, char *room, size_t size)
{
    struct view type;
    if (m->text.n)
        return m->text;
    if (!json_plain_string(m->type, &type) || !view_is_name(type, 60, "_"))
        type = VIEW("unknown");
    int n = snprintf(room, size, "\"[%.*s]\"", VIEW_ARG(type));
    return (struct view){room, (size_t)n};
}

void talk_add(struct batch *b, struct talk *t, const struct message *m)
{
    struct conversation *c = &t->now;
    struct figures *figures = batch_figures(b);
    c->channel_id = m->channel_id;
    /* A message that comes late takes its place in the past; it is not the last one. */
    if (m->timestamp >= c->last_message_at) {
        c->last_message = summary(m, t->summary, sizeof t->summary);
        c->last_message_at = m->timestamp;
        c->direction = m->direction;
        if (m->direction == DIRECTION_OUTBOUND && c->unanswered_since) {
            figures_answer(figures, batch_now(b) - c->unanswered_since);
            c->unanswered_since = 0;
        } else if (m->direction == DIRECTION_INBOUND && !c->unanswered_since) {
            c->unanswered_since = batch_now(b);
        }
    }
    if (m->direction == DIRECTION_INBOUND) {
        c->unread++;
        c->closed = false;
    }
    c->updated_at = batch_now(b);
    c->version++;
    figures_message(figures);
    figures_conversation(figures, t->is_new ? NULL : &t->before, c);
    message_put(b, m);
    conversation_put(b, c);
}

void talk_change(struct batch *b, struct talk *t)
{
    t->now.version++;
    t->now.updated_at = batch_now(b);
    figures_conversation(batch_figures(b), &t->before, &t->now);
    conversation_put(b, &t->now);
    talk_announce(b, t);
}

void talk_announce(struct batch *b, const struct talk *t)
{
    const struct conversation *c = &t->now;
    char at[CLOCK_ISO_SIZE];
    clock_iso(c->last_message_at, at);
    struct buf data;
    struct json_writer w;
    buf_init(&data, DOC_MAX);
    jw_init(&w, &data);
    jw_begin(&w, '{');
    jw_key_text(&w, "id", c->id);
    jw_key_text(&w, "conversationId", c->id);
    jw_key_raw(&w, "lastMessage", c->last_message);
    jw_key_text(&w, "lastMessageAt", at);
    jw_key_text(&w, "direction", direction_name(c->direction));
    jw_key_text(&w, "status", c->closed ? "closed" : "open");
    jw_key_i64(&w, "unread", c->unread);
    jw_key_i64(&w, "version", c->version);
    jw_end(&w, '}');
    batch_emit(b, &(struct event_draft){.type = "conversation_update", .data = buf_view(&data)}, NULL);
    buf_free(&data);
}

static struct view message_alias(struct view channel_id, struct view wamid, char *room, size_t size)
{
    int n = snprintf(room, size, "m|%.*s|%.*s", VIEW_ARG(channel_id), VIEW_ARG(wamid));
    return (struct view){room, (size_t)n};
}

void message_want(struct batch *b, struct view channel_id, struct view wamid)
{
    char id[MODEL_ID_SIZE], room[DOC_KEY_MAX];
    message_id_for(channel_id, wamid, id);
    batch_want(b, DOC_MESSAGE, view_of(id));
    batch_want(b, DOC_ALIAS, message_alias(channel_id, wamid, room, sizeof room));
    batch_want(b, DOC_PARKED, parked_key(channel_id, wamid, room, sizeof room));
}

void foresee_talk(struct batch *b, const struct command *c)
{
    if (c->conversation_id.n < MODEL_ID_SIZE)
        batch_want(b, DOC_CONVERSATION, c->conversation_id);
}

bool message_find(struct batch *b, struct view channel_id, struct view wamid, struct message *out)
{
    char id[MODEL_ID_SIZE], room[DOC_KEY_MAX];
    message_id_for(channel_id, wamid, id);
    struct view doc = batch_get(b, DOC_MESSAGE, view_of(id));
    if (!doc.n) {
        struct view alias = batch_get(b, DOC_ALIAS, message_alias(channel_id, wamid, room, sizeof room));
        if (alias.n && json_copy_string(json_get(alias, "target"), id, sizeof id))
            doc = batch_get(b, DOC_MESSAGE, view_of(id));
    }
    return doc.n && message_read(doc, out);
}
