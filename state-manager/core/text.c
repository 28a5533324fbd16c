#include "state-manager/core/text.h"
#include "shared/buf.h"
#include "shared/json.h"
#include <string.h>

/* The code unit of an escape \uXXXX at p; anything else is 'x'. */
static unsigned unit_at(const char *p, const char *end)
{
    static const char digits[] = "0123456789abcdef";
    unsigned unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return 'x';
    for (int i = 2; i < 6; i++)
        unit = unit << 4 | (unsigned)(strchr(digits, p[i] <= '9' ? p[i] : p[i] | 0x20) - digits);
    return unit;
}

static bool is_half(unsigned unit, unsigned first)
{
    return unit >= first && unit < first + 0x400;
}

bool text_is_whole(struct view raw)
{
    if (json_type(raw) != JSON_STRING)
        return false;
    const char *p = raw.p, *end = raw.p + raw.n;
    while ((p = memchr(p, '\\', (size_t)(end - p)))) {
        unsigned unit = unit_at(p, end);
        bool pair = is_half(unit, 0xd800) && is_half(unit_at(p + 6, end), 0xdc00);
        if (!unit || (!pair && (is_half(unit, 0xd800) || is_half(unit, 0xdc00))))
            return false;
        p += pair ? 12 : p[1] == 'u' ? 6 : 2;
    }
    return true;
}

size_t text_characters(struct view raw)
{
    struct buf text;
    size_t count = 0;
    buf_init(&text, raw.n);
    if (json_decode_string(raw, &text))
        for (size_t i = 0; i < text.len; i++)
            count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    buf_free(&text);
    return count;
}

bool text_is_name(struct view raw, size_t max)
{
    struct buf text;
    buf_init(&text, max);
    bool ok = text_is_whole(raw) && json_decode_string(raw, &text) && text.len > 0;
    buf_free(&text);
    return ok;
}
