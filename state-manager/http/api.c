#include "state-manager/http/api.h"
#include "shared/clock.h"
#include "shared/etag.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "shared/origin.h"
#include "state-manager/http/handlers.h"
#include "state-manager/http/path.h"
#include "state-manager/meters.h"
#include <stdio.h>
#include <string.h>

enum { ORIGIN_SIZE = 160, HEADERS_MAX = 10, QUERY_MAX = 16384 };

enum access { ACCESS_OPEN, ACCESS_TENANT, ACCESS_SERVICE, ACCESS_ADMIN };
enum body { BODY_NONE, BODY_JSON, BODY_RAW };

/* method, path ({} takes one segment), who, body, handler, status of success of a job */
static const struct route {
    enum http_method method;
    const char *path;
    enum access access;
    enum body body;
    void (*handle)(struct call *c);
} routes[] = {
    {HTTP_GET, "/webhooks/whatsapp", ACCESS_OPEN, BODY_NONE, webhook_challenge},
    {HTTP_POST, "/webhooks/whatsapp", ACCESS_OPEN, BODY_RAW, webhook_receive},
    {HTTP_GET, "/api/v1/conversations", ACCESS_TENANT, BODY_NONE, conversations_list},
    {HTTP_GET, "/api/v1/conversations/{}", ACCESS_TENANT, BODY_NONE, conversation_get},
    {HTTP_GET, "/api/v1/conversations/{}/messages", ACCESS_TENANT, BODY_NONE, messages_list},
    {HTTP_POST, "/api/v1/conversations/{}/messages", ACCESS_TENANT, BODY_JSON, message_post},
    {HTTP_PATCH, "/api/v1/conversations/{}", ACCESS_TENANT, BODY_JSON, conversation_patch},
    {HTTP_POST, "/api/v1/conversations/{}/read", ACCESS_TENANT, BODY_NONE, conversation_read_post},
    {HTTP_POST, "/api/v1/conversations/{}/correlate", ACCESS_TENANT, BODY_JSON, conversation_correlate},
    {HTTP_POST, "/api/v1/dashboard/stats/refresh", ACCESS_TENANT, BODY_NONE, stats_refresh},
    {HTTP_GET, "/api/v1/dashboard/stats", ACCESS_TENANT, BODY_NONE, stats_get},
    {HTTP_POST, "/api/v1/events", ACCESS_SERVICE, BODY_JSON, events_post},
    {HTTP_GET, "/api/v1/events", ACCESS_TENANT, BODY_NONE, events_list},
    {HTTP_PUT, "/api/v1/admin/channels/{}", ACCESS_ADMIN, BODY_JSON, channel_put},
    {HTTP_GET, "/api/v1/admin/channels/{}", ACCESS_ADMIN, BODY_NONE, channel_get},
    {HTTP_DELETE, "/api/v1/admin/channels/{}", ACCESS_ADMIN, BODY_NONE, channel_delete},
    {HTTP_PUT, "/api/v1/admin/tenants/{}", ACCESS_ADMIN, BODY_JSON, tenant_put},
    {HTTP_GET, "/api/v1/admin/tenants/{}", ACCESS_ADMIN, BODY_NONE, tenant_get},
    {HTTP_POST, "/api/v1/admin/revocations", ACCESS_ADMIN, BODY_JSON, revocation_post},
    {HTTP_GET, "/healthz", ACCESS_OPEN, BODY_NONE, health_alive},
    {HTTP_GET, "/readyz", ACCESS_OPEN, BODY_NONE, health_ready},
    {HTTP_GET, "/metrics", ACCESS_OPEN, BODY_NONE, health_metrics},
};

static const char *const role_for[] = {[ACCESS_OPEN] = NULL,
                                       [ACCESS_TENANT] = NULL,
                                       [ACCESS_SERVICE] = "service",
                                       [ACCESS_ADMIN] = "platform-admin"};

