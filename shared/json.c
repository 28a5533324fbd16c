#include "shared/json.h"
#include <string.h>

/* --- validating ------------------------------------------------------------------------------------------
 */

struct scanner {
    const char *start, *p, *end;
    enum json_leniency leniency;
    const char *fault; /* what is wrong at p */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void skip_blanks(struct scanner *s)
{
    while (s->p < s->end && is_blank(*s->p))
        s->p++;
}

static bool fail(struct scanner *s, const char *fault)
{
    s->fault = fault;
    return false;
}

static bool scan_escape(struct scanner *s)
{
    if (s->end - s->p < 2 || !s->p[1] || !strchr("\"\\/bfnrtu", s->p[1]))
        return fail(s, "bad escape");
    if (s->p[1] != 'u') {
        s->p += 2;
        return true;
    }
    if (s->end - s->p < 6)
        return fail(s, "bad escape");
    for (int i = 2; i < 6; i++)
        if (hex_value(s->p[i]) < 0)
            return fail(s, "bad escape");
    s->p += 6;
    return true;
}

static bool scan_string(struct scanner *s)
{
    const char *start = ++s->p;
    bool high = false; /* a byte over 127: UTF-8 is to be checked */
    for (; s->p < s->end && *s->p != '"';) {
        unsigned char c = (unsigned char)*s->p;
        if (c < 0x20)
            return fail(s, "control character in a string");
        if (c == '\\') {
            if (!scan_escape(s))
                return false;
            continue;
        }
        high |= c >= 0x80;
        s->p++;
    }
    if (s->p == s->end)
        return fail(s, "unfinished string");
    if (high && s->leniency != JSON_ANY_BYTES_IN_STRINGS &&
        !view_is_utf8((struct view){start, (size_t)(s->p - start)}))
        return fail(s, "not UTF-8");
    s->p++;
    return true;
}

static bool scan_digits(struct scanner *s)
{
    if (s->p == s->end || !is_digit(*s->p))
        return fail(s, "bad number");
    while (s->p < s->end && is_digit(*s->p))
        s->p++;
    return true;
}

static bool scan_number(struct scanner *s)
{
    if (*s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++;
    else if (!scan_digits(s))
        return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!scan_digits(s))
            return false;
    }
    if (s->p < s->end && (*s->p | 0x20) == 'e') {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        return scan_digits(s);
    }
    return true;
}

static bool scan_literal(struct scanner *s)
{
    static const char *const literals[] = {"true", "false", "null"};
    for (size_t i = 0; i < countof(literals); i++) {
        size_t n = strlen(literals[i]);
        if ((size_t)(s->end - s->p) >= n && !memcmp(s->p, literals[i], n)) {
            s->p += n;
            return true;
        }
    }
    return fail(s, s->p == s->end ? "unexpected end" : "unexpected character");
}

/* The key and colon of a member. */
static bool scan_key(struct scanner *s)
{
    skip_blanks(s);
    if (s->p == s->end || *s->p != '"')
        return fail(s, "a key was expected");
    if (!scan_string(s))
        return false;
    skip_blanks(s);
    if (s->p == s->end || *s->p != ':')
        return fail(s, "':' was expected");
    s->p++;
    return true;
}

/* Where the scan stands: which containers are open, and whether a value must come next. */
struct nesting {
    char open[JSON_MAX_DEPTH_OURS];
    size_t depth;
    bool value_due;
};

/* '{' and '[' stand two before their closing brackets in ASCII. */
static char closing(char bracket)
{
    return (char)(bracket + 2);
}

static bool scan_opening(struct scanner *s, struct nesting *n)
{
    char c = *s->p;
    if (n->depth == (s->leniency == JSON_OURS ? JSON_MAX_DEPTH_OURS : JSON_MAX_DEPTH))
        return fail(s, "nested too deep");
    n->open[n->depth++] = c;
    s->p++;
    skip_blanks(s);
    n->value_due = s->p == s->end || *s->p != closing(c);
    return !n->value_due || c == '[' || scan_key(s);
}

static bool scan_due_value(struct scanner *s, struct nesting *n)
{
    char c = s->p < s->end ? *s->p : 0;
    if (c == '{' || c == '[')
        return scan_opening(s, n);
    n->value_due = false;
    if (c == '"')
        return scan_string(s);
    return c == '-' || is_digit(c) ? scan_number(s) : scan_literal(s);
}

