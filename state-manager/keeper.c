#include "state-manager/keeper.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "state-manager/core/figures.h"
#include "state-manager/meters.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SESSION_DAYS = 8, /* a gateway recovers nobody older than 7 days: until then his rooms are known */
    STEP_GAP_MS = 20, /* between two steps, at the least */
    STEP_REST = 4,    /* times as long as the step took: most of the time is the callers' */
    STEP_ROWS = 100,
    STEP_TENANTS = 16,
    STEP_DELIVERIES = 50,
    DIGEST_SIZE = 32,
    QUARTER_MS = 900000 /* midnights of all zones fall on quarters of an hour */
};

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)

/* By what things are old. A clock that jumps ahead would have everything dropped at once, for good: it is
 * believed when it has stood there for a day. Backwards it is followed, that drops nothing. */
struct calendar {
    bool begun, ahead;
    int64_t wall_ms, mono_ms; /* believed, and when */
    int64_t ahead_since_ms;   /* monotonic */
};

/* A walk in steps that starts now and then. */
struct round {
    int64_t at_ms; /* monotonic: the next step */
    bool running;
};

/* What is dropped by age alone. */
struct age {
    enum doc_kind kind; /* DOC_KIND_COUNT: the quarantine */
    int64_t keep_ms;
};

enum { AGES = 6 };

struct keeper {
    struct store *store;
    struct keeper_options options;
    struct age ages[AGES];
    void (*give)(void *ctx, struct job *job);
    void *ctx;

    struct calendar calendar;
    struct round sweep;
    size_t age;                        /* the one in work; AGES: the tenants */
    char tenant_id[TENANT_ID_MAX + 1]; /* looked at last */
    int64_t quarter;                   /* of an hour, that the last sweep has seen */
    bool midnight;                     /* this sweep looks for figures of yesterday */
    size_t dropped;
    struct map raw_due; /* tenants that may have more raw documents than when they were last counted */
    bool raw_known;     /* the others were counted since the start */

    struct round delivery;
    char channel_id[CHANNEL_ID_SIZE]; /* looked at last */
    char delivered[STEP_DELIVERIES][DIGEST_SIZE];
    size_t delivered_count;
};

struct keeper *keeper_create(struct store *store, const struct keeper_options *options,
                             void (*give)(void *ctx, struct job *job), void *ctx)
{
    struct keeper *k = xcalloc(1, sizeof *k);
    *k = (struct keeper){
        .store = store,
        .options = *options,
        .ages = {{DOC_RAW, options->raw_days * DAY_MS},
                 {DOC_PARKED, options->raw_days * DAY_MS},
                 {DOC_REPLY, options->reply_hours * HOUR_MS},
                 {DOC_SESSION,
                  (options->log_days > SESSION_DAYS ? options->log_days : SESSION_DAYS) * DAY_MS},
                 {DOC_REVOCATION, options->revocation_days * DAY_MS},
                 {DOC_KIND_COUNT, options->quarantine_days * DAY_MS}},
        .give = give,
        .ctx = ctx};
    map_init(&k->raw_due);
    return k;
}

void keeper_destroy(struct keeper *k)
{
    if (k)
        map_free(&k->raw_due);
    free(k);
}

static void pause_round(struct keeper *k, struct round *round, int64_t now_mono_ms)
{
    round->running = false;
    round->at_ms = now_mono_ms + k->options.every_s * 1000;
}

static void follow(struct calendar *c, int64_t wall_ms, int64_t mono_ms)
{
    int64_t expected_ms = c->wall_ms + (mono_ms - c->mono_ms);
    bool ahead = c->begun && wall_ms - expected_ms > CLOCK_STEP_MAX_MS;
    if (ahead && !c->ahead) {
        c->ahead_since_ms = mono_ms;
        log_warn("clock_jumped", "seconds=%" PRId64, (wall_ms - expected_ms) / 1000);
    }
    c->begun = true;
    c->ahead = ahead && mono_ms - c->ahead_since_ms < DAY_MS;
    c->wall_ms = c->ahead ? expected_ms : wall_ms;
    c->mono_ms = mono_ms;
}

/* --- the sweep: retention, and the new day ---------------------------------------------------------------
 */

static bool sweep_age(struct keeper *k, int64_t now, struct err *err)
{
    const struct age *age = &k->ages[k->age];
    size_t removed = 0;
    bool ok = age->kind == DOC_KIND_COUNT
                  ? k->store->ops->quarantine_expire(k->store, now - age->keep_ms, STEP_ROWS, &removed, err)
                  : k->store->ops->expire(k->store, age->kind, now - age->keep_ms, STEP_ROWS, &removed, err);
    k->dropped += removed;
    count(METER_DOCUMENTS_DROPPED, (int64_t)removed);
    if (removed < STEP_ROWS)
        k->age++;
    return ok;
}

