/*
 * Heads of requests: what two readers could take differently is refused, whatever else is in it; and heads of
 * replies: a value never becomes a line of its own. The first byte has the method and which headers there
 * are; lines: version, Host, Content-Length, Connection, and a token to look for.
 */
#include "shared/http_text.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 4000, HAS_EXPECT = 8, HAS_LENGTH = 16, HAS_ENCODING = 32, HAS_ODD_FRAMING = 64 };

static bool has_char(struct view v, char c)
{
    return v.n && memchr(v.p, c, v.n);
}

static void check_head(const struct http_head *head)
{
    uint64_t bytes, again;
    int status = http_head_check(head, BODY_MAX, &bytes);
    if (status) {
        MUST(*http_reason(status) && strcmp(http_reason(status), "Unknown") != 0);
        return;
    }
    MUST(!head->has_encoding && !head->has_odd_framing && !head->has_expect && bytes <= BODY_MAX);
    MUST(view_is(head->version, "HTTP/1.0") || (http_is_1_1(head->version) && head->host.n));
    MUST(!has_char(head->host, ','));
    MUST(head->has_length ? view_u64(head->length, BODY_MAX, &again) && again == bytes : !bytes);
    MUST(!bytes || http_head_promises_body(head));
}

static void check_reply(struct view value)
{
    struct buf out;
    char *text = strndup(value.n ? value.p : "", value.n);
    MUST(text);
    const struct reply_header header = {"X-Said", text};
    const struct reply reply = {.status = 200, .content_type = text, .headers = &header, .header_count = 1};
    const struct http_reply_context context = {.date = "now"};
    size_t lines = 0;
    buf_init(&out, value.n * 2 + 512);
    http_reply_head(&out, &reply, &context);
    for (size_t i = 0; i < out.len; i++) {
        lines += out.data[i] == '\n';
        MUST(out.data[i] != '\r' || out.data[i + 1] == '\n');
    }
    MUST(!out.overflow && lines == 6);
    buf_free(&out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned flags = size ? data[0] : 0;
    struct view whole = fuzz_input(data + (size > 0), size - (size > 0)), rest = whole, token = {"", 0};
    struct http_head head = {.method = (enum http_method)(flags % 8),
                             .has_expect = flags & HAS_EXPECT,
                             .has_length = flags & HAS_LENGTH,
                             .has_encoding = flags & HAS_ENCODING,
                             .has_odd_framing = flags & HAS_ODD_FRAMING};
    struct view *const lines[] = {&head.version, &head.host, &head.length, &head.connection, &token};
    for (size_t i = 0; i < countof(lines); i++)
        if (view_split(&rest, '\n', lines[i]))
            *lines[i] = view_trim(*lines[i]);
    check_head(&head);
    char *text = strndup(token.n ? token.p : "", token.n);
    MUST(text);
    if (*text && http_list_has(head.connection, text))
        MUST(!has_char(view_of(text), ',') && head.connection.n >= strlen(text));
    free(text);
    if (whole.n)
        (void)http_may_be_request_line(whole, head.method);
    check_reply(whole);
    return 0;
}