/* What may stand behind a value in a container: its end, or a comma and the next. */
static bool scan_behind_value(struct scanner *s, struct nesting *n)
{
    char container = n->open[n->depth - 1];
    if (s->p == s->end)
        return fail(s, "unexpected end");
    char c = *s->p;
    if (c != ',' && c != closing(container))
        return fail(s, "',' or a closing bracket was expected");
    s->p++;
    n->value_due = c == ',';
    if (!n->value_due)
        n->depth--;
    return !n->value_due || container == '[' || scan_key(s);
}

/* One value and, for containers, all that is in it; iterative, so that depth costs no stack. */
static bool scan_value(struct scanner *s)
{
    struct nesting n = {.value_due = true};
    for (bool ok = true; ok;) {
        skip_blanks(s);
        if (!n.value_due && !n.depth)
            return true;
        ok = n.value_due ? scan_due_value(s, &n) : scan_behind_value(s, &n);
    }
    return false;
}

bool json_check(struct view text, enum json_leniency leniency, struct view *value, struct err *err)
{
    struct scanner s = {text.p, text.p, text.p + text.n, leniency, NULL};
    skip_blanks(&s);
    const char *start = s.p;
    bool ok = scan_value(&s);
    const char *end = s.p;
    if (ok) {
        while (end > start && is_blank(end[-1])) /* scan_value looks for what follows behind blanks */
            end--;
        skip_blanks(&s);
        ok = s.p == s.end || fail(&s, "something follows the value");
    }
    if (!ok)
        return err_set(err, ERR_MALFORMED, "not JSON: %s at byte %zu", s.fault, (size_t)(s.p - s.start));
    *value = (struct view){start, (size_t)(end - start)};
    return true;
}

/* --- walking checked text --------------------------------------------------------------------------------
 */

enum json_type json_type(struct view value)
{
    if (!value.n)
        return JSON_NONE;
    switch (value.p[0]) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

static struct view skip(struct view rest)
{
    while (rest.n && (is_blank(rest.p[0]) || rest.p[0] == ',' || rest.p[0] == ':'))
        rest.p++, rest.n--;
    return rest;
}

/* Length of the string slice that starts at p; the closing quote is there, because the text was checked. */
static size_t string_length(const char *p, const char *end)
{
    const char *at = p + 1;
    while (at < end) {
        at = memchr(at, '"', (size_t)(end - at));
        if (!at)
            break;
        const char *slash = at;
        while (slash > p + 1 && slash[-1] == '\\')
            slash--;
        if ((at - slash) % 2 == 0)
            return (size_t)(at - p) + 1;
        at++;
    }
    return (size_t)(end - p);
}

static size_t container_length(struct view v)
{
    const char *end = v.p + v.n, *at = v.p;
    size_t depth = 0;
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at += string_length(at, end);
            continue;
        }
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return (size_t)(at - v.p);
    }
    return v.n;
}

/* Length of the value at the start of v. */
static size_t value_length(struct view v)
{
    const char *end = v.p + v.n, *at = v.p;
    if (*at == '"')
        return string_length(at, end);
    if (*at == '{' || *at == '[')
        return container_length(v);
    while (at < end && !is_blank(*at) && *at != ',' && *at != ']' && *at != '}')
        at++;
    return (size_t)(at - v.p);
}

struct json_iter json_iter(struct view value)
{
    enum json_type type = json_type(value);
    if ((type != JSON_OBJECT && type != JSON_ARRAY) || value.n < 2)
        return (struct json_iter){{NULL, 0}};
    return (struct json_iter){{value.p + 1, value.n - 2}};
}

static bool take_value(struct json_iter *it, struct view *value)
{
    it->rest = skip(it->rest);
    if (!it->rest.n)
        return false;
    *value = (struct view){it->rest.p, value_length(it->rest)};
    it->rest.p += value->n;
    it->rest.n -= value->n;
    return value->n > 0;
}

bool json_next_member(struct json_iter *it, struct view *key, struct view *value)
{
    return take_value(it, key) && take_value(it, value);
}

bool json_next_element(struct json_iter *it, struct view *value)
{
    return take_value(it, value);
}

