#include "state-manager/reader.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/acquaintances.h"
#include "state-manager/catch_up.h"
#include "state-manager/core/figures.h"
#include "state-manager/core/model.h"
#include "state-manager/core/search.h"
#include "state-manager/core/tenant.h"
#include "state-manager/listing.h"
#include "state-manager/meters.h"
#include "state-manager/resources.h"
#include "state-manager/revocations.h"
#include "state-manager/turns.h"
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 200, LETTERS_MAX = 4096, SLICE_US = 1000 };

struct reader {
    struct store *store;
    struct jobs *jobs;
    struct revocations revocations;
    struct acquaintances people;
    struct turns turns;
};

struct reader *reader_create(struct store *store, struct jobs *jobs)
{
    struct reader *r = xcalloc(1, sizeof *r);
    *r = (struct reader){.store = store, .jobs = jobs};
    revocations_init(&r->revocations, store);
    acquaintances_init(&r->people, store);
    struct turns_options turns = {.crowd = jobs_crowd(jobs),
                                  .share = jobs_share(jobs),
                                  .slice_us = SLICE_US,
                                  .party_bytes = sizeof(struct party)};
    turns_init(&r->turns, &turns);
    return r;
}

void reader_destroy(struct reader *r)
{
    if (!r)
        return;
    turns_finish(&r->turns, job_discard);
    revocations_finish(&r->revocations);
    acquaintances_finish(&r->people);
    store_close(r->store);
    free(r);
}

static bool get_channel(struct reader *r, struct job *job)
{
    bool found;
    if (!r->store->ops->channel_get(r->store, view_of(job->id), &job->channel, &found, &job->err))
        return false;
    if (!found)
        return err_set(&job->err, ERR_NOT_FOUND, "no such channel");
    channel_write(&job->channel, &job->reply);
    return true;
}

/* Appends the document to `out`; NOT_FOUND in the job when there is none. */
static bool get_doc(struct reader *r, struct job *job, enum doc_kind kind, struct view key, const char *what,
                    struct buf *out)
{
    bool found;
    if (!r->store->ops->get(r->store, job->tenant_id, kind, key, out, &found, &job->err))
        return false;
    return found || err_set(&job->err, ERR_NOT_FOUND, "no such %s", what);
}

static bool get_conversation(struct reader *r, struct job *job)
{
    return get_doc(r, job, DOC_CONVERSATION, view_of(job->id), "conversation", &job->reply);
}

static bool finds(void *ctx, struct view doc)
{
    struct conversation c;
    return conversation_read(doc, &c) && search_finds(ctx, &c);
}

static bool list_conversations(struct reader *r, struct job *job)
{
    struct search search;
    struct listing_rules rules = {.wants = *job->filter->text ? finds : NULL, .ctx = &search};
    search_init(&search, view_of(job->filter->text));
    bool ok = listing_answer(r->store, job, DOC_CONVERSATION, &rules);
    search_finish(&search);
    return ok;
}

/* `before` may be a message's id: then the page begins behind that message. */
static bool find_cursor(struct reader *r, struct job *job)
{
    struct buf doc;
    struct message m;
    if (!job->page.parent.n)
        return true;
    buf_init(&doc, DOC_MAX);
    bool ok =
        get_doc(r, job, DOC_MESSAGE, job->page.parent, "message", &doc) &&
        (message_read(buf_view(&doc), &m) || err_set(&job->err, ERR_INTERNAL, "a stored message is damaged"));
    if (ok && strcmp(m.conversation_id, job->id) != 0)
        ok = err_set(&job->err, ERR_NOT_FOUND, "no such message in this conversation");
    if (ok) {
        job->page.has_cursor = true;
        job->page.rank = m.timestamp;
        job->page.ord = m.ord;
    }
    buf_free(&doc);
    return ok;
}

static bool list_messages(struct reader *r, struct job *job)
{
    struct buf conversation;
    buf_init(&conversation, DOC_MAX);
    bool ok = get_doc(r, job, DOC_CONVERSATION, view_of(job->id), "conversation", &conversation) &&
              find_cursor(r, job);
    job->page.parent = view_of(job->id);
    buf_free(&conversation);
    return ok && listing_answer(r->store, job, DOC_MESSAGE, &(struct listing_rules){.wants = NULL});
}

static bool get_figures(struct reader *r, struct job *job, struct figures *out)
{
    struct buf doc;
    bool found;
    buf_init(&doc, DOC_MAX);
    bool ok = r->store->ops->get(r->store, job->tenant_id, DOC_FIGURES, VIEW("all"), &doc, &found, &job->err);
    figures_read(buf_view(&doc), out);
    buf_free(&doc);
    return ok;
}

