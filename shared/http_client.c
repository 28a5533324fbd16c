#include "shared/http_client.h"
#include "shared/mem.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>

enum { CONNECT_MS = 5000 };

struct http_client {
    CURL *curl;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        mem_exhausted();
}

struct http_client *http_client_create(void)
{
    pthread_once(&curl_once, init_curl);
    struct http_client *client = xcalloc(1, sizeof *client);
    client->curl = curl_easy_init();
    if (!client->curl)
        mem_exhausted();
    return client;
}

void http_client_destroy(struct http_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    free(client);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct buf *body = ctx;
    return buf_add(body, bytes, size * count) ? size * count : 0;
}

static struct curl_slist *make_headers(const struct http_call *call)
{
    /* curl would wait for "100 Continue" before a longer body. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; i < call->header_count; i++)
        list = curl_slist_append(list, call->headers[i]);
    return list;
}

static void set_options(CURL *curl, const struct http_call *call, struct curl_slist *headers,
                        struct http_result *result, char *reason)
{
    curl_easy_reset(curl); /* keeps connections */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "Portalcast/" VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(call->timeout_ms < CONNECT_MS ? call->timeout_ms : CONNECT_MS));
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, (long)call->fresh_connection);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &result->body);
    if (call->body.n) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.p);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
}

/* Whether the request, or a part of it, has left us. */
static bool was_sent(CURL *curl)
{
    long bytes = 0;
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
}

static enum err_code code_of(CURL *curl, CURLcode failure, const struct http_result *result)
{
    if (failure == CURLE_WRITE_ERROR && result->body.overflow)
        return ERR_TOO_LARGE;
    if (failure == CURLE_URL_MALFORMAT || failure == CURLE_UNSUPPORTED_PROTOCOL)
        return ERR_INVALID;
    return was_sent(curl) ? ERR_TIMEOUT : ERR_UNAVAILABLE;
}

bool http_request(struct http_client *client, const struct http_call *call, struct http_result *result,
                  struct err *err)
{
    char reason[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = make_headers(call);
    *result = (struct http_result){0};
    buf_init(&result->body, call->max_response);
    set_options(client->curl, call, headers, result, reason);
    CURLcode failure = curl_easy_perform(client->curl);
    curl_slist_free_all(headers);
    if (failure) {
        const char *text = *reason ? reason : curl_easy_strerror(failure);
        return err_set(err, code_of(client->curl, failure, result), "%s", text);
    }
    long status = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    result->status = (int)status;
    return true;
}

void http_result_release(struct http_result *result)
{
    buf_free(&result->body);
}
