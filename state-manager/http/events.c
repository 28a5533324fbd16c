/* Events that other backends publish, for their own tenant. */
#include "shared/mem.h"
#include "state-manager/http/handlers.h"
#include <string.h>

void events_post(struct call *c)
{
    struct job *job = job_create(JOB_COMMAND, c->request->id);
    memcpy(job->tenant_id, c->claims.tenant_id, sizeof job->tenant_id);
    job->command = COMMAND_EVENTS;
    job->status = 202;
    job->body = xstrndup(c->body.p, c->body.n);
    job->body_n = c->body.n;
    memcpy(job->author, c->claims.sub, sizeof job->author);
    if (api_take_key(c, job))
        api_submit(c, job, view_of(job->tenant_id));
    else
        job_destroy(job);
}
