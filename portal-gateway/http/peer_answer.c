#include "portal-gateway/http/peer_answer.h"
#include <string.h>

void peer_answer_init(struct peer_answer *a)
{
    *a = (struct peer_answer){0};
    buf_init(&a->bytes, PEER_ANSWER_HEAD_MAX + PEER_ANSWER_BODY_MAX);
}

void peer_answer_finish(struct peer_answer *a)
{
    buf_free(&a->bytes);
}

/* The next line without its end; false: that was the last one. */
static bool next_line(struct view *rest, struct view *line)
{
    const char *end = rest->n ? memmem(rest->p, rest->n, "\r\n", 2) : NULL;
    if (!end || end == rest->p)
        return false;
    *line = (struct view){rest->p, (size_t)(end - rest->p)};
    *rest = (struct view){end + 2, rest->n - line->n - 2};
    return true;
}

/* No control characters: what is a line here is a line to whoever gets it from us. */
static bool is_clean(struct view line)
{
    for (size_t i = 0; i < line.n; i++)
        if ((unsigned char)line.p[i] < ' ' && line.p[i] != '\t')
            return false;
    return true;
}

static bool split_header(struct view line, struct view *name, struct view *value)
{
    *value = line;
    if (!memchr(line.p, ':', line.n) || !view_split(value, ':', name))
        return false;
    *value = value->p ? view_trim(*value) : VIEW("");
    return view_is_name(*name, name->n, "-");
}

/* "HTTP/1.1 200 OK" */
static bool read_status(struct view line, int *status)
{
    uint64_t number;
    if (line.n < 12 || !view_starts(line, "HTTP/1.1 ") || (line.n > 12 && line.p[12] != ' ') ||
        !view_u64((struct view){line.p + 9, 3}, 599, &number) || number < 200)
        return false;
    *status = (int)number;
    return true;
}

static bool read_head(struct peer_answer *a)
{
    struct view rest = {a->bytes.data, a->head_bytes}, line, name, value;
    bool has_length = false;
    if (!next_line(&rest, &line) || !is_clean(line) || !read_status(line, &a->status))
        return false;
    while (next_line(&rest, &line)) {
        uint64_t length = 0;
        if (!is_clean(line) || !split_header(line, &name, &value) ||
            view_is_nocase(name, "transfer-encoding"))
            return false;
        if (view_is_nocase(name, "connection"))
            a->closes = view_is_nocase(value, "close");
        if (!view_is_nocase(name, "content-length"))
            continue;
        if (has_length || !view_u64(value, PEER_ANSWER_BODY_MAX, &length))
            return false;
        has_length = true;
        a->body_bytes = (size_t)length;
    }
    return has_length || a->status == 204 || a->status == 304;
}

enum peer_answer_state peer_answer_add(struct peer_answer *a, struct view bytes)
{
    if (!buf_add_view(&a->bytes, bytes))
        return PEER_ANSWER_BROKEN;
    if (!a->head_bytes && a->bytes.len) {
        size_t n = a->bytes.len < PEER_ANSWER_HEAD_MAX ? a->bytes.len : PEER_ANSWER_HEAD_MAX;
        const char *end = memmem(a->bytes.data, n, "\r\n\r\n", 4);
        if (!end)
            return n == PEER_ANSWER_HEAD_MAX ? PEER_ANSWER_BROKEN : PEER_ANSWER_PART;
        a->head_bytes = (size_t)(end - a->bytes.data) + 4;
        if (!read_head(a))
            return PEER_ANSWER_BROKEN;
    }
    size_t whole = a->head_bytes + a->body_bytes;
    if (!a->head_bytes || a->bytes.len < whole)
        return PEER_ANSWER_PART;
    return a->bytes.len == whole ? PEER_ANSWER_WHOLE : PEER_ANSWER_BROKEN;
}

/* What our server says by itself, or what is between two neighbours only. */
static bool is_ours_to_say(struct view name)
{
    static const char *const names[] = {"connection", "keep-alive", "content-length", "date", "server"};
    for (size_t i = 0; i < countof(names); i++)
        if (view_is_nocase(name, names[i]))
            return true;
    return false;
}

/* Puts an end behind it; what stands there is a colon or the end of the line. */
static const char *as_text(struct view v)
{
    ((char *)(uintptr_t)v.p)[v.n] = 0;
    return v.p;
}

void peer_answer_read(struct peer_answer *a, struct reply *out)
{
    struct view rest = {a->bytes.data, a->head_bytes}, line, name, value;
    *out = (struct reply){
        .status = a->status, .body = {a->bytes.data + a->head_bytes, a->body_bytes}, .headers = a->headers};
    next_line(&rest, &line);
    while (next_line(&rest, &line)) {
        if (!split_header(line, &name, &value) || is_ours_to_say(name))
            continue;
        const char *text = value.n ? as_text(value) : "";
        if (view_is_nocase(name, "content-type"))
            out->content_type = text;
        else if (out->header_count < PEER_ANSWER_HEADERS_MAX)
            a->headers[out->header_count++] = (struct reply_header){as_text(name), text};
    }
}
