/* Which tenant owns a phone number: for platform administrators. The access token can be written, never read.
 */
#include "shared/event.h"
#include "shared/json.h"
#include "state-manager/http/handlers.h"
#include <string.h>

static struct job *channel_job(struct call *c, enum job_type type)
{
    struct err err;
    struct job *job = job_create(type, c->request->id);
    if (view_is_name(c->param, CHANNEL_ID_MAX, "_-") && view_copy(c->param, job->id, sizeof job->id) &&
        view_copy(c->param, job->channel.phone_number_id, sizeof job->channel.phone_number_id))
        return job;
    job_destroy(job);
    err_set(&err, ERR_INVALID, "a phone number id has 1 to %d of letters, digits, '_' and '-'",
            CHANNEL_ID_MAX);
    api_fail(c, &err);
    return NULL;
}

/* An optional string of the body; absent and null are "". */
static bool read_optional(struct view body, const char *key, char *out, size_t size, struct err *err)
{
    struct view value = json_get(body, key);
    out[0] = 0;
    if (json_type(value) == JSON_NONE || json_type(value) == JSON_NULL || json_copy_string(value, out, size))
        return true;
    return err_set(err, ERR_INVALID, "%s must be a string of at most %zu bytes", key, size - 1);
}

static bool read_channel(struct view body, struct channel *out, struct err *err)
{
    if (json_type(body) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    if (!json_copy_string(json_get(body, "tenantId"), out->tenant_id, sizeof out->tenant_id) ||
        !tenant_id_valid(view_of(out->tenant_id)))
        return err_set(err, ERR_INVALID, "tenantId must be 1 to %d of letters, digits, '_' and '-'",
                       TENANT_ID_MAX);
    return read_optional(body, "displayPhoneNumber", out->display_phone_number,
                         sizeof out->display_phone_number, err) &&
           read_optional(body, "accessToken", out->access_token, sizeof out->access_token, err);
}

void channel_put(struct call *c)
{
    struct err err;
    struct job *job = channel_job(c, JOB_CHANNEL_PUT);
    if (!job)
        return;
    if (!read_channel(c->body, &job->channel, &err)) {
        api_fail(c, &err);
        job_destroy(job);
        return;
    }
    channel_write(&job->channel, &job->reply);
    api_submit(c, job, c->param);
}

void channel_get(struct call *c)
{
    struct job *job = channel_job(c, JOB_GET_CHANNEL);
    if (!job)
        return;
    api_tag(c, job);
    api_submit(c, job, c->param);
}

void channel_delete(struct call *c)
{
    struct job *job = channel_job(c, JOB_CHANNEL_DELETE);
    if (!job)
        return;
    job->status = 204;
    api_submit(c, job, c->param);
}
