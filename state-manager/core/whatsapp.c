#include "state-manager/core/whatsapp.h"
#include "shared/json.h"
#include <string.h>

static const char product[] = "whatsapp_business_account";

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

static bool name_channel(struct view id, struct view *out)
{
    return json_plain_string(id, out) && view_is_name(*out, CHANNEL_ID_MAX, "_-");
}

static bool is_message_field(struct view field)
{
    for (size_t i = 0; i < countof(parts); i++)
        if (is_string(field, parts[i].field))
            return true;
    return false;
}

/* Where changes without a number belong; empty: nowhere. */
static struct view account_channel(struct view entry)
{
    struct view change, id, only = {"", 0};
    bool several = false;
    for (struct json_iter it = json_iter(json_get(entry, "changes")); json_next_element(&it, &change);)
        if (name_channel(json_path(change, "value.metadata.phone_number_id"), &id)) {
            several = several || (only.n && !view_eq(only, id));
            only = id;
        }
    if (only.n && !several)
        return only;
    return name_channel(json_get(entry, "id"), &id) ? id : (struct view){"", 0};
}

static void walk_entry(const struct whatsapp_sink *sink, struct view entry)
{
    struct view change, account = account_channel(entry);
    for (struct json_iter it = json_iter(json_get(entry, "changes")); json_next_element(&it, &change);) {
        struct walk w = {sink, json_get(change, "field"), json_get(change, "value"), {"", 0}};
        if (!name_channel(json_path(w.value, "metadata.phone_number_id"), &w.channel_id))
            w.channel_id = is_message_field(w.field) ? (struct view){"", 0} : account;
        if (json_type(w.field) != JSON_STRING || json_type(w.value) != JSON_OBJECT || !view_is_utf8(w.field))
            quarantine(&w, "malformed_change", change);
        else if (!w.channel_id.n)
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
    if (!is_string(json_get(root, "object"), product) || json_type(json_get(root, "entry")) != JSON_ARRAY) {
        sink->on_quarantine(sink->ctx, "other_product", (struct view){"", 0}, body);
        return;
    }
    for (struct json_iter it = json_iter(json_get(root, "entry")); json_next_element(&it, &entry);)
        walk_entry(sink, entry);
}

/* The value of a change that holds one element, as Meta would have sent it alone. */
static void wrap_element(const struct command *c, const char *array, struct json_writer *w)
{
    jw_begin(w, '{');
    jw_key(w, "metadata");
    jw_begin(w, '{');
    jw_key(w, "phone_number_id");
    jw_text(w, c->channel_id);
    jw_end(w, '}');
    if (c->contact.n) {
        jw_key(w, "contacts");
        jw_begin(w, '[');
        jw_raw(w, c->contact);
        jw_end(w, ']');
    }
    jw_key(w, array);
    jw_begin(w, '[');
    jw_raw(w, c->element);
    jw_end(w, ']');
    jw_end(w, '}');
}

void whatsapp_wrap(const struct command *command, struct buf *out)
{
    const char *array = NULL;
    struct json_writer w;
    for (size_t i = 0; i < countof(parts); i++)
        if (parts[i].type == command->type)
            array = parts[i].array;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "object", product);
    jw_key(&w, "entry");
    jw_begin(&w, '[');
    jw_begin(&w, '{');
    jw_key(&w, "id");
    jw_text(&w, command->channel_id);
    jw_key(&w, "changes");
    jw_begin(&w, '[');
    jw_begin(&w, '{');
    jw_key_raw(&w, "field", command->field);
    jw_key(&w, "value");
    if (array)
        wrap_element(command, array, &w);
    else
        jw_raw(&w, command->element);
    jw_end(&w, '}');
    jw_end(&w, ']');
    jw_end(&w, '}');
    jw_end(&w, ']');
    jw_end(&w, '}');
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