struct tenant_page {
    struct {
        char id[TENANT_ID_MAX + 1];
        struct head head;
    } rows[STEP_TENANTS];
    size_t count;
};

static bool on_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    struct tenant_page *page = ctx;
    memcpy(page->rows[page->count].id, tenant_id, strlen(tenant_id) + 1);
    page->rows[page->count++].head = *head;
    return page->count < STEP_TENANTS;
}

static bool trim(struct keeper *k, const char *tenant_id, const struct head *head, bool *more,
                 struct err *err)
{
    uint64_t keep = (uint64_t)k->options.log_events;
    struct trim trim = {.tenant_id = tenant_id,
                        .before_wall_ms = k->calendar.wall_ms - k->options.log_days * DAY_MS,
                        .before_seq = head->seq > keep ? head->seq - keep + 1 : 0,
                        .limit = STEP_ROWS};
    size_t removed;
    if (!k->store->ops->trim_log(k->store, &trim, &removed, err))
        return false;
    *more = removed == STEP_ROWS;
    k->dropped += removed;
    count(METER_ENTRIES_DROPPED, (int64_t)removed);
    return true;
}

void keeper_saw(struct keeper *k, const struct entry *entry)
{
    for (size_t i = 0; i < entry->change_count; i++)
        if (entry->changes[i].kind == DOC_RAW && k->options.raw_count)
            map_put(&k->raw_due, view_of(entry->tenant_id), k);
}

/* Counting costs round trips, or a walk of an index: only where there may be more than the last time. What
 * another state-manager wrote is its own business, or that of the next one to start. */
static bool trim_raw(struct keeper *k, const char *tenant_id, bool *more, struct err *err)
{
    size_t removed;
    if (!k->options.raw_count || (k->raw_known && !map_get(&k->raw_due, view_of(tenant_id))))
        return true;
    if (!k->store->ops->keep_newest(k->store, tenant_id, DOC_RAW, (size_t)k->options.raw_count, STEP_ROWS,
                                    &removed, err))
        return false;
    *more = removed == STEP_ROWS;
    if (removed) /* not the end: fewer than asked for are also those that another keeper left of the same */
        map_put(&k->raw_due, view_of(tenant_id), k);
    else
        map_remove(&k->raw_due, view_of(tenant_id));
    k->dropped += removed;
    count(METER_DOCUMENTS_DROPPED, (int64_t)removed);
    return true;
}

/* A day that has ended is announced by the same command that an agent's refresh is. */
static bool begin_day(struct keeper *k, const char *tenant_id, int64_t now, struct err *err)
{
    struct buf doc;
    struct figures figures;
    bool found;
    buf_init(&doc, DOC_MAX);
    bool ok = k->store->ops->get(k->store, tenant_id, DOC_FIGURES, VIEW("all"), &doc, &found, err);
    figures_read(buf_view(&doc), &figures);
    if (ok && figures_is_stale(&figures, now)) {
        struct job *job = job_create(JOB_COMMAND, 0);
        job->command = COMMAND_REFRESH;
        memcpy(job->tenant_id, tenant_id, strlen(tenant_id) + 1);
        k->give(k->ctx, job);
    }
    buf_free(&doc);
    return ok;
}

static bool sweep_tenant(struct keeper *k, const char *tenant_id, const struct head *head, int64_t now,
                         bool *more, struct err *err)
{
    return trim(k, tenant_id, head, more, err) && (*more || trim_raw(k, tenant_id, more, err)) &&
           (*more || !k->midnight || begin_day(k, tenant_id, now, err));
}

/* Some tenants, as many as can be finished with; the next step goes on behind the last of them. */
static bool sweep_tenants(struct keeper *k, int64_t now, bool *end, struct err *err)
{
    struct tenant_page page = {.count = 0};
    bool more = false;
    if (!k->store->ops->tenants(k->store, view_of(k->tenant_id), STEP_TENANTS, on_tenant, &page, err))
        return false;
    for (size_t i = 0; i < page.count && !more; i++) {
        if (!sweep_tenant(k, page.rows[i].id, &page.rows[i].head, now, &more, err))
            return false;
        if (!more)
            memcpy(k->tenant_id, page.rows[i].id, sizeof k->tenant_id);
    }
    *end = page.count < STEP_TENANTS && !more;
    return true;
}

