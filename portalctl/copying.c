#include "portalctl/copying.h"
#include "portalctl/restore_mark.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/store/changes.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_ROWS = 500,
    PAGE_BYTES = 1 << 20, /* one row may go over it */
    PAGES_PER_LOOK = 20,  /* at the log */
    DIGEST_SIZE = 64,
    REASON_SIZE = 64
};

/* Rows are gathered first and written when the store's statement is closed: a slow disk or pipe must not keep
 * a read open. */
struct gathered {
    struct buf text; /* what the rows hold, one behind the other */
    size_t count;
    struct {
        size_t end, changes;
    } rows[PAGE_ROWS];
};

/* A quarantined body; its bytes are in the page. */
struct waiting {
    bool found;
    char digest[DIGEST_SIZE], reason[REASON_SIZE], channel_id[CHANNEL_ID_SIZE];
    int64_t at_wall_ms;
};

struct copy {
    struct store *store;
    struct backup_writer *to;
    const struct copy_hooks *hooks;
    struct gathered page;
    /* of the tenant being copied */
    char tenant_id[TENANT_ID_MAX + 1];
    struct head head; /* entries up to here are in the copy */
    uint64_t last_n;  /* of the entries gathered */
    bool gap;         /* an entry is missing */
    char after[DOC_KEY_MAX + 1];
    size_t after_n;
    struct waiting waiting;
};

static bool add_row(struct gathered *p, size_t changes)
{
    p->rows[p->count].end = p->text.len;
    p->rows[p->count++].changes = changes;
    return p->count < PAGE_ROWS && p->text.len < PAGE_BYTES;
}

static bool put_page(struct copy *c, struct err *err)
{
    struct gathered *p = &c->page;
    size_t start = 0;
    bool ok = !p->text.overflow || err_set(err, ERR_INTERNAL, "a page over %zu bytes", p->text.max);
    for (size_t i = 0; ok && i < p->count; i++) {
        struct view row = {p->text.data + start, p->rows[i].end - start};
        start = p->rows[i].end;
        ok = !p->rows[i].changes || backup_put_documents(c->to, row, p->rows[i].changes, err);
    }
    buf_clear(&p->text);
    p->count = 0;
    if (ok && c->hooks->is_stopped && c->hooks->is_stopped())
        return err_set(err, ERR_UNAVAILABLE, "interrupted");
    return ok;
}

/* --- the log ---------------------------------------------------------------------------------------------
 */

static size_t count_changes(struct view changes)
{
    size_t count = 0;
    struct view one;
    for (struct json_iter it = json_iter(changes); json_next_element(&it, &one);)
        count++;
    return count;
}

static bool on_entry(void *ctx, const struct log_entry *entry)
{
    struct copy *c = ctx;
    c->gap = entry->n != c->last_n + 1;
    if (c->gap || entry->n > c->head.n)
        return false;
    c->last_n = entry->n;
    buf_add_view(&c->page.text, entry->changes);
    return add_row(&c->page, count_changes(entry->changes));
}

/* Entries up to a head that is read first: on a store without transactions, whoever reads a head finds the
 * documents of all entries up to it written, so that the pages that follow are not older than these. */
static bool catch_up(struct copy *c, struct err *err)
{
    struct head now;
    if (!c->store->ops->head(c->store, c->tenant_id, &now, err))
        return false;
    if (strcmp(now.epoch, c->head.epoch) != 0)
        return err_set(err, ERR_CONFLICT, "tenant %s was restored while it was copied", c->tenant_id);
    c->last_n = c->head.n;
    c->head = now;
    while (c->last_n < now.n) {
        uint64_t before = c->last_n;
        if (!c->store->ops->read_log(c->store, c->tenant_id, LOG_BY_ENTRY, before, true, on_entry, c, err))
            return false;
        if (c->gap || c->last_n == before)
            return err_set(err, ERR_UNAVAILABLE,
                           "the log of tenant %s was trimmed while it was copied (entry %" PRIu64
                           " is gone): try again, or keep more of it",
                           c->tenant_id, c->last_n + 1);
        if (!put_page(c, err))
            return false;
    }
    return true;
}

/* --- documents -------------------------------------------------------------------------------------------
 */

static bool on_document(void *ctx, const struct change *change)
{
    struct copy *c = ctx;
    changes_write(change, 1, &c->page.text);
    c->after_n = change->key.n;
    memcpy(c->after, change->key.p, c->after_n);
    return add_row(&c->page, 1);
}

static bool copy_kind(struct copy *c, enum doc_kind kind, struct err *err)
{
    c->after_n = 0;
    for (int pages = 1;; pages++) {
        struct view after = {c->after, c->after_n};
        if (!c->store->ops->scan(c->store, c->tenant_id, kind, after, PAGE_ROWS, on_document, c, err))
            return false;
        if (!c->page.count)
            return true;
        if (!put_page(c, err) || (pages % PAGES_PER_LOOK == 0 && !catch_up(c, err)))
            return false;
    }
}

