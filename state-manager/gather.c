/* How jobs become tasks: whose they are, what is in them, and what needs no entry of the log. */
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/committer_parts.h"
#include "state-manager/core/whatsapp.h"
#include <stdlib.h>
#include <string.h>

static struct slot *slot_of(struct committer *c, struct view tenant_id)
{
    return container_of(turns_party(&c->turns, tenant_id), struct slot, party);
}

/* Whose time it takes: the tenant that a webhook's number belongs to, whoever calls, or whom it is about. */
static struct view party_of(struct committer *c, const struct job *job)
{
    struct err err;
    if (job->type == JOB_WEBHOOK) {
        const char *owner =
            owners_find(&c->owners, whatsapp_peek_channel((struct view){job->body, job->body_n}), &err);
        return view_of(owner ? owner : "");
    }
    return view_of(job->caller ? job->caller->tenant_id : job->tenant_id);
}

void gather_add(struct committer *c, struct job *job)
{
    turns_add(&c->turns, turns_party(&c->turns, party_of(c, job)), &job->letter, clock_mono_us());
}

/* What is settled makes room before the list grows. */
static void make_room(struct slot *s)
{
    if (s->done > s->cap / 2) {
        memmove(s->tasks, s->tasks + s->done, (s->count - s->done) * sizeof *s->tasks);
        s->count -= s->done;
        s->decided -= s->done;
        s->done = 0;
        return;
    }
    s->cap = s->cap ? s->cap * 2 : 8;
    s->tasks = xrealloc(s->tasks, s->cap * sizeof *s->tasks);
}

static void add_task(struct committer *c, const char *tenant_id, const struct command *command,
                     struct job *job)
{
    struct slot *s = slot_of(c, view_of(tenant_id));
    if (s->count == s->cap)
        make_room(s);
    s->tasks[s->count++] = (struct task){*command, job};
    job->open_tasks++;
    turns_want(&c->turns, &s->party, clock_mono_us());
}

/* A webhook being taken apart. */
struct unpacking {
    struct committer *c;
    struct job *job;
    int messages, statuses, others;
};

static void on_command(void *ctx, const struct command *command)
{
    struct unpacking *u = ctx;
    struct err err = {0};
    const char *tenant_id = owners_find(&u->c->owners, command->channel_id, &err);
    u->messages += command->type == COMMAND_INBOUND || command->type == COMMAND_ECHO;
    u->statuses += command->type == COMMAND_RECEIPT;
    u->others += command->type == COMMAND_ACCOUNT;
    if (!tenant_id) {
        store_failed(u->c, &err);
        fail_job(u->job, &err);
    } else if (!*tenant_id) {
        aside_add_waiting(&u->c->aside, command);
    } else {
        memcpy(u->job->tenant_id, tenant_id, strlen(tenant_id) + 1);
        add_task(u->c, tenant_id, command, u->job);
    }
}

static void on_quarantine(void *ctx, const char *reason, struct view channel_id, struct view bytes)
{
    struct unpacking *u = ctx;
    aside_add(&u->c->aside, reason, channel_id, bytes);
}

static void unpack_webhook(struct committer *c, struct job *job)
{
    struct unpacking u = {.c = c, .job = job};
    struct whatsapp_sink sink = {on_command, on_quarantine, &u};
    whatsapp_decode((struct view){job->body, job->body_n}, &sink);
    log_debug("webhook_in", "tenant=%s messages=%d statuses=%d others=%d bytes=%zu",
              *job->tenant_id ? job->tenant_id : "-", u.messages, u.statuses, u.others, job->body_n);
}

static void change_channel(struct committer *c, struct job *job)
{
    struct err err = {0};
    bool found = true, put = job->type == JOB_CHANNEL_PUT;
    bool ok = put ? c->store->ops->channel_put(c->store, &job->channel, &err)
                  : c->store->ops->channel_delete(c->store, view_of(job->id), &found, &err);
    if (ok && put) {
        owners_learn(&c->owners, view_of(job->channel.phone_number_id), job->channel.tenant_id);
        if (c->keeper)
            keeper_deliver(c->keeper);
    }
    if (ok && !put)
        owners_learn(&c->owners, view_of(job->id), "");
    if (!ok)
        store_failed(c, &err);
    else if (!found)
        err_set(&err, ERR_NOT_FOUND, "no such channel");
    if (err.code)
        fail_job(job, &err);
}

static void take_mark(struct committer *c, struct job *job)
{
    job->mark.tenant_id = job->tenant_id;
    c->marks[c->mark_count++] = job->mark;
}

void gather_take(struct committer *c, struct job *job)
{
    struct command command;
    struct err err = {0};
    job_command(job, &command);
    if (c->open_count == c->open_cap) {
        c->open_cap = c->open_cap ? c->open_cap * 2 : 64;
        c->open = xrealloc(c->open, c->open_cap * sizeof(struct job *));
    }
    c->open[c->open_count++] = job;
    if (job_is_late(job)) {
        err_set(&err, ERR_UNAVAILABLE, "not done in time");
        fail_job(job, &err);
    } else if (!revocations_admit(&c->revocations, job->caller, &err)) {
        if (err.code != ERR_UNAUTHENTICATED)
            store_failed(c, &err);
        fail_job(job, &err);
    } else if (job->type == JOB_WEBHOOK)
        unpack_webhook(c, job);
    else if (job->type == JOB_COMMAND)
        add_task(c, job->tenant_id, &command, job);
    else if (job->type == JOB_MARK)
        take_mark(c, job);
    else
        change_channel(c, job);
}
