#include "shared/view.h"
#include <string.h>
#include <strings.h>

struct view view_of(const char *text)
{
    return text ? (struct view){text, strlen(text)} : (struct view){"", 0};
}

bool view_eq(struct view a, struct view b)
{
    return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

bool view_is(struct view v, const char *text)
{
    return view_eq(v, view_of(text));
}

bool view_is_nocase(struct view v, const char *text)
{
    return v.n == strlen(text) && !strncasecmp(v.p, text, v.n);
}

bool view_starts(struct view v, const char *prefix)
{
    size_t n = strlen(prefix);
    return v.n >= n && !memcmp(v.p, prefix, n);
}

bool view_split(struct view *rest, char separator, struct view *head)
{
    if (!rest->p)
        return false;
    const char *at = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    *head = (struct view){rest->p, at ? (size_t)(at - rest->p) : rest->n};
    *rest = at ? (struct view){at + 1, rest->n - head->n - 1} : (struct view){NULL, 0};
    return true;
}

struct view view_trim(struct view v)
{
    while (v.n && (v.p[0] == ' ' || v.p[0] == '\t'))
        v.p++, v.n--;
    while (v.n && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
        v.n--;
    return v;
}

bool view_u64(struct view v, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (!v.n)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(v.p[i] - '0');
        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return value <= max;
}

bool view_copy(struct view v, char *out, size_t size)
{
    if (v.n >= size || (v.n && memchr(v.p, 0, v.n)))
        return false;
    if (v.n)
        memcpy(out, v.p, v.n);
    out[v.n] = 0;
    return true;
}

/* Length of the well-formed sequence at p, 0 when there is none (Unicode table 3-7). */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    unsigned char lead = p[0], low = 0x80, high = 0xbf;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || n < length)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool view_is_utf8(struct view v)
{
    const unsigned char *p = (const unsigned char *)v.p;
    for (size_t i = 0; i < v.n;) {
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        size_t length = utf8_sequence(p + i, v.n - i);
        if (!length)
            return false;
        i += length;
    }
    return true;
}

bool view_is_name(struct view v, size_t max, const char *also)
{
    if (!v.n || v.n > max)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (!c || !strchr(also, c)))
            return false;
    }
    return true;
}