static bool copy_tenant(struct copy *c, const char *tenant_id, struct err *err)
{
    struct restore_mark mark;
    snprintf(c->tenant_id, sizeof c->tenant_id, "%s", tenant_id);
    if (!c->store->ops->head(c->store, tenant_id, &c->head, err) ||
        !restore_mark_read(c->store, tenant_id, &mark, err))
        return false;
    if (mark.unfinished)
        return err_set(err, ERR_CONFLICT, "tenant %s is restored in part only: finish that first", tenant_id);
    if (!backup_put_tenant(c->to, tenant_id, err))
        return false;
    for (int kind = 0; kind < DOC_KIND_COUNT; kind++)
        if (!copy_kind(c, (enum doc_kind)kind, err))
            return false;
    if (!catch_up(c, err) || !backup_put_head(c->to, tenant_id, &c->head, err))
        return false;
    if (c->hooks->tenant_done)
        c->hooks->tenant_done(c->hooks->ctx, tenant_id, &c->head, backup_documents(c->to));
    return true;
}

/* --- walks over the store --------------------------------------------------------------------------------
 */

struct names {
    size_t count;
    char items[PAGE_ROWS][TENANT_ID_MAX + 1];
};

static bool on_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    struct names *names = ctx;
    (void)head;
    snprintf(names->items[names->count++], TENANT_ID_MAX + 1, "%s", tenant_id);
    return names->count < PAGE_ROWS;
}

static bool copy_tenants(struct copy *c, struct err *err)
{
    struct names *names = xcalloc(1, sizeof *names);
    char last[TENANT_ID_MAX + 1] = "";
    bool ok, more = true;
    do {
        names->count = 0;
        ok = c->store->ops->tenants(c->store, view_of(last), PAGE_ROWS, on_tenant, names, err);
        for (size_t i = 0; ok && i < names->count; i++)
            ok = copy_tenant(c, names->items[i], err);
        more = names->count > 0;
        if (more)
            memcpy(last, names->items[names->count - 1], sizeof last);
    } while (ok && more);
    free(names);
    return ok;
}

/* One at a time: a body may be megabytes. */
static bool on_quarantined(void *ctx, const char *digest, const struct quarantined *row)
{
    struct copy *c = ctx;
    struct waiting *w = &c->waiting;
    w->found = true;
    w->at_wall_ms = row->at_wall_ms;
    snprintf(w->digest, sizeof w->digest, "%s", digest);
    snprintf(w->reason, sizeof w->reason, "%s", row->reason);
    snprintf(w->channel_id, sizeof w->channel_id, "%.*s", VIEW_ARG(row->channel_id));
    buf_add_view(&c->page.text, row->bytes);
    return false;
}

static bool copy_quarantine(struct copy *c, struct err *err)
{
    struct waiting *w = &c->waiting;
    for (;;) {
        w->found = false;
        if (!c->store->ops->quarantine_scan(c->store, view_of(w->digest), 1, on_quarantined, c, err))
            return false;
        if (!w->found)
            return true;
        struct quarantined row = {.reason = w->reason,
                                  .channel_id = view_of(w->channel_id),
                                  .bytes = buf_view(&c->page.text),
                                  .at_wall_ms = w->at_wall_ms};
        bool ok = backup_put_quarantined(c->to, &row, err);
        buf_clear(&c->page.text);
        if (!ok)
            return false;
    }
}

struct channel_page {
    size_t count;
    struct channel items[PAGE_ROWS];
};

static bool on_channel(void *ctx, const struct channel *channel)
{
    struct channel_page *page = ctx;
    page->items[page->count++] = *channel;
    return page->count < PAGE_ROWS;
}

static bool copy_channels(struct copy *c, struct err *err)
{
    struct channel_page *page = xcalloc(1, sizeof *page);
    char last[CHANNEL_ID_SIZE] = "";
    bool ok, more = true;
    do {
        page->count = 0;
        ok = c->store->ops->channels(c->store, view_of(last), PAGE_ROWS, on_channel, page, err);
        for (size_t i = 0; ok && i < page->count; i++)
            ok = backup_put_channel(c->to, &page->items[i], err);
        more = page->count > 0;
        if (more)
            memcpy(last, page->items[page->count - 1].phone_number_id, sizeof last);
    } while (ok && more);
    free(page);
    return ok;
}

bool copy_store(struct store *from, struct backup_writer *to, const struct copy_hooks *hooks, struct err *err)
{
    struct copy *c = xcalloc(1, sizeof *c);
    c->store = from;
    c->to = to;
    c->hooks = hooks;
    buf_init(&c->page.text, PAGE_BYTES + 2 * (size_t)ENTRY_BYTES_MAX);
    bool ok = copy_quarantine(c, err) && copy_tenants(c, err) && copy_channels(c, err);
    buf_free(&c->page.text);
    free(c);
    return ok;
}
