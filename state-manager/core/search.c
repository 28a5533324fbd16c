#include "state-manager/core/search.h"
#include "shared/json.h"
#include <string.h>

enum { PHONE_DIGITS_MIN = 3, LEFT_OUT = 0, TEXT_MAX = 1 << 20 };

/* --- folding: the case of alphabets that have one; marks, points and vowel signs are left out --- */

/* Letters without their marks (UnicodeData.txt, decompositions). '.': see the tables below. */
static const struct {
    unsigned first;
    const char *plain;
} latin[] = {
    {0xc0,
     "aaaaaa.ceeeeiiii.nooooo.ouuuuy..aaaaaa.ceeeeiiii.nooooo.ouuuuy.yaaaaaaccccccccddddeeeeeeeeeegggg"
     "gggghhhhiiiiiiiiii..jjkk.llllll..llnnnnnn...oooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"},
    {0x1cd,
     "aaiioouuuuuuuuuu.aaaa....ggkkoooo..j...gg..nnaa....aaaaeeeeiiiioooorrrruuuusstt..hh......aaeeoooo"
     "ooooyy"},
    {0x1e00,
     "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrr"
     "ssssssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy.s....aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
     "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......"},
};

/* Letters that people without their keyboard spell with others. */
static const struct {
    unsigned code;
    const char *letters;
} spelled[] = {
    {0xc6, "ae"},  {0xd0, "d"},   {0xde, "th"},  {0xdf, "ss"},  {0xe6, "ae"},  {0xf0, "d"},
    {0xfe, "th"},  {0x132, "ij"}, {0x133, "ij"}, {0x138, "k"},  {0x13f, "l"},  {0x140, "l"},
    {0x149, "n"},  {0x14a, "n"},  {0x14b, "n"},  {0x152, "oe"}, {0x153, "oe"}, {0x1e2, "ae"},
    {0x1e3, "ae"}, {0x1fc, "ae"}, {0x1fd, "ae"}, {0x1fe, "o"},  {0x1ff, "o"},  {0x1e9e, "ss"},
};

/* In order: from first to last, every `step`th becomes the one that stands as far behind `to`. */
static const struct range {
    unsigned first, last, step, to;
} ranges[] = {
    {0x0a0, 0x0a0, 1, ' '},      /* the blank that does not break */
    {0x0ad, 0x0ad, 1, LEFT_OUT}, /* hyphen for line ends */
    {0x300, 0x36f, 1, LEFT_OUT}, /* combining marks */
    {0x386, 0x386, 1, 0x3b1},    /* Greek with accents */
    {0x388, 0x388, 1, 0x3b5},      {0x389, 0x389, 1, 0x3b7},
    {0x38a, 0x38a, 1, 0x3b9},      {0x38c, 0x38c, 1, 0x3bf},
    {0x38e, 0x38e, 1, 0x3c5},      {0x38f, 0x38f, 1, 0x3c9},
    {0x390, 0x390, 1, 0x3b9},      {0x391, 0x3a1, 1, 0x3b1}, /* Greek */
    {0x3a3, 0x3a9, 1, 0x3c3},      {0x3aa, 0x3aa, 1, 0x3b9},
    {0x3ab, 0x3ab, 1, 0x3c5},      {0x3ac, 0x3ac, 1, 0x3b1},
    {0x3ad, 0x3ad, 1, 0x3b5},      {0x3ae, 0x3ae, 1, 0x3b7},
    {0x3af, 0x3af, 1, 0x3b9},      {0x3b0, 0x3b0, 1, 0x3c5},
    {0x3c2, 0x3c2, 1, 0x3c3}, /* final sigma */
    {0x3ca, 0x3ca, 1, 0x3b9},      {0x3cb, 0x3cb, 1, 0x3c5},
    {0x3cc, 0x3cc, 1, 0x3bf},      {0x3cd, 0x3cd, 1, 0x3c5},
    {0x3ce, 0x3ce, 1, 0x3c9},      {0x401, 0x401, 1, 0x435}, /* Cyrillic; io is written as ie, short i as i */
    {0x402, 0x40f, 1, 0x452},      {0x410, 0x418, 1, 0x430},
    {0x419, 0x419, 1, 0x438},      {0x41a, 0x42f, 1, 0x43a},
    {0x439, 0x439, 1, 0x438},      {0x451, 0x451, 1, 0x435},
    {0x460, 0x480, 2, 0x461},      {0x48a, 0x4be, 2, 0x48b},
    {0x4c0, 0x4c0, 1, 0x4cf},      {0x4c1, 0x4cd, 2, 0x4c2},
    {0x4d0, 0x52e, 2, 0x4d1},      {0x531, 0x556, 1, 0x561}, /* Armenian */
    {0x591, 0x5bd, 1, LEFT_OUT},                             /* Hebrew points */
    {0x640, 0x640, 1, LEFT_OUT},                             /* Arabic stretching and vowel signs */
    {0x64b, 0x652, 1, LEFT_OUT},   {0x660, 0x669, 1, '0'},   /* digits: Arabic, Persian, Devanagari */
    {0x670, 0x670, 1, LEFT_OUT},   {0x6f0, 0x6f9, 1, '0'},
    {0x966, 0x96f, 1, '0'},        {0x10a0, 0x10c5, 1, 0x2d00},   /* Georgian */
    {0x1c90, 0x1cba, 1, 0x10d0},   {0x200b, 0x200f, 1, LEFT_OUT}, /* of no width: joiners, direction */
    {0x202a, 0x202e, 1, LEFT_OUT}, {0x2066, 0x2069, 1, LEFT_OUT},
    {0x3000, 0x3000, 1, ' '},      {0xfe00, 0xfe0f, 1, LEFT_OUT}, /* looks of an emoji */
    {0xff01, 0xff20, 1, '!'},                                     /* wide forms of ASCII */
    {0xff21, 0xff3a, 1, 'a'},      {0xff3b, 0xff5e, 1, '['},
};