static const char *const method_names[] = {
    [HTTP_GET] = "GET",     [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",
    [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "",
};

/* --- answers ---------------------------------------------------------------------------------------------
 */

static int status_of(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return 200;
    case ERR_MALFORMED:
        return 400;
    case ERR_UNAUTHENTICATED:
        return 401;
    case ERR_DENIED:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_CONFLICT:
        return 409;
    case ERR_TOO_LARGE:
        return 413;
    case ERR_INVALID:
        return 422;
    case ERR_LIMITED:
        return 429;
    case ERR_TIMEOUT:
    case ERR_UNAVAILABLE:
        return 503;
    case ERR_INTERNAL:
        return 500;
    }
    return 500;
}

static size_t cors_headers(const char *origin, struct reply_header *out)
{
    if (!*origin)
        return 0;
    out[0] = (struct reply_header){"Access-Control-Allow-Origin", origin};
    out[1] = (struct reply_header){"Access-Control-Allow-Credentials", "true"};
    out[2] = (struct reply_header){"Access-Control-Expose-Headers", "ETag, Retry-After"};
    out[3] = (struct reply_header){"Vary", "Origin"};
    return 4;
}

/* The caller's origin if it is on the list, else "". */
static void read_origin(const struct api *api, const struct request *r, char out[static ORIGIN_SIZE])
{
    struct view origin = request_header(r, "origin");
    if (!origin_allowed(api->settings->allowed_origins, origin) || !view_copy(origin, out, ORIGIN_SIZE))
        out[0] = 0;
}

bool api_origin_may_read(void *ctx, const struct request *r)
{
    const struct api *api = ctx;
    return origin_allowed(api->settings->allowed_origins, request_header(r, "origin"));
}

static bool has_header(const struct reply_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(headers[i].name, name))
            return true;
    return false;
}

/* What says nothing else about being kept is kept by nobody. */
static void send_reply(struct api *api, uint64_t request_id, const char *origin, int status, const char *type,
                       struct view body, const struct reply_header *more, size_t more_count)
{
    struct reply_header headers[HEADERS_MAX];
    size_t n = cors_headers(origin, headers);
    for (size_t i = 0; i < more_count && n < HEADERS_MAX - 1; i++)
        headers[n++] = more[i];
    if (!has_header(more, more_count, "Cache-Control"))
        headers[n++] = (struct reply_header){"Cache-Control", "no-store"};
    struct reply reply = {.status = status,
                          .content_type = type,
                          .body = body,
                          .headers = headers,
                          .header_count = n,
                          .close = api->draining};
    server_reply(api->server, request_id, &reply);
}

static void send_error(struct api *api, uint64_t request_id, const char *origin, int status, const char *code,
                       const char *message, const struct reply_header *more, size_t more_count)
{
    struct buf body;
    struct json_writer w;
    struct reply_header headers[2];
    buf_init(&body, 4096);
    jw_init(&w, &body);
    jw_begin(&w, '{');
    jw_key(&w, "error");
    jw_begin(&w, '{');
    jw_key_text(&w, "code", code);
    jw_key_text(&w, "message", message);
    jw_key_raw(&w, "details", VIEW("{}"));
    jw_end(&w, '}');
    jw_end(&w, '}');
    for (size_t i = 0; i < more_count; i++)
        headers[i] = more[i];
    if (status == 503 || status == 429)
        headers[more_count++] = (struct reply_header){"Retry-After", "1"};
    if (status == 401)
        headers[more_count++] = (struct reply_header){"WWW-Authenticate", "Bearer"};
    send_reply(api, request_id, origin, status, "application/json", buf_view(&body), headers, more_count);
    buf_free(&body);
}

static void fail_with(struct call *c, int status, const char *code, const char *message,
                      const struct reply_header *header)
{
    char origin[ORIGIN_SIZE];
    read_origin(c->api, c->request, origin);
    send_error(c->api, c->request->id, origin, status, code, message, header, header != NULL);
}

void api_fail(struct call *c, const struct err *err)
{
    fail_with(c, status_of(err->code), err_code_name(err->code), err->text, NULL);
}

void api_answer(struct call *c, int status, const char *content_type, struct view body)
{
    char origin[ORIGIN_SIZE];
    read_origin(c->api, c->request, origin);
    send_reply(c->api, c->request->id, origin, status, content_type, body, NULL, 0);
}

/* Whether the token was revoked only the store knows: the worker asks. NULL: a call without one. */
static struct caller *caller_of(const struct claims *claims)
{
    if (!*claims->tenant_id)
        return NULL;
    struct caller *caller = xcalloc(1, sizeof *caller);
    memcpy(caller->tenant_id, claims->tenant_id, sizeof caller->tenant_id);
    memcpy(caller->sub, claims->sub, sizeof caller->sub);
    memcpy(caller->jti, claims->jti, sizeof caller->jti);
    caller->issued_at_s = claims->issued_at_s;
    return caller;
}

