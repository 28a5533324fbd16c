/*
 * The paths of the profiles that are loaded: which operation a call is, whether its caller may, and what
 * becomes a job. What may stand in a body the committer checks (core/fields.h), by the same rules for
 * gateways.
 */
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/cursor.h"
#include "state-manager/core/grant.h"
#include "state-manager/core/search.h"
#include "state-manager/http/handlers.h"
#include <stdlib.h>
#include <string.h>

enum {
    LIMIT_DEFAULT = 50,
    LIMIT_MAX = 200,
    CLAIMS_MAX = 64 << 10,
    FILTERS_MAX = 64 << 10,
    PATH_MAX_BYTES = 64 << 10
};

static const struct {
    enum http_method method;
    enum profile_method known_as;
    const char *name;
} methods[] = {{HTTP_GET, PM_GET, "GET"},
               {HTTP_POST, PM_POST, "POST"},
               {HTTP_PUT, PM_PUT, "PUT"},
               {HTTP_PATCH, PM_PATCH, "PATCH"},
               {HTTP_DELETE, PM_DELETE, "DELETE"}};

/* The server has decoded the path; profiles take it as it is written. */
static struct view written_path(struct view path, struct buf *room)
{
    if (!memchr(path.p, '%', path.n))
        return path;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '%')
            buf_add_text(room, "%25");
        else
            buf_add_char(room, path.p[i]);
    return buf_view(room);
}

const struct operation *resources_route(struct call *c, struct buf *allow)
{
    const struct operation *found = NULL;
    struct buf room;
    unsigned allowed = 0;
    enum http_method method = c->request->method == HTTP_HEAD ? HTTP_GET : c->request->method;
    enum profile_method asked = PM_COUNT;
    for (size_t i = 0; i < countof(methods); i++)
        if (methods[i].method == method)
            asked = methods[i].known_as;
    buf_init(&room, PATH_MAX_BYTES);
    found = profiles_route(c->api->settings->profiles, asked, written_path(c->request->path, &room),
                           &c->params, &allowed);
    buf_free(&room);
    for (size_t i = 0; !found && i < countof(methods); i++)
        if (allowed & 1u << methods[i].known_as)
            buf_addf(allow, "%s%s", allow->len ? ", " : "", methods[i].name);
    return found;
}

static bool is_read(const struct operation *o)
{
    return o->kind == DO_LIST || o->kind == DO_GET || o->kind == DO_AUDIT;
}

/* A call that has nothing to say need not say so in JSON. */
bool resources_want_body(const struct call *c)
{
    const struct operation *o = c->operation;
    return !is_read(o) && (c->request->body.n || o->any_body || o->field_count);
}

static char *write_params(const struct path_params *params)
{
    struct buf text;
    struct json_writer w;
    size_t n;
    buf_init(&text, FILTERS_MAX);
    jw_init(&w, &text);
    jw_begin(&w, '{');
    for (size_t i = 0; i < params->count; i++)
        jw_key_text(&w, params->names[i], params->values[i]);
    jw_end(&w, '}');
    return buf_detach(&text, &n);
}

static struct job *operation_job(struct call *c, enum job_type type)
{
    struct job *job = job_create(type, c->request->id);
    struct buf claims;
    size_t n;
    buf_init(&claims, CLAIMS_MAX);
    claims_write(&c->claims, &claims);
    memcpy(job->tenant_id, c->claims.tenant_id, sizeof job->tenant_id);
    memcpy(job->author, c->claims.sub, sizeof job->author);
    job->operation = c->operation;
    job->status = c->operation->status;
    job->claims = buf_detach(&claims, &n);
    job->params = write_params(&c->params);
    return job;
}

/* --- lists --- */

/* {name: text} of the filters that are given. */
static bool read_filters(struct call *c, struct job *job, struct err *err)
{
    const struct names *filters = &c->operation->filters;
    char text[FILTER_TEXT_SIZE];
    struct json_writer w;
    struct buf given;
    bool ok = true;
    buf_init(&given, FILTERS_MAX);
    jw_init(&w, &given);
    jw_begin(&w, '{');
    for (size_t i = 0; ok && i < filters->count; i++) {
        ok = api_query(c, filters->items[i], text, sizeof text, err);
        if (ok && *text)
            jw_key_text(&w, filters->items[i], text);
    }
    jw_end(&w, '}');
    job->body = buf_detach(&given, &job->body_n);
    return ok;
}

static bool read_search(struct call *c, struct job *job, struct err *err)
{
    if (!c->operation->search.count)
        return true;
    job->filter = xcalloc(1, sizeof *job->filter);
    if (!api_query(c, "q", job->filter->text, sizeof job->filter->text, err))
        return false;
    return search_valid(view_of(job->filter->text)) ||
           err_set(err, ERR_INVALID, "q is over %d characters", SEARCH_CHARS_MAX);
}

static bool read_page(struct call *c, struct job *job, struct err *err)
{
    char cursor[64];
    if (!api_read_limit(c, LIMIT_DEFAULT, LIMIT_MAX, &job->page.limit, err) ||
        !api_query(c, "cursor", cursor, sizeof cursor, err))
        return false;
    return !*cursor || cursor_read(view_of(cursor), &job->page) ||
           err_set(err, ERR_INVALID, "cursor is not one that was given out");
}

static bool read_list(struct call *c, struct job *job, struct err *err)
{
    if (c->operation->kind == DO_GET)
        return true;
    return read_page(c, job, err) && read_search(c, job, err) && read_filters(c, job, err);
}

static void submit_read(struct call *c)
{
    struct job *job = operation_job(c, JOB_RESOURCE);
    struct err err;
    if (read_list(c, job, &err)) {
        api_tag(c, job);
        api_submit(c, job, view_of(c->claims.tenant_id));
    } else {
        api_fail(c, &err);
        job_destroy(job);
    }
}

/* --- writes --- */

static void submit_write(struct call *c)
{
    struct job *job = operation_job(c, JOB_COMMAND);
    job->command = COMMAND_WRITE;
    job->body = xstrndup(c->body.p, c->body.n);
    job->body_n = c->body.n;
    if (api_take_key(c, job))
        api_submit(c, job, view_of(c->claims.tenant_id));
    else
        job_destroy(job);
}

void resource_call(struct call *c)
{
    struct err err;
    enum reach reach;
    struct buf claims;
    buf_init(&claims, CLAIMS_MAX);
    claims_write(&c->claims, &claims);
    bool may = grant_check(c->operation, buf_view(&claims), &reach, &err);
    buf_free(&claims);
    if (!may)
        api_fail(c, &err);
    else if (is_read(c->operation))
        submit_read(c);
    else
        submit_write(c);
}