static void add_code_point(unsigned code, struct buf *out)
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    char utf8[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        utf8[i] = (char)(0x80 | (code & 0x3f));
    utf8[0] = (char)(lead[n] | code);
    buf_add(out, utf8, n);
}

static const struct range *find_range(unsigned code)
{
    size_t from = 0, to = countof(ranges);
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (ranges[middle].last < code)
            from = middle + 1;
        else
            to = middle;
    }
    bool hit = from < countof(ranges) && ranges[from].first <= code &&
               (code - ranges[from].first) % ranges[from].step == 0;
    return hit ? &ranges[from] : NULL;
}

/* Latin letters with marks, in all their ways; false: none of them. */
static bool fold_latin(unsigned code, struct buf *out)
{
    for (size_t i = 0; i < countof(latin); i++) {
        if (code < latin[i].first || code - latin[i].first >= strlen(latin[i].plain))
            continue;
        char plain = latin[i].plain[code - latin[i].first];
        return plain != '.' && buf_add_char(out, plain);
    }
    return false;
}

static bool fold_spelled(unsigned code, struct buf *out)
{
    for (size_t i = 0; i < countof(spelled); i++)
        if (spelled[i].code == code)
            return buf_add_text(out, spelled[i].letters);
    return false;
}

static void fold_code_point(unsigned code, struct buf *out)
{
    if (code < 0x250 || (code >= 0x1e00 && code < 0x1f00))
        if (fold_latin(code, out) || fold_spelled(code, out))
            return;
    const struct range *range = find_range(code);
    if (!range)
        add_code_point(code, out);
    else if (range->to != LEFT_OUT)
        add_code_point(range->to + (code - range->first), out);
}

/* Reads one code point at *at and moves behind it; false: those bytes are none. */
static bool next_code_point(struct view text, size_t *at, unsigned *code)
{
    const unsigned char *p = (const unsigned char *)text.p + *at;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (*at + n > text.n || !view_is_utf8((struct view){(const char *)p, n})) {
        ++*at;
        return false;
    }
    *at += n;
    *code = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        *code = *code << 6 | (p[i] & 0x3fu);
    return true;
}

void search_fold(struct view text, struct buf *out)
{
    unsigned code;
    for (size_t at = 0; at < text.n;) {
        unsigned char c = (unsigned char)text.p[at];
        if (c < 0x80) {
            buf_add_char(out, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
            at++;
        } else if (next_code_point(text, &at, &code)) {
            fold_code_point(code, out);
        }
    }
}

/* --- the query --- */

static size_t characters(struct view text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.n; i++)
        count += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return count;
}

