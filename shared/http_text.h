/*
 * The texts of HTTP/1.1 (RFC 9110, 9112) that server.h needs and that are the same with any library: reasons,
 * the rules that a request head must obey, the head of a reply, query strings (WHATWG URL,
 * application/x-www-form-urlencoded). Plain functions. Thread: any, except http_date(): the loop's.
 */
#ifndef SHARED_HTTP_TEXT_H
#define SHARED_HTTP_TEXT_H

#include "shared/buf.h"
#include "shared/server.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_DATE_SIZE = 30 };

/* What the rules look at. Views are trimmed; empty and absent are the same, except where said. */
struct http_head {
    enum http_method method;
    struct view version;    /* "HTTP/1.1" */
    struct view host;       /* several: joined by commas */
    struct view length;     /* Content-Length, as above */
    struct view connection; /* as above */
    bool has_expect;
    bool has_length;      /* the header is there, perhaps empty */
    bool has_encoding;    /* Transfer-Encoding is there, perhaps empty */
    bool has_odd_framing; /* one of the two is there with a blank before its colon */
};

/* 0, or the status to refuse the request with; then also how many bytes of body follow. */
int http_head_check(const struct http_head *head, size_t max_body, uint64_t *body_bytes);
/* Whether the library, which reads the length in its own way, goes on to read a body of a refused request. */
bool http_head_promises_body(const struct http_head *head);
bool http_is_1_1(struct view version);
/* Whether a comma-separated list (Connection, Upgrade) holds the token; case does not matter. */
bool http_list_has(struct view list, const char *token);
/* Whether the bytes, at least one, are a request line of this method and more, or the beginning of one. */
bool http_may_be_request_line(struct view bytes, enum http_method method);

const char *http_reason(int status);
/* Appends what a request is told that is refused before anybody looks at its path: JSON, in the form that all
 * errors of our APIs have. */
void http_refusal_body(int status, struct buf *out);
/* IMF-fixdate of the time (seconds since 1970). */
void http_date(int64_t seconds, char out[static HTTP_DATE_SIZE]);

struct http_reply_context {
    const char *date, *server_name;
    bool close;      /* say so */
    bool keep_alive; /* say so: HTTP/1.0 asked for it */
};
/* Status line and headers, the empty line included. */
void http_reply_head(struct buf *out, const struct reply *reply, const struct http_reply_context *context);

/* Appends one parameter of a query, given in decoded form as name=value, percent-encoded. */
void http_query_add(struct buf *out, struct view parameter);
bool http_query_param(struct view query, const char *name, char *out, size_t size) MUSTCHECK;
/* Whether it is there with a value that is not empty, whatever its size. */
bool http_query_has(struct view query, const char *name);

#endif
