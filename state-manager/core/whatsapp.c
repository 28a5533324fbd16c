#include "state-manager/core/whatsapp.h"
#include "shared/json.h"
#include <string.h>

/* A change in work. */
struct walk {
    const struct whatsapp_sink *sink;
    struct view field, value; /* raw */
    struct view channel_id;   /* plain, a slice of the body */
};

static bool is_string(struct view value, const char *text)
{
    return json_type(value) == JSON_STRING && json_string_is(value, text);
}

static bool same_id(struct view a, struct view b)
{
    return json_type(a) == JSON_STRING && view_eq(a, b);
}

/* contacts[] may be shorter than messages[] or absent: joined by id, never by index. */
static struct view contact_of(struct view value, struct view element, const char *phone_key,
                              const char *user_key)
{
    struct view contact;
    for (struct json_iter it = json_iter(json_get(value, "contacts")); json_next_element(&it, &contact);)
        if (same_id(json_get(element, phone_key), json_get(contact, "wa_id")) ||
            same_id(json_get(element, user_key), json_get(contact, "user_id")))
            return contact;
    return (struct view){NULL, 0};
}

static void quarantine(const struct walk *w, const char *reason, struct view bytes)
{
    w->sink->on_quarantine(w->sink->ctx, reason, w->channel_id, bytes);
}

static void give(const struct walk *w, enum command_type type, struct view element, struct view contact)
{
    struct command c = {
        .type = type, .channel_id = w->channel_id, .element = element, .contact = contact, .field = w->field};
    /* Bytes that are no text must not reach a document, the broker or a browser; the other elements are fine.
     */
    if (!view_is_utf8(element) || !view_is_utf8(contact))
        quarantine(w, "not_utf8", element);
    else
        w->sink->on_command(w->sink->ctx, &c);
}

/* array of the value, command, where the customer's ids stand in an element */
static const struct {
    const char *field, *array;
    enum command_type type;
    const char *phone_key, *user_key;
} parts[] = {
    {"messages", "messages", COMMAND_INBOUND, "from", "from_user_id"},
    {"messages", "statuses", COMMAND_RECEIPT, "recipient_id", "recipient_user_id"},
    {"smb_message_echoes", "message_echoes", COMMAND_ECHO, "to", "to_user_id"},
};

static void walk_change(struct walk *w)
{
    bool understood = false;
    for (size_t i = 0; i < countof(parts); i++) {
        struct view array = json_get(w->value, parts[i].array), element;
        if (!is_string(w->field, parts[i].field))
            continue;
        for (struct json_iter it = json_iter(array); json_next_element(&it, &element); understood = true) {
            if (json_type(element) == JSON_OBJECT)
                give(w, parts[i].type, element,
                     contact_of(w->value, element, parts[i].phone_key, parts[i].user_key));
            else
                quarantine(w, "not_an_object", element);
        }
    }
    if (!understood)
        give(w, COMMAND_ACCOUNT, w->value, (struct view){NULL, 0});
}

static void walk_entry(const struct whatsapp_sink *sink, struct view entry)
{
    struct view change;
    for (struct json_iter it = json_iter(json_get(entry, "changes")); json_next_element(&it, &change);) {
        struct walk w = {sink, json_get(change, "field"), json_get(change, "value"), {"", 0}};
        struct view id = json_path(w.value, "metadata.phone_number_id");
        bool named = json_plain_string(id, &w.channel_id) && view_is_name(w.channel_id, CHANNEL_ID_MAX, "_-");
        if (!named)
            w.channel_id = (struct view){"", 0};
        if (json_type(w.field) != JSON_STRING || json_type(w.value) != JSON_OBJECT || !view_is_utf8(w.field))
            quarantine(&w, "malformed_change", change);
        else if (!named)
            quarantine(&w, "no_channel", change);
        else
            walk_change(&w);
    }
}

void whatsapp_decode(struct view body, const struct whatsapp_sink *sink)
{
    struct view root, entry;
    if (!json_check(body, JSON_ANY_BYTES_IN_STRINGS, &root, NULL)) {
        sink->on_quarantine(sink->ctx, "not_json", (struct view){"", 0}, body);
        return;
    }
    if (!is_string(json_get(root, "object"), "whatsapp_business_account") ||
        json_type(json_get(root, "entry")) != JSON_ARRAY) {
        sink->on_quarantine(sink->ctx, "other_product", (struct view){"", 0}, body);
        return;
    }
    for (struct json_iter it = json_iter(json_get(root, "entry")); json_next_element(&it, &entry);)
        walk_entry(sink, entry);
}

struct view whatsapp_peek_channel(struct view body)
{
    static const char key[] = "\"phone_number_id\"";
    const char *at = body.n ? memmem(body.p, body.n, key, sizeof key - 1) : NULL;
    if (!at)
        return (struct view){"", 0};
    const char *end = body.p + body.n, *p = at + sizeof key - 1;
    while (p < end && (*p == ' ' || *p == ':' || *p == '"'))
        p++;
    const char *stop = p;
    while (stop < end && *stop != '"' && stop - p < CHANNEL_ID_MAX)
        stop++;
    return (struct view){p, (size_t)(stop - p)};
}