static bool get_stats(struct reader *r, struct job *job)
{
    struct figures figures;
    if (!get_figures(r, job, &figures))
        return false;
    figures_show(&figures, clock_wall_ms(), &job->reply);
    return true;
}

static bool get_tenant(struct reader *r, struct job *job)
{
    struct figures figures;
    if (!get_figures(r, job, &figures))
        return false;
    tenant_write(job->tenant_id, &figures, &job->reply);
    return true;
}

static bool list_events(struct reader *r, struct job *job)
{
    return catch_up_answer(r->store, job);
}

static bool get_resource(struct reader *r, struct job *job)
{
    return resources_answer(r->store, job);
}

static bool (*const answers[])(struct reader *r, struct job *job) = {
    [JOB_GET_CHANNEL] = get_channel,           [JOB_GET_TENANT] = get_tenant,
    [JOB_GET_CONVERSATION] = get_conversation, [JOB_LIST_CONVERSATIONS] = list_conversations,
    [JOB_LIST_MESSAGES] = list_messages,       [JOB_GET_STATS] = get_stats,
    [JOB_LIST_EVENTS] = list_events,           [JOB_RESOURCE] = get_resource,
};

/* On the committer's thread: the caller is known by now, or cannot be. */
static void on_known(void *ctx, struct job *job)
{
    struct reader *r = ctx;
    job->on_settled = NULL;
    job->type = JOB_RESOURCE;
    job->acquainted = true;
    uint64_t lane = map_hash(view_of(job->tenant_id));
    if (!job->err.code && mailbox_push(jobs_reads(r->jobs), lane, &job->letter))
        return;
    if (!job->err.code)
        err_set(&job->err, ERR_UNAVAILABLE, "too many calls are waiting");
    jobs_finish(r->jobs, job);
}

/* A user who is not among his profile's people yet is put there first: so that whoever looks for him right
 * after finds him. True: it is on its way to the committer, and comes back. */
static bool introduce(struct reader *r, struct job *job)
{
    bool known = true;
    if (job->type != JOB_RESOURCE || !acquaintances_know(&r->people, job, &known, &job->err) || known)
        return false;
    job->type = JOB_COMMAND;
    job->command = COMMAND_KNOW;
    job->on_settled = on_known;
    job->settled_ctx = r;
    uint64_t lane = map_hash(view_of(job->tenant_id));
    if (mailbox_push(jobs_writes(r->jobs), lane, &job->letter))
        return true;
    job->on_settled = NULL;
    return err_set(&job->err, ERR_UNAVAILABLE, "too many calls are waiting");
}

static void answer(struct reader *r, struct job *job)
{
    bool late = job_is_late(job);
    bool ok = late ? err_set(&job->err, ERR_UNAVAILABLE, "not done in time")
                   : revocations_admit(&r->revocations, job->caller, &job->err);
    if (ok && introduce(r, job))
        return;
    ok = ok && !job->err.code && answers[job->type](r, job);
    if (!ok && !late && (job->err.code == ERR_UNAVAILABLE || job->err.code == ERR_INTERNAL))
        count(METER_STORE_ERRORS, 1);
    if (ok && job->wants_tag && !job->reply.overflow)
        crypto_name_id("", buf_view(&job->reply), job->tag);
    jobs_finish(r->jobs, job);
}

static void take_letters(struct reader *r)
{
    int64_t now = clock_mono_us();
    for (struct letter *l = mailbox_drain(jobs_reads(r->jobs), LETTERS_MAX), *next; l; l = next) {
        const struct job *job = job_of(l);
        next = l->next;
        const char *who = job->caller ? job->caller->tenant_id : job->tenant_id;
        turns_add(&r->turns, turns_party(&r->turns, view_of(who)), l, now);
    }
}

/* One call of whose turn it is; false: nobody's. */
static bool answer_next(struct reader *r)
{
    struct party *p = turns_next(&r->turns, NULL, clock_mono_us());
    if (!p)
        return false;
    int64_t started = clock_thread_us();
    struct job *job = job_of(turns_take(p));
    int64_t beside = job->spent_us + JOB_BESIDE_US;
    answer(r, job);
    turns_charge(&r->turns, p, clock_thread_us() - started, beside, clock_mono_us());
    return true;
}

void reader_run(struct worker *worker, void *ctx)
{
    struct reader *r = ctx;
    while (!worker_stopping(worker)) {
        take_letters(r);
        if (!answer_next(r))
            mailbox_wait(jobs_reads(r->jobs), turns_wait_ms(&r->turns, clock_mono_us(), WAIT_MS));
    }
}