void api_submit(struct call *c, struct job *job, struct view lane)
{
    struct err err;
    bool is_webhook = job->type == JOB_WEBHOOK;
    read_origin(c->api, c->request, job->origin);
    job->caller = caller_of(&c->claims);
    job->spent_us = clock_thread_us() - c->started_us;
    if (jobs_submit(c->api->jobs, job, lane, &err))
        return;
    if (is_webhook) /* who posts for many is not to be told that he is one */
        err.code = ERR_UNAVAILABLE;
    api_fail(c, &err);
}

void api_tag(struct call *c, struct job *job)
{
    struct view known = request_header(c->request, "if-none-match");
    job->wants_tag = true;
    job->if_none_match = known.n ? xstrndup(known.p, known.n) : NULL;
}

bool api_query(struct call *c, const char *name, char *out, size_t size, struct err *err)
{
    char whole[QUERY_MAX]; /* a head is no larger: what is there fits */
    if (!request_query(c->request, name, whole, sizeof whole))
        whole[0] = 0;
    struct view value = view_of(whole);
    if (!view_is_utf8(value))
        return err_set(err, ERR_INVALID, "%s is not UTF-8", name);
    return view_copy(value, out, size) || err_set(err, ERR_INVALID, "%s is over %zu bytes", name, size - 1);
}

bool api_read_limit(struct call *c, size_t fallback, size_t most, size_t *out, struct err *err)
{
    char text[32];
    uint64_t limit = fallback;
    if (!api_query(c, "limit", text, sizeof text, err))
        return false;
    if (*text && (!view_u64(view_of(text), most, &limit) || !limit))
        return err_set(err, ERR_INVALID, "limit must be a number from 1 to %zu", most);
    *out = (size_t)limit;
    return true;
}

bool api_take_key(struct call *c, struct job *job)
{
    struct err err;
    struct view key = request_header(c->request, "idempotency-key");
    if (!key.n)
        return true;
    bool printable = view_copy(key, job->idempotency_key, sizeof job->idempotency_key);
    for (size_t i = 0; i < key.n; i++)
        printable = printable && key.p[i] > 0x20 && key.p[i] < 0x7f;
    if (printable)
        return true;
    err_set(&err, ERR_MALFORMED, "an Idempotency-Key has 1 to %d visible ASCII characters",
            IDEMPOTENCY_KEY_MAX);
    api_fail(c, &err);
    return false;
}

/* The answer, or word that the caller has it already. */
static void send_tagged(struct api *api, struct job *job)
{
    char etag[CONTENT_TAG_SIZE + 2];
    int n = snprintf(etag, sizeof etag, "\"%s\"", job->tag);
    const struct reply_header more[] = {
        {"ETag", etag}, {"Cache-Control", "private, no-cache"}, {"Vary", "Authorization"}};
    bool known = etag_is_listed(view_of(job->if_none_match), (struct view){etag + 1, (size_t)n - 2});
    send_reply(api, job->request_id, job->origin, known ? 304 : 200, known ? NULL : "application/json",
               known ? (struct view){"", 0} : buf_view(&job->reply), more, countof(more));
}

void api_on_done(void *ctx, struct job *job)
{
    struct api *api = ctx;
    if (job->reply.overflow && !job->err.code)
        err_set(&job->err, ERR_TOO_LARGE, "the answer is too large: ask for fewer items");
    job_hide_error(job);
    if (job->err.code)
        send_error(api, job->request_id, job->origin, status_of(job->err.code), err_code_name(job->err.code),
                   job->err.text, NULL, 0);
    else if (*job->tag)
        send_tagged(api, job);
    else
        send_reply(api, job->request_id, job->origin, job->status ? job->status : 200,
                   job->reply.len ? "application/json" : NULL, buf_view(&job->reply), NULL, 0);
    job_destroy(job);
}

void api_on_late(void *ctx, uint64_t request_id, const char *origin)
{
    send_error(ctx, request_id, origin, 503, "TIMEOUT", "the store has not answered in time", NULL, 0);
}

void api_on_gone(void *ctx, uint64_t request_id)
{
    struct api *api = ctx;
    jobs_forget(api->jobs, request_id);
}

/* --- the way of a request --------------------------------------------------------------------------------
 */

