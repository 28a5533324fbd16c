/* What is in a message element of WhatsApp's (facts page, section 4). Unknown types keep their raw element.
 */
#include "shared/json.h"
#include "state-manager/core/conversing.h"
#include <stdio.h>
#include <string.h>

int64_t unix_seconds(struct view value, int64_t fallback)
{
    struct view digits = value;
    uint64_t seconds;
    if (json_type(value) == JSON_STRING && !json_plain_string(value, &digits))
        return fallback;
    if (json_type(value) != JSON_STRING && json_type(value) != JSON_NUMBER)
        return fallback;
    return view_u64(digits, 253402300799, &seconds) && seconds ? (int64_t)seconds * 1000 : fallback;
}

struct view quoted(struct view plain, char *room, size_t size)
{
    int n = snprintf(room, size, "\"%.*s\"", VIEW_ARG(plain));
    return (struct view){room, (size_t)n};
}

/* A member, if it is a string. */
static struct view string_of(struct view object, const char *key)
{
    struct view value = json_get(object, key);
    return json_type(value) == JSON_STRING ? value : (struct view){NULL, 0};
}

/* Media objects all have id and mime_type; file names are untrusted text and never a path. */
static struct view read_media(struct view body, struct buf *room)
{
    static const char *const names[][2] = {{"id", "id"},
                                           {"url", "url"},
                                           {"mime_type", "mimeType"},
                                           {"sha256", "sha256"},
                                           {"filename", "filename"}};
    if (!string_of(body, "id").n || !string_of(body, "mime_type").n)
        return (struct view){NULL, 0};
    struct json_writer w;
    jw_init(&w, room);
    jw_begin(&w, '{');
    for (size_t i = 0; i < countof(names); i++) {
        struct view value = string_of(body, names[i][0]);
        if (value.n)
            jw_key_raw(&w, names[i][1], value);
    }
    jw_end(&w, '}');
    return buf_view(room);
}

/* type, where its words stand; all other types may have a caption */
static const struct {
    const char *type, *path;
} words[] = {
    {"text", "text.body"},
    {"button", "button.text"},
    {"interactive", "interactive.button_reply.title"},
    {"interactive", "interactive.list_reply.title"},
    {"order", "order.text"},
    {"system", "system.body"},
};

static struct view read_words(struct view element, const char *type)
{
    for (size_t i = 0; i < countof(words); i++) {
        struct view text = json_path(element, words[i].path);
        if (!strcmp(words[i].type, type) && json_type(text) == JSON_STRING && text.n > 2)
            return text;
    }
    return string_of(json_get(element, type), "caption");
}

void content_read(struct view element, struct message *m, struct buf *media)
{
    char type[64] = "";
    m->type = string_of(element, "type");
    m->raw = element;
    m->errors = json_get(element, "errors");
    m->reply_to = string_of(json_get(element, "context"), "id");
    if (!json_copy_string(m->type, type, sizeof type))
        return; /* type-less or odd: the raw element is all we have */
    m->text = read_words(element, type);
    m->media = read_media(json_get(element, type), media);
    if (!strcmp(type, "reaction"))
        m->reaction = json_get(element, "reaction");
}
