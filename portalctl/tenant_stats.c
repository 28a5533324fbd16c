#include "portalctl/tenant_stats.h"
#include "portalctl/restore_mark.h"
#include "shared/json.h"
#include "state-manager/core/figures.h"
#include <stdio.h>
#include <string.h>

enum { PAGE_ROWS = 500 };

struct oldest {
    bool found;
    uint64_t n;
    char at[CLOCK_ISO_SIZE];
};

static bool on_oldest(void *ctx, const struct log_entry *entry)
{
    struct oldest *o = ctx;
    struct view body;
    if (!o->found)
        o->n = entry->n;
    o->found = true;
    struct json_iter it = json_iter(entry->events);
    if (json_next_element(&it, &body) && !json_copy_string(json_get(body, "at"), o->at, sizeof o->at))
        o->at[0] = 0;
    return false;
}

static bool on_newest(void *ctx, const struct listed *row)
{
    clock_iso(row->rank, ctx);
    return false;
}

static bool read_figures(struct store *s, const char *tenant_id, int64_t now, struct tenant_stats *out,
                         struct err *err)
{
    struct buf doc;
    struct figures figures;
    bool found;
    buf_init(&doc, DOC_MAX);
    bool ok = s->ops->get(s, tenant_id, DOC_FIGURES, VIEW("all"), &doc, &found, err);
    figures_read(buf_view(&doc), &figures);
    figures_roll(&figures, now);
    out->open = figures.active;
    out->waiting = figures.waiting;
    out->today = figures.messages_today;
    buf_free(&doc);
    return ok;
}

bool tenant_stats_read(struct store *s, const char *tenant_id, const struct head *head, int64_t now_wall_ms,
                       struct tenant_stats *out, struct err *err)
{
    struct oldest oldest = {0};
    struct restore_mark mark;
    struct page newest = {.parent = {"", 0}, .limit = 1};
    *out = (struct tenant_stats){.unpublished = head->n - head->published};
    snprintf(out->tenant_id, sizeof out->tenant_id, "%s", tenant_id);
    offset_format(head->epoch, head->seq, out->offset);
    if (!s->ops->read_log(s, tenant_id, LOG_BY_ENTRY, 0, false, on_oldest, &oldest, err) ||
        !s->ops->list(s, tenant_id, DOC_CONVERSATION, &newest, on_newest, out->active, err) ||
        !read_figures(s, tenant_id, now_wall_ms, out, err) || !restore_mark_read(s, tenant_id, &mark, err))
        return false;
    out->entries = oldest.found ? head->n + 1 - oldest.n : 0;
    memcpy(out->oldest, oldest.at, sizeof out->oldest);
    out->unfinished = mark.unfinished || !oldest.found; /* a log without entries is one that was just begun */
    return true;
}

struct counting {
    uint64_t *waiting, *unreadable, *channels, rows;
    char last[CHANNEL_ID_SIZE]; /* id of a channel, or digest */
};

static bool on_channel(void *ctx, const struct channel *channel)
{
    struct counting *c = ctx;
    snprintf(c->last, sizeof c->last, "%s", channel->phone_number_id);
    c->rows++;
    (*c->channels)++;
    return true;
}

static bool on_quarantined(void *ctx, const char *digest, const struct quarantined *row)
{
    struct counting *c = ctx;
    snprintf(c->last, sizeof c->last, "%s", digest);
    c->rows++;
    (*(strcmp(row->reason, QUARANTINE_NO_TENANT) == 0 ? c->waiting : c->unreadable))++;
    return true;
}

bool store_stats_read(struct store *s, struct store_stats *out, struct err *err)
{
    *out = (struct store_stats){0};
    struct counting c = {.channels = &out->channels, .rows = 1};
    while (c.rows && out->channels < COUNTED_MAX) {
        c.rows = 0;
        if (!s->ops->channels(s, view_of(c.last), PAGE_ROWS, on_channel, &c, err))
            return false;
    }
    c = (struct counting){.waiting = &out->waiting, .unreadable = &out->unreadable, .rows = 1};
    while (c.rows && out->waiting + out->unreadable < COUNTED_MAX) {
        c.rows = 0;
        if (!s->ops->quarantine_scan(s, view_of(c.last), PAGE_ROWS, on_quarantined, &c, err))
            return false;
    }
    return true;
}
