/* Conversations, their messages, and the dashboard's figures. */
#include "shared/mem.h"
#include "state-manager/core/cursor.h"
#include "state-manager/core/model.h"
#include "state-manager/core/search.h"
#include "state-manager/http/handlers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 200 };

/* A job for the caller's tenant; false: the {id} of the path is no id at all, so there is no such thing. */
static struct job *tenant_job(struct call *c, enum job_type type)
{
    struct job *job = job_create(type, c->request->id);
    memcpy(job->tenant_id, c->claims.tenant_id, sizeof job->tenant_id);
    memcpy(job->author, c->claims.sub, sizeof job->author);
    if (!c->param.n ||
        (view_is_name(c->param, sizeof job->id - 1, "_-") && view_copy(c->param, job->id, sizeof job->id)))
        return job;
    job_destroy(job);
    struct err err;
    err_set(&err, ERR_NOT_FOUND, "no such conversation");
    api_fail(c, &err);
    return NULL;
}

static void submit(struct call *c, struct job *job)
{
    api_submit(c, job, view_of(c->claims.tenant_id));
}

/* For lists and single things, which are read again and again. */
static void submit_read(struct call *c, struct job *job)
{
    api_tag(c, job);
    submit(c, job);
}

/* What is given as status of the list -> where conversations are filed. */
static const struct {
    const char *name;
    const char *states[PAGE_STATES_MAX];
} statuses[] = {
    {"open", {CONVERSATION_WAITING, CONVERSATION_ANSWERED}},
    {"waiting", {CONVERSATION_WAITING}},
    {"closed", {CONVERSATION_CLOSED}},
};

static bool read_status(struct call *c, struct page *page, struct err *err)
{
    char name[32];
    if (!api_query(c, "status", name, sizeof name, err))
        return false;
    for (size_t i = 0; *name && i < countof(statuses); i++)
        if (!strcmp(statuses[i].name, name)) {
            for (size_t k = 0; k < PAGE_STATES_MAX; k++)
                page->states[k] = view_of(statuses[i].states[k]);
            return true;
        }
    return !*name || err_set(err, ERR_INVALID, "status must be open, waiting or closed");
}

/* The list of an assignee, or with `none` of nobody; "" when any will do. */
static bool read_owner(struct call *c, char out[static FILTER_OWNER_SIZE], struct err *err)
{
    char name[FILTER_OWNER_SIZE - 1];
    out[0] = 0;
    if (!api_query(c, "assignee", name, sizeof name, err))
        return false;
    if (!strcmp(name, "none"))
        snprintf(out, FILTER_OWNER_SIZE, "%s", CONVERSATION_NOBODY);
    else if (*name)
        snprintf(out, FILTER_OWNER_SIZE, "%s%s", CONVERSATION_OWNER, name);
    return true;
}

static bool read_filter(struct call *c, struct job *job, struct err *err)
{
    struct list_filter *filter = job->filter = xcalloc(1, sizeof *filter);
    if (!read_status(c, &job->page, err) || !read_owner(c, filter->owner, err) ||
        !api_query(c, "q", filter->text, sizeof filter->text, err))
        return false;
    job->page.owner = view_of(filter->owner);
    return search_valid(view_of(filter->text)) ||
           err_set(err, ERR_INVALID, "q is over %d characters", SEARCH_CHARS_MAX);
}

void conversations_list(struct call *c)
{
    struct job *job = tenant_job(c, JOB_LIST_CONVERSATIONS);
    struct err err = {0};
    char cursor[64];
    if (!job)
        return;
    bool ok = api_read_limit(c, LIMIT_DEFAULT, LIMIT_MAX, &job->page.limit, &err) &&
              read_filter(c, job, &err) && api_query(c, "cursor", cursor, sizeof cursor, &err);
    if (ok && *cursor && !cursor_read(view_of(cursor), &job->page))
        ok = err_set(&err, ERR_INVALID, "cursor is not one that was given out");
    if (ok) {
        submit_read(c, job);
    } else {
        api_fail(c, &err);
        job_destroy(job);
    }
}

void conversation_get(struct call *c)
{
    struct job *job = tenant_job(c, JOB_GET_CONVERSATION);
    if (job)
        submit_read(c, job);
}

void messages_list(struct call *c)
{
    struct job *job = tenant_job(c, JOB_LIST_MESSAGES);
    struct err err = {0};
    char before[64];
    if (!job)
        return;
    bool ok = api_read_limit(c, LIMIT_DEFAULT, LIMIT_MAX, &job->page.limit, &err) &&
              api_query(c, "before", before, sizeof before, &err);
    if (ok && *before && !cursor_read(view_of(before), &job->page)) {
        job->body = xstrdup(before); /* a message's id; the reader looks it up */
        job->page.parent = view_of(job->body);
    }
    if (ok) {
        submit_read(c, job);
    } else {
        api_fail(c, &err);
        job_destroy(job);
    }
}

/* A command about the conversation of the path, with the body of the call. */
static void submit_command(struct call *c, enum command_type type, int status)
{
    struct job *job = tenant_job(c, JOB_COMMAND);
    if (!job)
        return;
    job->command = type;
    job->status = status;
    job->body = xstrndup(c->body.p, c->body.n);
    job->body_n = c->body.n;
    if (api_take_key(c, job))
        submit(c, job);
    else
        job_destroy(job);
}

void message_post(struct call *c)
{
    submit_command(c, COMMAND_OUTBOUND, 202);
}

void conversation_patch(struct call *c)
{
    submit_command(c, COMMAND_PATCH, 200);
}

void conversation_read_post(struct call *c)
{
    submit_command(c, COMMAND_READ, 200);
}

void conversation_correlate(struct call *c)
{
    submit_command(c, COMMAND_CORRELATE, 200);
}

void stats_refresh(struct call *c)
{
    submit_command(c, COMMAND_REFRESH, 200);
}

void stats_get(struct call *c)
{
    struct job *job = tenant_job(c, JOB_GET_STATS);
    if (job)
        submit(c, job);
}
