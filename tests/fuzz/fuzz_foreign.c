/* Bodies of other producers on the intake queue. The first byte: whether it is a redelivery, and how many
 * bytes of message id come first. What is taken is a call of a tenant, under a key; what is not can be said
 * in a dead letter. */
#include "shared/event.h"
#include "shared/json.h"
#include "state-manager/intake/foreign.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static void check_job(const struct job *job)
{
    struct view call, value;
    MUST(tenant_id_valid(view_of(job->tenant_id)) && job->command == COMMAND_EVENTS);
    MUST(*job->idempotency_key && strlen(job->idempotency_key) <= IDEMPOTENCY_KEY_MAX);
    MUST(view_is_utf8(view_of(job->idempotency_key)));
    call = (struct view){job->body, job->body_n};
    MUST(json_check(call, JSON_STRICT, &value, NULL) && json_type(value) == JSON_OBJECT);
    MUST(json_type(json_get(value, "tenantId")) == JSON_NONE);
}

static void check_dead_letter(struct view body, const char *reason)
{
    struct view value;
    struct buf out;
    buf_init(&out, body.n * 6 + 1024);
    foreign_dead_letter(body, reason, "queue", 1795269600000, &out);
    MUST(!out.overflow && json_check(buf_view(&out), JSON_STRICT, &value, NULL));
    bool is_text = json_type(json_get(value, "body")) == JSON_STRING;
    MUST(is_text != (json_type(json_get(value, "bodyBase64url")) == JSON_STRING));
    MUST(is_text == view_is_utf8(body));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct view body = fuzz_input(data + 1, size - 1);
    size_t n = data[0] >> 1;
    struct view message_id = {body.p, n < body.n ? n : body.n};
    struct err err = {0};
    struct job *job = job_create(JOB_COMMAND, 0);
    body.p += message_id.n;
    body.n -= message_id.n;
    enum foreign_kind kind = foreign_read(body, message_id, data[0] & 1, job, &err);
    if (kind == FOREIGN_EVENT)
        check_job(job);
    if (kind == FOREIGN_POISON)
        check_dead_letter(body, err.text);
    MUST(kind != FOREIGN_POISON || err.code == ERR_MALFORMED || err.code == ERR_INVALID);
    job_destroy(job);
    return 0;
}
