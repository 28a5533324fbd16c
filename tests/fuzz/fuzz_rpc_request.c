/* Requests of gateways, answered from a throw-away store with one conversation, or taken as commands.
 * Whatever is asked, the answer is JSON that says ok or why not, and a command is a tenant's, by somebody,
 * under a key that fits. The first byte says how many bytes of message id come first. */
#include "shared/json.h"
#include "shared/loop.h"
#include "state-manager/rpc/answers.h"
#include "state-manager/rpc/commands.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/one_conversation.h"
#include <string.h>

static struct jobs *jobs;

static void ignore_job(void *ctx, struct job *job)
{
    (void)ctx;
    job_destroy(job);
}

static void ignore_late(void *ctx, uint64_t request_id, const char *origin)
{
    (void)ctx;
    (void)request_id;
    (void)origin;
}

static struct commands *new_commands(void)
{
    static const struct jobs_options queue = {
        .queue_length = 64, .timeout_ms = 1000, .on_done = ignore_job, .on_late = ignore_late};
    if (!jobs)
        jobs = jobs_create(loop_create(), &queue);
    return commands_create(&(struct commands_options){.jobs = jobs, .under_way_max = 8, .body_max = 16384});
}

static void check_job(const struct job *job)
{
    struct view value;
    MUST(tenant_id_valid(view_of(job->tenant_id)) && *job->author);
    MUST(strlen(job->idempotency_key) <= IDEMPOTENCY_KEY_MAX);
    MUST(job->command == COMMAND_OUTBOUND || job->command == COMMAND_READ || job->command == COMMAND_SESSION);
    MUST(job->command == COMMAND_SESSION || view_is_name(view_of(job->id), sizeof job->id, "_-"));
    MUST(!job->body_n || json_check((struct view){job->body, job->body_n}, JSON_STRICT, &value, NULL));
}

static void submit(struct view request, struct view message_id)
{
    struct err err = {0};
    struct commands *c = new_commands();
    const struct broker_message delivery = {
        .message_id = message_id, .reply_to = VIEW("queue"), .correlation_id = message_id, .delivery_tag = 1};
    if (commands_submit(c, request, &delivery, 1, &err)) {
        struct letter *l = mailbox_drain(jobs_writes(jobs), 1);
        MUST(l);
        check_job(job_of(l));
        job_destroy(job_of(l));
    } else {
        MUST(err.code == ERR_INVALID || err.code == ERR_NOT_FOUND || err.code == ERR_TOO_LARGE);
        MUST(view_is_utf8(view_of(err.text)));
    }
    commands_destroy(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data + (size > 0), size - (size > 0)), request, value;
    size_t n = size ? data[0] % 32 : 0;
    struct view message_id = {text.p, n < text.n ? n : text.n};
    struct buf answer;
    text.p += message_id.n;
    text.n -= message_id.n;
    if (!size || !json_check(text, JSON_STRICT, &request, NULL))
        return 0;
    if (commands_is_one(request)) {
        submit(request, message_id);
        return 0;
    }
    buf_init(&answer, ANSWER_MAX);
    rpc_answer(&(struct answering){.store = one_conversation(), .now_wall_ms = STORE_NOW_MS}, request,
               &answer);
    MUST(json_check(buf_view(&answer), JSON_STRICT, &value, NULL));
    MUST(json_is_true(json_get(value, "ok")) || json_type(json_path(value, "error.code")) == JSON_STRING);
    buf_free(&answer);
    return 0;
}
