/*
 * Messages that are about other things than themselves (facts page, section 4): an edit changes the text of
 * the message it names, a revoke empties it, a system message moves a customer to another number. They are
 * messages too, with a place of their own in the conversation; what they name and we do not have stays as it
 * is.
 */
#include "shared/json.h"
#include "state-manager/core/conversing.h"

/* The message that an edit or a revoke names. */
static bool find_original(struct batch *b, struct view channel_id, struct view body, struct message *out)
{
    char wamid[WAMID_MAX + 1];
    return json_copy_string(json_get(body, "original_message_id"), wamid, sizeof wamid) &&
           message_find(b, channel_id, view_of(wamid), out);
}

static void apply_edit(struct batch *b, struct command *c, const struct talk *t, const struct message *m)
{
    (void)t;
    struct view body = json_get(c->element, "edit");
    struct message original, edited = {0};
    struct buf media;
    if (!find_original(b, c->channel_id, body, &original))
        return;
    buf_init(&media, DOC_MAX);
    content_read(json_get(body, "message"), &edited, &media);
    original.text = edited.text;
    if (edited.media.n)
        original.media = edited.media;
    original.edited_at = m->timestamp;
    message_put(b, &original);
    buf_free(&media);
}

/* Whoever revokes a message wants its words gone: only that it was there stays. */
static void apply_revoke(struct batch *b, struct command *c, const struct talk *t, const struct message *m)
{
    (void)t;
    struct message original;
    if (!find_original(b, c->channel_id, json_get(c->element, "revoke"), &original))
        return;
    original.text = original.media = original.raw = (struct view){NULL, 0};
    original.revoked_at = m->timestamp;
    message_put(b, &original);
}

/* The customer goes on under another number or user id: the conversation is found by both from now on. */
static void apply_system(struct batch *b, struct command *c, const struct talk *t, const struct message *m)
{
    (void)m;
    struct view body = json_get(c->element, "system"), number = json_get(body, "new_wa_id");
    struct party party = {.user_id = json_get(body, "user_id"),
                          .wa_id = json_type(number) == JSON_STRING ? number : json_get(body, "wa_id")};
    talk_rename(b, c->channel_id, t, &party);
}

static const struct {
    const char *type;
    void (*apply)(struct batch *b, struct command *c, const struct talk *t, const struct message *m);
} amendments[] = {
    {"edit", apply_edit},
    {"revoke", apply_revoke},
    {"system", apply_system},
};

void message_amend(struct batch *b, struct command *c, const struct talk *t, const struct message *m)
{
    for (size_t i = 0; i < countof(amendments); i++)
        if (json_type(m->type) == JSON_STRING && json_string_is(m->type, amendments[i].type))
            amendments[i].apply(b, c, t, m);
}