/* The route; otherwise NULL, and `allow` lists the methods that the path knows (empty: no such path). */
static const struct route *find_route(struct call *c, struct buf *allow)
{
    enum http_method method = c->request->method == HTTP_HEAD ? HTTP_GET : c->request->method;
    for (size_t i = 0; i < countof(routes); i++) {
        struct view param = {"", 0};
        if (!path_fits(routes[i].path, c->request->path, &param))
            continue;
        if (routes[i].method == method) {
            c->param = param;
            return &routes[i];
        }
        buf_addf(allow, "%s%s", allow->len ? ", " : "", method_names[routes[i].method]);
    }
    return NULL;
}

static bool authenticate(struct call *c, enum access access, struct err *err)
{
    struct view header = request_header(c->request, "authorization");
    if (access == ACCESS_OPEN)
        return true;
    if (header.n < 7 || !view_is_nocase((struct view){header.p, 7}, "bearer "))
        return err_set(err, ERR_UNAUTHENTICATED, "an Authorization header with a bearer token is needed");
    struct view token = view_trim((struct view){header.p + 7, header.n - 7});
    if (!token_verify(c->api->rules, token, clock_wall_ms(), &c->claims, err))
        return false;
    if (role_for[access] && !claims_have_role(&c->claims, role_for[access]))
        return err_set(err, ERR_DENIED, "the role %s is needed", role_for[access]);
    return true;
}

static bool check_body(struct call *c, enum body kind, struct err *err, int *status)
{
    struct view type = request_header(c->request, "content-type"), media;
    if (kind != BODY_JSON)
        return true;
    if (!view_split(&type, ';', &media) || !view_is_nocase(view_trim(media), "application/json")) {
        *status = 415;
        return err_set(err, ERR_INVALID, "the body must be application/json");
    }
    if (c->request->body.n > (size_t)c->api->settings->max_body_bytes)
        return err_set(err, ERR_TOO_LARGE, "the body is over %lld bytes",
                       (long long)c->api->settings->max_body_bytes);
    return json_check(c->request->body, JSON_STRICT, &c->body, err);
}

/* CORS preflight (Fetch standard); answered before anything else is looked at. */
static void preflight(struct call *c)
{
    char origin[ORIGIN_SIZE], wanted[512];
    read_origin(c->api, c->request, origin);
    if (!view_copy(request_header(c->request, "access-control-request-headers"), wanted, sizeof wanted))
        wanted[0] = 0;
    struct reply_header more[] = {{"Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE"},
                                  {"Access-Control-Max-Age", "600"},
                                  {"Access-Control-Allow-Headers", wanted}};
    send_reply(c->api, c->request->id, origin, 204, NULL, (struct view){"", 0}, more, *wanted ? 3 : 2);
}

static void refuse_path(struct call *c, struct buf *allow)
{
    struct reply_header header = {"Allow", allow->data};
    if (allow->len)
        fail_with(c, 405, "METHOD_NOT_ALLOWED", "this path does not know the method", &header);
    else
        fail_with(c, 404, "NOT_FOUND", "no such path", NULL);
}

/* The route of a call; NULL: there is none, and `allow` says what the path knows instead. */
static const struct route *find_any_route(struct call *c, struct buf *allow)
{
    static const struct route of_profile = {.access = ACCESS_TENANT,
                                            .body = BODY_JSON,
                                            .handle = resource_call},
                              of_profile_without_body = {.access = ACCESS_TENANT, .handle = resource_call};
    const struct route *route = find_route(c, allow);
    if (!route)
        c->operation = resources_route(c, allow);
    if (!c->operation)
        return route;
    return resources_want_body(c) ? &of_profile : &of_profile_without_body;
}

void api_on_request(void *ctx, const struct request *r)
{
    struct call c = {.api = ctx, .request = r, .started_us = clock_thread_us()};
    struct err err = {0};
    struct buf allow;
    int status = 0;
    buf_init(&allow, 128);
    const struct route *route = r->method == HTTP_OPTIONS ? NULL : find_any_route(&c, &allow);
    if (r->method == HTTP_OPTIONS)
        preflight(&c);
    else if (!route)
        refuse_path(&c, &allow);
    else if (!authenticate(&c, route->access, &err) || !check_body(&c, route->body, &err, &status))
        fail_with(&c, status ? status : status_of(err.code),
                  status == 415 ? "UNSUPPORTED_MEDIA_TYPE" : err_code_name(err.code), err.text, NULL);
    else
        route->handle(&c);
    claims_release(&c.claims);
    buf_free(&allow);
}
