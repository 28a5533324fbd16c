/* Settings of a tenant, for platform administrators. Every id that keeps the rule is a tenant. */
#include "shared/event.h"
#include "shared/mem.h"
#include "state-manager/http/handlers.h"

static struct job *tenant_job(struct call *c, enum job_type type)
{
    struct err err;
    struct job *job = job_create(type, c->request->id);
    if (tenant_id_valid(c->param) && view_copy(c->param, job->tenant_id, sizeof job->tenant_id))
        return job;
    job_destroy(job);
    err_set(&err, ERR_INVALID, "a tenant id has 1 to %d of letters, digits, '_' and '-'", TENANT_ID_MAX);
    api_fail(c, &err);
    return NULL;
}

void tenant_put(struct call *c)
{
    struct job *job = tenant_job(c, JOB_COMMAND);
    if (!job)
        return;
    job->command = COMMAND_TENANT;
    job->body = xstrndup(c->body.p, c->body.n);
    job->body_n = c->body.n;
    api_submit(c, job, c->param);
}

void tenant_get(struct call *c)
{
    struct job *job = tenant_job(c, JOB_GET_TENANT);
    if (job)
        api_submit(c, job, c->param);
}