bool search_valid(struct view query)
{
    return view_is_utf8(query) && characters(query) <= SEARCH_CHARS_MAX;
}

/* The digits of what looks like a phone number, without the zeros that stand for a country or a trunk. */
static void read_phone(struct view words, char out[static SEARCH_CHARS_MAX])
{
    size_t n = 0;
    bool is_phone = true;
    for (size_t i = 0; i < words.n && is_phone; i++) {
        char c = words.p[i];
        bool is_digit = c >= '0' && c <= '9';
        is_phone = is_digit || (c && strchr("+-()./ ", c));
        if (is_digit && (n || c != '0') && n + 1 < SEARCH_CHARS_MAX)
            out[n++] = c;
    }
    out[is_phone && n >= PHONE_DIGITS_MIN ? n : 0] = 0;
}

/* Every kind of blank is one. */
static void only_blanks(struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if ((unsigned char)b->data[i] < 0x20)
            b->data[i] = ' ';
}

void search_init(struct search *s, struct view query)
{
    buf_init(&s->words, SEARCH_BYTES_MAX * 2); /* what is spelled out grows */
    buf_init(&s->text, TEXT_MAX);
    buf_init(&s->decoded, TEXT_MAX);
    search_fold(query, &s->words);
    only_blanks(&s->words);
    read_phone(buf_view(&s->words), s->phone);
}

void search_finish(struct search *s)
{
    buf_free(&s->words);
    buf_free(&s->text);
    buf_free(&s->decoded);
}

/* --- a conversation --- */

/* Adds a raw JSON string to the text, apart from what stands before. */
static void add_text(struct search *s, struct view raw)
{
    buf_clear(&s->decoded);
    if (json_type(raw) != JSON_STRING || !json_decode_string(raw, &s->decoded))
        return;
    search_fold(buf_view(&s->decoded), &s->text);
    buf_add_char(&s->text, '\n');
}

static void gather(struct search *s, const struct conversation *c)
{
    const struct view plain[] = {c->name,     c->username,     c->wa_id,
                                 c->assignee, c->last_message, json_get(c->correlation, "correlationId")};
    struct view tag;
    buf_clear(&s->text);
    for (size_t i = 0; i < countof(plain); i++)
        add_text(s, plain[i]);
    if (json_type(c->tags) == JSON_ARRAY)
        for (struct json_iter it = json_iter(c->tags); json_next_element(&it, &tag);)
            add_text(s, tag);
}

static bool holds(struct view text, struct view part)
{
    return !part.n || (part.n <= text.n && memmem(text.p, text.n, part.p, part.n));
}

static bool holds_words(const struct search *s)
{
    struct view rest = buf_view(&s->words), word;
    while (view_split(&rest, ' ', &word))
        if (!holds(buf_view(&s->text), word))
            return false;
    return true;
}

static bool finds_phone(const struct search *s, const struct conversation *c)
{
    struct view digits;
    return *s->phone && json_plain_string(c->wa_id, &digits) && holds(digits, view_of(s->phone));
}

bool search_finds(struct search *s, const struct conversation *c)
{
    if (finds_phone(s, c))
        return true;
    gather(s, c);
    return holds_words(s);
}

/* --- any document --- */

static void add_value(struct search *s, struct view value)
{
    if (json_type(value) == JSON_STRING) {
        add_text(s, value);
    } else if (json_type(value) == JSON_NUMBER) {
        buf_add_view(&s->text, value);
        buf_add_char(&s->text, '\n');
    }
}

/* Whether a line of the text is a phone number with these digits in it. */
static bool finds_number(const struct search *s)
{
    struct view rest = buf_view(&s->text), line;
    char digits[SEARCH_CHARS_MAX];
    while (*s->phone && view_split(&rest, '\n', &line)) {
        read_phone(line, digits);
        if (holds(view_of(digits), view_of(s->phone)))
            return true;
    }
    return false;
}

bool search_finds_any(struct search *s, const struct view *values, size_t count)
{
    struct view one;
    buf_clear(&s->text);
    for (size_t i = 0; i < count; i++) {
        add_value(s, values[i]);
        if (json_type(values[i]) == JSON_ARRAY)
            for (struct json_iter it = json_iter(values[i]); json_next_element(&it, &one);)
                add_value(s, one);
    }
    return holds_words(s) || finds_number(s);
}