bool json_plain_string(struct view string, struct view *plain)
{
    if (json_type(string) != JSON_STRING || string.n < 2 || memchr(string.p, '\\', string.n))
        return false;
    *plain = (struct view){string.p + 1, string.n - 2};
    return true;
}

bool json_string_is(struct view string, const char *text)
{
    struct view plain;
    if (json_plain_string(string, &plain))
        return view_is(plain, text);
    char decoded[256];
    return json_copy_string(string, decoded, sizeof decoded) && !strcmp(decoded, text);
}

struct view json_get(struct view object, const char *key)
{
    struct view found = {NULL, 0}, name, value;
    if (json_type(object) != JSON_OBJECT)
        return found;
    for (struct json_iter it = json_iter(object); json_next_member(&it, &name, &value);)
        if (json_string_is(name, key))
            found = value;
    return found;
}

void json_get_several(struct view object, const char *const keys[], struct view values[], size_t count)
{
    struct view name, value;
    for (size_t i = 0; i < count; i++)
        values[i] = (struct view){NULL, 0};
    for (struct json_iter it = json_iter(object); json_next_member(&it, &name, &value);)
        for (size_t i = 0; i < count; i++)
            if (json_string_is(name, keys[i]))
                values[i] = value;
}

struct view json_path(struct view object, const char *dotted)
{
    struct view rest = view_of(dotted), part;
    while (view_split(&rest, '.', &part)) {
        char key[64];
        if (!view_copy(part, key, sizeof key))
            return (struct view){NULL, 0};
        object = json_get(object, key);
    }
    return object;
}

/* --- decoding --------------------------------------------------------------------------------------------
 */

static unsigned hex4(const char *p)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (unsigned)hex_value(p[i]);
    return value;
}

static bool add_code_point(struct buf *out, unsigned code)
{
    char utf8[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        utf8[i] = (char)(0x80 | (code & 0x3f));
    utf8[0] = (char)(lead[n] | code);
    return buf_add(out, utf8, n);
}

/* Decodes the escape at *p and moves behind it. */
static bool decode_escape(const char **p, const char *end, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char letter = end - *p < 2 ? 0 : (*p)[1];
    const char *simple = letter ? strchr(from, letter) : NULL;
    *p += 2;
    if (letter != 'u')
        return simple && buf_add_char(out, to[simple - from]);
    if (end - *p < 4)
        return false;
    unsigned code = hex4(*p);
    *p += 4;
    if (code < 0xd800 || code > 0xdfff)
        return add_code_point(out, code);
    if (code < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        unsigned low = hex4(*p + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *p += 6;
            return add_code_point(out, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    return add_code_point(out, 0xfffd);
}

bool json_decode_string(struct view string, struct buf *out)
{
    if (json_type(string) != JSON_STRING || string.n < 2)
        return false;
    const char *p = string.p + 1, *end = string.p + string.n - 1;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        const char *stop = slash ? slash : end;
        if (!buf_add(out, p, (size_t)(stop - p)))
            return false;
        p = stop;
        if (slash && !decode_escape(&p, end, out))
            return false;
    }
    return true;
}

bool json_copy_string(struct view string, char *out, size_t size)
{
    struct view plain;
    if (json_plain_string(string, &plain))
        return view_copy(plain, out, size);
    struct buf decoded;
    buf_init(&decoded, size);
    bool ok = json_decode_string(string, &decoded) && view_copy(buf_view(&decoded), out, size);
    buf_free(&decoded);
    return ok;
}

bool json_i64(struct view number, int64_t *out)
{
    if (json_type(number) != JSON_NUMBER)
        return false;
    bool negative = number.p[0] == '-';
    struct view digits = {number.p + negative, number.n - negative};
    uint64_t value;
    if (!view_u64(digits, (uint64_t)INT64_MAX, &value))
        return false;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool json_is_true(struct view value)
{
    return json_type(value) == JSON_BOOL && value.p[0] == 't';
}

size_t json_depth(struct view value)
{
    size_t depth = 0, most = 0;
    bool inside = false; /* a string */
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (inside)
            i += c == '\\';
        else if (c == '{' || c == '[')
            most = ++depth > most ? depth : most;
        else if (c == '}' || c == ']')
            depth--;
        if (c == '"')
            inside = !inside;
    }
    return most;
}
