/* Tokens that are good no longer: for platform administrators. Who calls with one is refused by the workers.
 */
#include "shared/event.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/http/handlers.h"
#include <string.h>

void revocation_post(struct call *c)
{
    struct err err;
    struct job *job = job_create(JOB_COMMAND, c->request->id);
    if (!json_copy_string(json_get(c->body, "tenantId"), job->tenant_id, sizeof job->tenant_id) ||
        !tenant_id_valid(view_of(job->tenant_id))) {
        err_set(&err, ERR_INVALID, "tenantId must be 1 to %d of letters, digits, '_' and '-'", TENANT_ID_MAX);
        api_fail(c, &err);
        job_destroy(job);
        return;
    }
    memcpy(job->author, c->claims.sub, sizeof job->author);
    job->command = COMMAND_REVOKE;
    job->status = 202;
    job->body = xstrndup(c->body.p, c->body.n);
    job->body_n = c->body.n;
    api_submit(c, job, view_of(job->tenant_id));
}
