#include "shared/http_text.h"
#include <string.h>
#include <time.h>

#define STATUSES(X)                  \
    X(101, "Switching Protocols")    \
    X(200, "OK")                     \
    X(201, "Created")                \
    X(202, "Accepted")               \
    X(204, "No Content")             \
    X(206, "Partial Content")        \
    X(301, "Moved Permanently")      \
    X(302, "Found")                  \
    X(303, "See Other")              \
    X(304, "Not Modified")           \
    X(307, "Temporary Redirect")     \
    X(308, "Permanent Redirect")     \
    X(400, "Bad Request")            \
    X(401, "Unauthorized")           \
    X(403, "Forbidden")              \
    X(404, "Not Found")              \
    X(405, "Method Not Allowed")     \
    X(406, "Not Acceptable")         \
    X(408, "Request Timeout")        \
    X(409, "Conflict")               \
    X(410, "Gone")                   \
    X(411, "Length Required")        \
    X(412, "Precondition Failed")    \
    X(413, "Content Too Large")      \
    X(414, "URI Too Long")           \
    X(415, "Unsupported Media Type") \
    X(417, "Expectation Failed")     \
    X(421, "Misdirected Request")    \
    X(422, "Unprocessable Content")  \
    X(426, "Upgrade Required")       \
    X(428, "Precondition Required")  \
    X(429, "Too Many Requests")      \
    X(500, "Internal Server Error")  \
    X(501, "Not Implemented")        \
    X(502, "Bad Gateway")            \
    X(503, "Service Unavailable")    \
    X(504, "Gateway Timeout")        \
    X(505, "HTTP Version Not Supported")

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {
#define X(status, reason) {status, reason},
        STATUSES(X)
#undef X
    };
    for (size_t i = 0; i < countof(table); i++)
        if (table[i].status == status)
            return table[i].reason;
    return "Unknown";
}

void http_refusal_body(int status, struct buf *out)
{
    static const struct {
        int status;
        const char *code;
    } codes[] = {{403, "DENIED"},      {408, "TIMEOUT"},     {411, "LENGTH_REQUIRED"},
                 {413, "TOO_LARGE"},   {417, "EXPECTATION"}, {426, "UPGRADE_REQUIRED"},
                 {505, "HTTP_VERSION"}};
    const char *code = "MALFORMED";
    for (size_t i = 0; i < countof(codes); i++)
        if (codes[i].status == status)
            code = codes[i].code;
    buf_addf(out, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"details\":{}}}", code,
             http_reason(status));
}

bool http_is_1_1(struct view version)
{
    return view_is(version, "HTTP/1.1");
}

bool http_list_has(struct view list, const char *token)
{
    for (struct view item; view_split(&list, ',', &item);)
        if (view_is_nocase(view_trim(item), token))
            return true;
    return false;
}

