#include "shared/json_at.h"
#include "shared/json.h"
#include <stdio.h>

struct json_at json_at_root(void)
{
    return (struct json_at){"$", 1};
}

static size_t enter(struct json_at *at, const char *before, struct view name, const char *behind)
{
    size_t was = at->length, room = sizeof at->text - was;
    int n = snprintf(at->text + was, room, "%s%.*s%s", before, VIEW_ARG(name), behind);
    if (n > 0 && (size_t)n < room)
        at->length += (size_t)n;
    at->text[at->length] = 0;
    return was;
}

size_t json_at_member(struct json_at *at, struct view key)
{
    struct view plain;
    if (json_plain_string(key, &plain) && view_is_name(plain, sizeof at->text, "_-"))
        return enter(at, ".", plain, "");
    return enter(at, "[", key, "]");
}

size_t json_at_name(struct json_at *at, const char *name)
{
    struct view plain = view_of(name);
    bool is_name = view_is_name(plain, sizeof at->text, "_-");
    return enter(at, is_name ? "." : "[\"", plain, is_name ? "" : "\"]");
}

size_t json_at_index(struct json_at *at, size_t index)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", index);
    return enter(at, "[", view_of(digits), "]");
}

void json_at_leave(struct json_at *at, size_t was)
{
    at->length = was;
    at->text[was] = 0;
}
