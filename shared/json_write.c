#include "shared/json.h"

void json_put_string(struct buf *b, struct view text)
{
    static const char short_form[32] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    buf_add_char(b, '"');
    size_t done = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(b, text.p + done, i - done);
        done = i + 1;
        if (c >= 0x20)
            buf_addf(b, "\\%c", c);
        else if (short_form[c])
            buf_addf(b, "\\%c", short_form[c]);
        else
            buf_addf(b, "\\u%04x", c);
    }
    if (done < text.n)
        buf_add(b, text.p + done, text.n - done);
    buf_add_char(b, '"');
}

void jw_init(struct json_writer *w, struct buf *b)
{
    *w = (struct json_writer){.b = b};
}

/* The comma before a key or an element. */
static void separate(struct json_writer *w)
{
    if (w->comma)
        buf_add_char(w->b, ',');
    w->comma = true;
}

void jw_begin(struct json_writer *w, char bracket)
{
    separate(w);
    buf_add_char(w->b, bracket);
    w->comma = false;
}

void jw_end(struct json_writer *w, char bracket)
{
    buf_add_char(w->b, bracket);
    w->comma = true;
}

void jw_key(struct json_writer *w, const char *key)
{
    separate(w);
    json_put_string(w->b, view_of(key));
    buf_add_char(w->b, ':');
    w->comma = false; /* its value needs none */
}

void jw_raw(struct json_writer *w, struct view json)
{
    separate(w);
    buf_add_view(w->b, json.n ? json : VIEW("null"));
}

void jw_text(struct json_writer *w, struct view text)
{
    separate(w);
    json_put_string(w->b, text);
}

void jw_i64(struct json_writer *w, int64_t number)
{
    separate(w);
    buf_addf(w->b, "%lld", (long long)number);
}

void jw_bool(struct json_writer *w, bool value)
{
    jw_raw(w, value ? VIEW("true") : VIEW("false"));
}

void jw_key_raw(struct json_writer *w, const char *key, struct view json)
{
    jw_key(w, key);
    jw_raw(w, json);
}

void jw_key_text(struct json_writer *w, const char *key, const char *text)
{
    jw_key(w, key);
    if (text)
        jw_text(w, view_of(text));
    else
        jw_raw(w, VIEW("null"));
}

void jw_key_i64(struct json_writer *w, const char *key, int64_t number)
{
    jw_key(w, key);
    jw_i64(w, number);
}

void jw_key_bool(struct json_writer *w, const char *key, bool value)
{
    jw_key(w, key);
    jw_bool(w, value);
}
