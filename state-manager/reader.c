#include "state-manager/reader.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/cursor.h"
#include "state-manager/core/figures.h"
#include "state-manager/core/model.h"
#include "state-manager/core/search.h"
#include "state-manager/core/tenant.h"
#include "state-manager/meters.h"
#include "state-manager/revocations.h"
#include <stdlib.h>
#include <string.h>

enum {
    WAIT_MS = 200,
    TURN_MAX = 64,
    CATCH_UP_BYTES = 4 << 20,
    /* What one call may look through for a search, which the store has no order for; others wait behind it.
     */
    LOOK_ROWS_MAX = PAGE_ROWS_MAX - 1, /* and one more, to know whether there is more */
    LOOK_BYTES_MAX = 2 << 20
};

struct reader {
    struct store *store;
    struct jobs *jobs;
    struct revocations revocations;
};

struct reader *reader_create(struct store *store, struct jobs *jobs)
{
    struct reader *r = xcalloc(1, sizeof *r);
    *r = (struct reader){.store = store, .jobs = jobs};
    revocations_init(&r->revocations, store);
    return r;
}

void reader_destroy(struct reader *r)
{
    if (!r)
        return;
    revocations_finish(&r->revocations);
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

/* A page being written. One row more than asked for is read: it tells whether there is a next page. */
struct listing {
    struct json_writer w;
    size_t left;           /* rows to be written */
    size_t look_rows;      /* rows to be looked at */
    size_t bytes;          /* of those looked at */
    struct search *search; /* NULL: none */
    int64_t rank, ord;     /* of the last row looked at */
    bool more;
};

static bool is_wanted(const struct listing *l, struct view doc)
{
    struct conversation c;
    return !l->search || (conversation_read(doc, &c) && search_finds(l->search, &c));
}

static bool on_row(void *ctx, const struct listed *row)
{
    struct listing *l = ctx;
    l->more = !l->left || !l->look_rows || l->bytes > LOOK_BYTES_MAX;
    if (l->more)
        return false;
    l->look_rows--;
    l->rank = row->rank;
    l->ord = row->ord;
    if (l->search)
        l->bytes += row->doc.n;
    if (is_wanted(l, row->doc)) {
        l->left--;
        jw_raw(&l->w, row->doc);
    }
    return true;
}

/* With a search, rows are looked through up to a bound: a page may then hold fewer items than asked for, none
 * even, although there are more; the cursor goes on behind what was looked at. */
static bool list_docs(struct reader *r, struct job *job, enum doc_kind kind, struct search *search)
{
    struct listing l = {.left = job->page.limit, .look_rows = job->page.limit, .search = search};
    struct page page = job->page;
    char cursor[CURSOR_SIZE];
    if (l.search)
        l.look_rows = LOOK_ROWS_MAX;
    page.limit = l.look_rows + 1;
    jw_init(&l.w, &job->reply);
    jw_begin(&l.w, '{');
    jw_key(&l.w, "items");
    jw_begin(&l.w, '[');
    if (!r->store->ops->list(r->store, job->tenant_id, kind, &page, on_row, &l, &job->err))
        return false;
    jw_end(&l.w, ']');
    cursor_write(l.rank, l.ord, cursor);
    jw_key_text(&l.w, "nextCursor", l.more ? cursor : NULL);
    jw_end(&l.w, '}');
    return true;
}

static bool list_conversations(struct reader *r, struct job *job)
{
    struct search search;
    if (!*job->filter->text)
        return list_docs(r, job, DOC_CONVERSATION, NULL);
    search_init(&search, view_of(job->filter->text));
    bool ok = list_docs(r, job, DOC_CONVERSATION, &search);
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
    return ok && list_docs(r, job, DOC_MESSAGE, NULL);
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

/* Catching up over REST: what the caller's rooms may hear, behind a position. */
struct catch_up {
    struct json_writer w;
    struct view rooms; /* the caller's: JSON array of names */
    const char *epoch;
    uint64_t after, last; /* last: the seq that was looked at last */
    size_t left, bytes;
    bool gap;
};

/* Names are compared decoded: a publisher may have escaped what we did not. */
static bool shares_a_room(struct view theirs, struct view ours)
{
    struct view their, our;
    for (struct json_iter b = json_iter(ours); json_next_element(&b, &our);) {
        char name[EVENT_ROOM_BYTES_MAX + 1];
        bool fits = json_copy_string(our, name, sizeof name);
        for (struct json_iter a = json_iter(theirs); fits && json_next_element(&a, &their);)
            if (json_string_is(their, name))
                return true;
    }
    return false;
}

/* The services' own; what is read of them counts as looked at. */
static bool is_inside(struct view body)
{
    struct view type;
    return json_plain_string(json_get(body, "type"), &type) && event_type_is_inside(type);
}

static void write_event(struct catch_up *u, struct view body, uint64_t seq)
{
    char offset[OFFSET_SIZE];
    struct view rooms = json_get(body, "rooms");
    offset_format(u->epoch, seq, offset);
    jw_begin(&u->w, '{');
    jw_key_raw(&u->w, "event", json_get(body, "type"));
    jw_key_raw(&u->w, "data", json_get(body, "data"));
    jw_key_text(&u->w, "offset", offset);
    if (rooms.n)
        jw_key_raw(&u->w, "rooms", rooms);
    jw_key_raw(&u->w, "at", json_get(body, "at"));
    jw_end(&u->w, '}');
    u->left--;
    u->bytes += body.n;
}

static bool on_log_entry(void *ctx, const struct log_entry *entry)
{
    struct catch_up *u = ctx;
    struct view body;
    int64_t seq;
    for (struct json_iter it = json_iter(entry->events); json_next_element(&it, &body);) {
        if (!json_i64(json_get(body, "seq"), &seq) || (uint64_t)seq <= u->last)
            continue;
        if (!u->left || u->bytes > CATCH_UP_BYTES)
            return false;
        u->gap |= u->last == u->after && (uint64_t)seq != u->after + 1;
        u->last = (uint64_t)seq;
        struct view rooms = json_get(body, "rooms");
        if (!is_inside(body) && (!rooms.n || shares_a_room(rooms, u->rooms)))
            write_event(u, body, (uint64_t)seq);
    }
    return true;
}

static bool list_events(struct reader *r, struct job *job)
{
    struct head head;
    char next[OFFSET_SIZE], end[OFFSET_SIZE];
    if (!r->store->ops->head(r->store, job->tenant_id, &head, &job->err))
        return false;
    bool known =
        !job->after.given || !strcmp(job->after.epoch, head.epoch) || (!*job->after.epoch && !job->after.seq);
    struct catch_up u = {.rooms = {job->body, job->body_n},
                         .epoch = head.epoch,
                         .after = job->after.seq,
                         .last = job->after.seq,
                         .left = job->page.limit};
    jw_init(&u.w, &job->reply);
    jw_begin(&u.w, '{');
    jw_key(&u.w, "items");
    jw_begin(&u.w, '[');
    if (known && !r->store->ops->read_log(r->store, job->tenant_id, LOG_BY_SEQ, u.after, false, on_log_entry,
                                          &u, &job->err))
        return false;
    jw_end(&u.w, ']');
    offset_format(head.epoch, head.seq, end);
    offset_format(head.epoch, u.last, next);
    bool missing = (u.gap && job->after.given) || (u.last == u.after && u.after != head.seq);
    jw_key_text(&u.w, "next", known && !missing ? next : end);
    jw_key_text(&u.w, "head", end);
    jw_key_bool(&u.w, "complete", known && !missing);
    jw_end(&u.w, '}');
    return true;
}

static bool (*const answers[])(struct reader *r, struct job *job) = {
    [JOB_GET_CHANNEL] = get_channel,           [JOB_GET_TENANT] = get_tenant,
    [JOB_GET_CONVERSATION] = get_conversation, [JOB_LIST_CONVERSATIONS] = list_conversations,
    [JOB_LIST_MESSAGES] = list_messages,       [JOB_GET_STATS] = get_stats,
    [JOB_LIST_EVENTS] = list_events,
};

static void answer(struct reader *r, struct job *job)
{
    bool ok = revocations_admit(&r->revocations, job->caller, &job->err) && answers[job->type](r, job);
    if (!ok && (job->err.code == ERR_UNAVAILABLE || job->err.code == ERR_INTERNAL))
        count(METER_STORE_ERRORS, 1);
    if (ok && job->wants_tag && !job->reply.overflow)
        crypto_name_id("", buf_view(&job->reply), job->tag);
    jobs_finish(r->jobs, job);
}

void reader_run(struct worker *worker, void *ctx)
{
    struct reader *r = ctx;
    while (!worker_stopping(worker)) {
        if (!mailbox_wait(jobs_reads(r->jobs), WAIT_MS))
            continue;
        for (struct letter *l = mailbox_drain(jobs_reads(r->jobs), TURN_MAX), *next; l; l = next) {
            next = l->next;
            answer(r, job_of(l));
        }
    }
}
