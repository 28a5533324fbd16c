/*
 * HTTP requests to others, blocking (libcurl underneath, in http_client.c only). http and https, no
 * redirects, no cookies; certificates are checked.
 *
 * Thread: a client belongs to one thread. It keeps its connection for the next request to the same host.
 */
#ifndef SHARED_HTTP_CLIENT_H
#define SHARED_HTTP_CLIENT_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

struct http_client;

struct http_client *http_client_create(void);
void http_client_destroy(struct http_client *client); /* NULL-safe */

struct http_call {
    const char *method, *url;
    const char *const *headers; /* "Name: value" each; without line ends */
    size_t header_count;
    struct view body;    /* sent with a length when there is one */
    int timeout_ms;      /* of the whole call */
    size_t max_response; /* bytes of the answer's body */
    /* A kept connection that turns out dead is otherwise replaced and the request sent again, which may be
     * twice for the other side. */
    bool fresh_connection;
};

struct http_result {
    int status; /* 200, 404, ... */
    struct buf body;
};

/* True: there is an answer, whatever its status. UNAVAILABLE: nothing has reached the other side. TIMEOUT: it
 * may have; the outcome is unknown. TOO_LARGE: answered with more than max_response. INVALID: the URL. The
 * result is released in any case. */
bool http_request(struct http_client *client, const struct http_call *call, struct http_result *result,
                  struct err *err) MUSTCHECK;
void http_result_release(struct http_result *result);

#endif
