#include "state-manager/outbox/lanes.h"
#include "shared/clock.h"
#include "shared/mem.h"
#include <stdio.h>
#include <stdlib.h>

enum { MARK_EVERY_MS = 200, LOOK_EVERY_MS = 50, IDLE_MS = 60000, RETRY_FIRST_MS = 200, RETRY_MOST_MS = 5000 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void lanes_init(struct lanes *l)
{
    *l = (struct lanes){0};
    map_init(&l->by_tenant);
    list_init(&l->due);
    list_init(&l->announced);
}

void lanes_finish(struct lanes *l)
{
    void *lane;
    for (size_t at = 0; map_next(&l->by_tenant, &at, NULL, &lane);)
        free(lane);
    map_free(&l->by_tenant);
}

struct lane *lanes_get(struct lanes *l, struct store *store, const char *tenant_id, struct err *err)
{
    struct lane *lane = map_get(&l->by_tenant, view_of(tenant_id));
    if (lane)
        return lane;
    struct head head;
    if (!store->ops->head(store, tenant_id, &head, err))
        return NULL;
    lane = xcalloc(1, sizeof *lane);
    snprintf(lane->tenant_id, sizeof lane->tenant_id, "%s", tenant_id);
    list_init(&lane->node);
    list_init(&lane->announced);
    lane->window = LANE_WINDOW;
    lane->hash = map_hash(view_of(tenant_id));
    lane->sent = lane->confirmed = lane->marked = head.published;
    lane->figures_sent = lane->figures_confirmed = lane->figures_marked = head.figures_published;
    lane->used_at_ms = clock_mono_ms();
    backoff_init(&lane->backoff, RETRY_FIRST_MS, RETRY_MOST_MS);
    map_put(&l->by_tenant, view_of(tenant_id), lane);
    return lane;
}

void lane_set_window(struct lane *lane, bool others_are_there)
{
    lane->window = !others_are_there ? LANE_WINDOW : lane->part ? LANE_WINDOW_OF_PARTS : LANE_WINDOW_SHARED;
}

bool lane_is_full(struct lane *lane)
{
    size_t most = lane->is_full ? lane->window / 2 + 1 : lane->window;
    lane->is_full = lane->in_flight >= most;
    return lane->is_full;
}

void lanes_make_due(struct lanes *l, struct lane *lane)
{
    lane->more = true;
    if (list_empty(&lane->node))
        list_append(&l->due, &lane->node);
}

bool lane_may_announce(const struct lane *lane)
{
    return lane->figures_dirty && list_empty(&lane->announced);
}

void lanes_settle(struct lanes *l, struct lane *lane, int64_t now_ms)
{
    if (lane->figures_at_ms == now_ms && list_empty(&lane->announced))
        list_append(&l->announced, &lane->announced);
    if (!lane->more && !lane_may_announce(lane))
        list_unlink(&lane->node);
}

void lanes_take_waiting(struct lanes *l, int64_t now_ms)
{
    list_foreach(node, &l->announced)
    {
        struct lane *lane = container_of(node, struct lane, announced);
        if (now_ms - lane->figures_at_ms < FIGURES_EVERY_MS)
            return;
        list_unlink(node);
        if (lane->figures_dirty && list_empty(&lane->node))
            list_append(&l->due, &lane->node);
    }
}

int64_t lanes_wait_ms(struct lanes *l, int64_t now_ms, int64_t most)
{
    int64_t wait = most;
    if (!list_empty(&l->announced)) {
        const struct lane *next = container_of(l->announced.next, struct lane, announced);
        wait = least(wait, next->figures_at_ms + FIGURES_EVERY_MS - now_ms);
    }
    list_foreach(node, &l->due)
    {
        struct lane *lane = container_of(node, struct lane, node);
        if (!lane_is_full(lane))
            wait = least(wait, lane->retry_at_ms - now_ms);
    }
    return wait > 0 ? wait : 0;
}

static void start_over(struct lanes *l, struct lane *lane)
{
    lane->sent = lane->confirmed;
    lane->part = lane->in_flight = 0;
    lane->figures_sent = lane->figures_confirmed;
    lane->figures_dirty = true;
    lane->figures_at_ms = 0;
    list_unlink(&lane->announced);
    lanes_make_due(l, lane);
}

void lanes_confirm(struct lane *lane, uint64_t entry)
{
    lane->confirmed = entry;
    lane->refused = false;
    backoff_reset(&lane->backoff);
}

void lanes_refuse(struct lanes *l, struct lane *lane, int64_t now_ms)
{
    start_over(l, lane);
    lane->refused = true;
    lane->retry_at_ms = now_ms + backoff_next_ms(&lane->backoff);
}

void lanes_start_over(struct lanes *l)
{
    void *lane;
    for (size_t at = 0; map_next(&l->by_tenant, &at, NULL, &lane);)
        start_over(l, lane);
}

static bool is_marked(const struct lane *lane)
{
    return lane->confirmed == lane->marked && lane->figures_confirmed == lane->figures_marked;
}

void lanes_send_marks(struct lanes *l, struct jobs *jobs, int64_t now_ms)
{
    void *value;
    if (now_ms - l->marks_at_ms < LOOK_EVERY_MS)
        return;
    l->marks_at_ms = now_ms;
    for (size_t at = 0; map_next(&l->by_tenant, &at, NULL, &value);) {
        struct lane *lane = value;
        if (is_marked(lane) || now_ms - lane->marked_at_ms < MARK_EVERY_MS)
            continue;
        struct job *job = job_create(JOB_MARK, 0);
        snprintf(job->tenant_id, sizeof job->tenant_id, "%s", lane->tenant_id);
        job->mark = (struct mark){NULL, lane->confirmed, lane->figures_confirmed};
        if (!mailbox_push(jobs_writes(jobs), map_hash(view_of(lane->tenant_id)), &job->letter)) {
            job_destroy(job);
            return;
        }
        lane->marked = lane->confirmed;
        lane->figures_marked = lane->figures_confirmed;
        lane->marked_at_ms = now_ms;
    }
}

void lanes_drop_idle(struct lanes *l, int64_t now_ms)
{
    struct view key;
    void *value;
    for (size_t at = 0; map_next(&l->by_tenant, &at, &key, &value);) {
        struct lane *lane = value;
        bool settled =
            is_marked(lane) && lane->sent == lane->marked && lane->figures_sent == lane->figures_marked;
        if (!settled || !list_empty(&lane->node) || !list_empty(&lane->announced) ||
            now_ms - lane->used_at_ms < IDLE_MS)
            continue;
        map_remove(&l->by_tenant, key);
        free(lane);
        at = 0; /* the map has changed */
    }
}