static bool wants_length(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

/* RFC 9112, 6.3 and 11.2: what two readers could understand differently is refused. */
int http_head_check(const struct http_head *head, size_t max_body, uint64_t *body_bytes)
{
    *body_bytes = 0;
    if (!http_is_1_1(head->version) && !view_is(head->version, "HTTP/1.0"))
        return 505;
    if (head->has_odd_framing || (head->has_length && head->has_encoding))
        return 400;
    if (head->host.n ? memchr(head->host.p, ',', head->host.n) != NULL : http_is_1_1(head->version))
        return 400;
    if (head->has_encoding)
        return 411;
    if (head->has_length && !view_u64(head->length, UINT64_MAX / 2, body_bytes))
        return 400;
    if (!head->has_length && wants_length(head->method))
        return 411;
    if (*body_bytes > max_body)
        return 413;
    return head->has_expect ? 417 : 0;
}

bool http_head_promises_body(const struct http_head *head)
{
    if (!head->has_length)
        return wants_length(head->method);
    struct view digits = head->length;
    while (digits.n && (digits.p[0] == '-' || digits.p[0] == '+' || digits.p[0] == '0'))
        digits.p++, digits.n--;
    return digits.n && digits.p[0] > '0' && digits.p[0] <= '9';
}

bool http_may_be_request_line(struct view bytes, enum http_method method)
{
    static const char *const starts[] = {"GET /",   "HEAD /",   "POST /",    "PUT /",
                                         "PATCH /", "DELETE /", "OPTIONS /", "CONNECT "};
    struct view start = view_of(starts[method]), line = bytes;
    size_t common = bytes.n < start.n ? bytes.n : start.n;
    if (memcmp(bytes.p, start.p, common))
        return false;
    const char *end = memchr(bytes.p, '\n', bytes.n);
    if (!end)
        return true; /* its beginning */
    line.n = (size_t)(end - bytes.p);
    size_t tail = sizeof " HTTP/1.1\r" - 1;
    return line.n > tail && !memcmp(line.p + line.n - tail, " HTTP/1.", tail - 2);
}

void http_date(int64_t seconds, char out[static HTTP_DATE_SIZE])
{
    /* Not strftime's names: those follow the locale. */
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t at = (time_t)seconds;
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(out, HTTP_DATE_SIZE, "..., %d ... %Y %H:%M:%S GMT", &tm);
    memcpy(out, days + 3 * tm.tm_wday, 3);
    memcpy(out + 8, months + 3 * tm.tm_mon, 3);
}

/* A value with a line end in it would be a header of its own. */
static void add_header(struct buf *out, const char *name, const char *value)
{
    buf_add_text(out, name);
    buf_add_text(out, ": ");
    if (!strpbrk(value, "\r\n"))
        buf_add_text(out, value);
    buf_add_text(out, "\r\n");
}

void http_reply_head(struct buf *out, const struct reply *reply, const struct http_reply_context *context)
{
    buf_addf(out, "HTTP/1.1 %d %s\r\n", reply->status, http_reason(reply->status));
    if (reply->content_type)
        add_header(out, "Content-Type", reply->content_type);
    if (reply->status != 204 && reply->status != 304)
        buf_addf(out, "Content-Length: %zu\r\n", reply->content_type ? reply->body.n : 0);
    add_header(out, "Date", context->date);
    if (context->server_name)
        add_header(out, "Server", context->server_name);
    if (context->close || context->keep_alive)
        add_header(out, "Connection", context->close ? "close" : "keep-alive");
    for (size_t i = 0; i < reply->header_count; i++)
        add_header(out, reply->headers[i].name, reply->headers[i].value);
    buf_add_text(out, "\r\n");
}

static void add_encoded(struct buf *out, struct view text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        struct view one = {text.p + i, 1};
        if (view_is_name(one, 1, "-._~")) {
            buf_add_char(out, (char)c);
        } else {
            char escape[] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(out, escape, sizeof escape);
        }
    }
}

void http_query_add(struct buf *out, struct view parameter)
{
    struct view name, value = parameter;
    view_split(&value, '=', &name);
    add_encoded(out, name);
    if (value.p) {
        buf_add_char(out, '=');
        add_encoded(out, value);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: bad encoding, a NUL, or over size. */
static bool decode(struct view text, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '+')
            c = ' ';
        if (c == '%') {
            int high = i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
            int low = i + 2 < text.n ? hex_digit(text.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (!c || n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = 0;
    return true;
}

/* The last value of that name, still encoded; p is NULL when there is none. */
static struct view find_param(struct view query, const char *name)
{
    char decoded[128];
    struct view last = {0};
    for (struct view pair, key; view_split(&query, '&', &pair);) {
        struct view value = pair;
        if (!pair.n || !view_split(&value, '=', &key))
            continue;
        if (decode(key, decoded, sizeof decoded) && !strcmp(decoded, name))
            last = value.p ? value : VIEW("");
    }
    return last;
}

bool http_query_param(struct view query, const char *name, char *out, size_t size)
{
    struct view value = find_param(query, name);
    return value.p && size && decode(value, out, size);
}

bool http_query_has(struct view query, const char *name)
{
    return find_param(query, name).n > 0;
}
