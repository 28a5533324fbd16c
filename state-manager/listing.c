#include "state-manager/listing.h"
#include "state-manager/core/cursor.h"

enum {
    /* What one call may look through; others wait behind it. */
    LOOK_ROWS_MAX = PAGE_ROWS_MAX - 1, /* and one more, to know whether there is more */
    LOOK_BYTES_MAX = 2 << 20
};

/* A page being written. One row more than asked for is read: it tells whether there is a next page. */
struct listing {
    const struct listing_rules *rules;
    struct json_writer w;
    size_t left;       /* rows to be written */
    size_t look_rows;  /* rows to be looked at */
    size_t bytes;      /* of those looked at */
    int64_t rank, ord; /* of the last row looked at */
    bool more, failed;
    struct err *err;
};

static bool on_row(void *ctx, const struct listed *row)
{
    struct listing *l = ctx;
    const struct listing_rules *rules = l->rules;
    l->more = !l->left || !l->look_rows || l->bytes > LOOK_BYTES_MAX;
    if (l->more)
        return false;
    l->look_rows--;
    l->rank = row->rank;
    l->ord = row->ord;
    if (rules->wants)
        l->bytes += row->doc.n;
    if (rules->wants && !rules->wants(rules->ctx, row->doc))
        return true;
    l->left--;
    if (!rules->shows)
        jw_raw(&l->w, row->doc);
    else
        l->failed = !rules->shows(rules->ctx, &l->w, row->doc, l->err);
    return !l->failed;
}

bool listing_answer(struct store *store, struct job *job, enum doc_kind kind,
                    const struct listing_rules *rules)
{
    struct listing l = {
        .rules = rules, .left = job->page.limit, .look_rows = job->page.limit, .err = &job->err};
    struct page page = job->page;
    char cursor[CURSOR_SIZE];
    if (rules->wants)
        l.look_rows = LOOK_ROWS_MAX;
    page.limit = l.look_rows + 1;
    jw_init(&l.w, &job->reply);
    jw_begin(&l.w, '{');
    jw_key(&l.w, "items");
    jw_begin(&l.w, '[');
    if (!store->ops->list(store, job->tenant_id, kind, &page, on_row, &l, &job->err) || l.failed)
        return false;
    jw_end(&l.w, ']');
    cursor_write(l.rank, l.ord, cursor);
    jw_key_text(&l.w, "nextCursor", l.more ? cursor : NULL);
    jw_end(&l.w, '}');
    return true;
}