static bool sweep_step(struct keeper *k, int64_t now, int64_t mono, struct err *err)
{
    bool end = false;
    if (!k->sweep.running) {
        k->sweep.running = true;
        k->age = k->dropped = 0;
        k->tenant_id[0] = 0;
        k->midnight = now / QUARTER_MS != k->quarter;
        k->quarter = now / QUARTER_MS;
    }
    k->sweep.at_ms = mono + STEP_GAP_MS;
    bool ok = k->age < AGES ? sweep_age(k, k->calendar.wall_ms, err) : sweep_tenants(k, now, &end, err);
    if (!ok)
        k->quarter = 0; /* looked for again by the next sweep */
    k->raw_known |= end;
    if (end && k->dropped)
        log_info("retention", "dropped=%zu", k->dropped);
    if (!ok || end)
        pause_round(k, &k->sweep, mono);
    return ok;
}

/* --- what waited for an owner ----------------------------------------------------------------------------
 */

void keeper_deliver(struct keeper *k)
{
    k->delivery = (struct round){0};
}

/* Whether the job found an owner tells what becomes of the body: nobody's stays where it is. */
static void on_settled(void *ctx, struct job *job)
{
    struct keeper *k = ctx;
    if (!job->err.code && *job->tenant_id)
        memcpy(k->delivered[k->delivered_count++], job->id, DIGEST_SIZE);
    job_destroy(job);
}

static bool on_waiting(void *ctx, const char *digest, const struct quarantined *row)
{
    struct keeper *k = ctx;
    struct job *job = job_create(JOB_WEBHOOK, 0);
    job->on_settled = on_settled;
    job->settled_ctx = k;
    job->body = xstrndup(row->bytes.p, row->bytes.n);
    job->body_n = row->bytes.n;
    if (!view_copy(view_of(digest), job->id, DIGEST_SIZE))
        job->id[0] = 0;
    k->give(k->ctx, job);
    return true;
}

/* What the last step gave out and what was committed of it. */
static bool drop_delivered(struct keeper *k, struct err *err)
{
    const char *digests[STEP_DELIVERIES];
    size_t n = k->delivered_count;
    if (!n)
        return true;
    for (size_t i = 0; i < n; i++)
        digests[i] = k->delivered[i];
    k->delivered_count = 0;
    count(METER_DELIVERED_LATE, (int64_t)n);
    log_info("quarantine_delivered", "channel=%s messages=%zu", k->channel_id, n);
    return k->store->ops->quarantine_drop(k->store, digests, n, err);
}

static bool delivery_step(struct keeper *k, int64_t mono, struct err *err)
{
    char next[CHANNEL_ID_SIZE];
    struct channel channel;
    bool found, owned = false, again = k->delivered_count > 0;
    if (!k->delivery.running) {
        k->delivery.running = true;
        k->channel_id[0] = 0;
    }
    k->delivery.at_ms = mono + STEP_GAP_MS;
    if (!drop_delivered(k, err))
        return false;
    if (again) /* there may be more for the same */
        return k->store->ops->waiting(k->store, view_of(k->channel_id), STEP_DELIVERIES, on_waiting, k, err);
    if (!k->store->ops->waiting_channel(k->store, view_of(k->channel_id), next, &found, err) ||
        (found && !k->store->ops->channel_get(k->store, view_of(next), &channel, &owned, err)))
        return false;
    if (!found)
        pause_round(k, &k->delivery, mono);
    else
        memcpy(k->channel_id, next, sizeof next);
    return !owned || k->store->ops->waiting(k->store, view_of(next), STEP_DELIVERIES, on_waiting, k, err);
}

/* --- steps -----------------------------------------------------------------------------------------------
 */

/* After a step that took long; rows may be large, and disks slow. */
static void rest(struct round *round, int64_t took_ms)
{
    int64_t more = took_ms * (1 + STEP_REST) - STEP_GAP_MS;
    if (more > 0)
        round->at_ms += more;
}

bool keeper_step(struct keeper *k, int64_t now_wall_ms, int64_t now_mono_ms, struct err *err)
{
    bool ok = true;
    int64_t started = clock_mono_ms();
    follow(&k->calendar, now_wall_ms, now_mono_ms);
    if (k->delivery.at_ms <= now_mono_ms) {
        ok = delivery_step(k, now_mono_ms, err);
        if (!ok)
            pause_round(k, &k->delivery, now_mono_ms);
        rest(&k->delivery, clock_mono_ms() - started);
    } else if (k->sweep.at_ms <= now_mono_ms) {
        ok = sweep_step(k, now_wall_ms, now_mono_ms, err);
        rest(&k->sweep, clock_mono_ms() - started);
    }
    return ok;
}

int keeper_wait_ms(const struct keeper *k, int64_t now_mono_ms, int most)
{
    int64_t at = k->sweep.at_ms < k->delivery.at_ms ? k->sweep.at_ms : k->delivery.at_ms;
    if (at <= now_mono_ms)
        return 0;
    return at - now_mono_ms < most ? (int)(at - now_mono_ms) : most;
}
