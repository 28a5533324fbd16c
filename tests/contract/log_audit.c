#include "tests/contract/log_audit.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/figures.h"
#include "state-manager/core/model.h"
#include "state-manager/store/changes.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDENTITY_MAX = 512, SCAN_PAGE = 50 };

/* A document as the changes of the log make it; all owned. */
struct audited {
    struct buf doc;
    char *parent, *state, *owner;
    int64_t rank, ord;
    bool seen; /* among the stored ones */
};

static void free_audited(struct audited *d)
{
    buf_free(&d->doc);
    free(d->parent);
    free(d->state);
    free(d->owner);
    free(d);
}

static struct view name_of(enum doc_kind kind, struct view key, char room[static IDENTITY_MAX])
{
    int n = snprintf(room, IDENTITY_MAX, "%d|%.*s", (int)kind, VIEW_ARG(key));
    return (struct view){room, (size_t)n};
}

static void count_one(struct audit *a, const char *identity)
{
    size_t *count = map_get(&a->counts, view_of(identity));
    if (!count) {
        count = xcalloc(1, sizeof *count);
        map_put(&a->counts, view_of(identity), count);
    }
    ++*count;
}

size_t audit_count(const struct audit *a, const char *identity)
{
    const size_t *count = map_get(&a->counts, view_of(identity));
    return count ? *count : 0;
}

struct view audit_doc(const struct audit *a, enum doc_kind kind, const char *key)
{
    char room[IDENTITY_MAX];
    const struct audited *d = map_get(&a->docs, name_of(kind, view_of(key), room));
    return d ? buf_view(&d->doc) : (struct view){NULL, 0};
}

/* --- the log ---------------------------------------------------------------------------------------------
 */

static void apply(struct audit *a, const struct change *c)
{
    char room[IDENTITY_MAX];
    struct audited *d = xcalloc(1, sizeof *d);
    buf_init(&d->doc, DOC_MAX);
    buf_add_view(&d->doc, c->doc);
    d->parent = xstrndup(c->place.parent.p, c->place.parent.n);
    d->state = xstrndup(c->place.state.p, c->place.state.n);
    d->owner = xstrndup(c->place.owner.p, c->place.owner.n);
    d->rank = c->place.rank;
    d->ord = c->place.ord;
    struct audited *before = map_put(&a->docs, name_of(c->kind, c->key, room), d);
    if (before)
        free_audited(before);
}

/* type, what tells its events from each other: none of them may be in the log twice */
static const struct {
    const char *type, *name, *more;
} identities[] = {
    {"new_message", "messageId", NULL},
    {"status_update", "id", "status"},
    {"conversation_update", "id", "version"},
    {"account_update", "value.mark", NULL},
    {"at_random", "mark", NULL},
};

static void count_event(struct audit *a, struct view body)
{
    char identity[IDENTITY_MAX];
    struct view data = json_get(body, "data");
    snprintf(identity, sizeof identity, "id|%.*s", VIEW_ARG(json_get(body, "id")));
    count_one(a, identity);
    for (size_t i = 0; i < countof(identities); i++) {
        struct view name = json_path(data, identities[i].name), more = {NULL, 0};
        if (!json_string_is(json_get(body, "type"), identities[i].type))
            continue;
        if (identities[i].more)
            more = json_path(data, identities[i].more);
        snprintf(identity, sizeof identity, "%s|%.*s%s%.*s", identities[i].type, VIEW_ARG(name),
                 identities[i].more ? "|" : "", VIEW_ARG(more));
        count_one(a, identity);
        return;
    }
    ck_abort_msg("an event of a type that nobody asked for: %.*s", VIEW_ARG(body));
}

static bool take_entry(void *ctx, const struct log_entry *e)
{
    struct audit *a = ctx;
    struct change *changes;
    size_t count;
    struct view body;
    ck_assert_uint_eq(e->n, ++a->n);
    ck_assert_uint_eq(e->first_seq, a->seq + 1);
    for (struct json_iter it = json_iter(e->events); json_next_element(&it, &body);) {
        int64_t seq;
        if (json_string_is(json_get(body, "class"), "durable")) {
            ck_assert(json_i64(json_get(body, "seq"), &seq));
            ck_assert_uint_eq((uint64_t)seq, ++a->seq);
        }
        count_event(a, body);
    }
    ck_assert_uint_eq(e->last_seq, a->seq);
    ck_assert(changes_read(e->changes, &changes, &count, NULL));
    for (size_t i = 0; i < count; i++)
        apply(a, &changes[i]);
    changes_free(changes, count);
    return true;
}

static void read_log(struct audit *a)
{
    struct err err = {0};
    struct head head;
    ck_assert_msg(a->store->ops->head(a->store, a->tenant_id, &head, &err), "%s", err.text);
    ck_assert_msg(a->store->ops->read_log(a->store, a->tenant_id, LOG_BY_ENTRY, 0, true, take_entry, a, &err),
                  "%s", err.text);
    ck_assert_uint_eq(head.n, a->n);
    ck_assert_uint_eq(head.seq, a->seq);
}

/* --- the documents ---------------------------------------------------------------------------------------
 */

struct scanned {
    struct audit *a;
    size_t rows;
    char last[DOC_KEY_MAX + 1];
};

static bool compare(void *ctx, const struct change *stored)
{
    struct scanned *s = ctx;
    char room[IDENTITY_MAX];
    struct audited *d = map_get(&s->a->docs, name_of(stored->kind, stored->key, room));
    ck_assert_msg(d != NULL, "%s is stored, but not in the log", room);
    ck_assert_msg(!d->seen, "%s is stored twice", room);
    ck_assert_msg(view_eq(buf_view(&d->doc), stored->doc), "%s: the log has %.*s, stored is %.*s", room,
                  VIEW_ARG(buf_view(&d->doc)), VIEW_ARG(stored->doc));
    ck_assert_msg(view_is(stored->place.parent, d->parent) && view_is(stored->place.state, d->state) &&
                      view_is(stored->place.owner, d->owner) && stored->place.rank == d->rank &&
                      stored->place.ord == d->ord,
                  "%s stands elsewhere than the log says", room);
    d->seen = true;
    s->rows++;
    ck_assert(view_copy(stored->key, s->last, sizeof s->last));
    return true;
}

static void compare_documents(struct audit *a)
{
    struct err err = {0};
    void *value;
    struct view name;
    for (int kind = 0; kind < DOC_KIND_COUNT; kind++) {
        struct scanned s = {.a = a};
        size_t before;
        do {
            char after[sizeof s.last];
            memcpy(after, s.last, sizeof after);
            before = s.rows;
            ck_assert_msg(a->store->ops->scan(a->store, a->tenant_id, (enum doc_kind)kind, view_of(after),
                                              SCAN_PAGE, compare, &s, &err),
                          "%s", err.text);
        } while (s.rows > before);
    }
    for (size_t at = 0; map_next(&a->docs, &at, &name, &value);)
        ck_assert_msg(((struct audited *)value)->seen, "%.*s is in the log, but not stored", VIEW_ARG(name));
}

/* --- what the documents hold -----------------------------------------------------------------------------
 */

struct recount {
    struct figures figures;
    struct message *messages;
    size_t count, cap;
};

static void count_receipts(struct audit *a, struct view wamid, struct view receipts)
{
    char identity[IDENTITY_MAX];
    struct view one;
    for (struct json_iter it = json_iter(receipts); json_next_element(&it, &one);) {
        struct view id = wamid.n ? wamid : json_get(one, "id");
        snprintf(identity, sizeof identity, "receipt|%.*s|%.*s", VIEW_ARG(id),
                 VIEW_ARG(json_get(one, "status")));
        count_one(a, identity);
        ck_assert_msg(audit_count(a, identity) == 1, "%s twice", identity);
    }
}

static void take_message(struct audit *a, struct recount *r, struct view doc)
{
    char identity[IDENTITY_MAX];
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->messages = xrealloc(r->messages, r->cap * sizeof *r->messages);
    }
    struct message *m = &r->messages[r->count++];
    ck_assert(message_read(doc, m));
    snprintf(identity, sizeof identity, "text|%.*s", VIEW_ARG(m->text));
    count_one(a, identity);
    count_receipts(a, m->message_id, m->history);
}

static int by_arrival(const void *left, const void *right)
{
    const struct message *a = left, *b = right;
    ck_assert_int_ne(a->ord, b->ord);
    return a->ord < b->ord ? -1 : 1;
}

/* How the messages of a conversation, in the order of their arrival, answer each other. */
static void count_answers(struct recount *r, const struct conversation *c)
{
    int64_t last_at = 0;
    bool waits = false;
    for (size_t i = 0; i < r->count; i++) {
        const struct message *m = &r->messages[i];
        if (strcmp(m->conversation_id, c->id) != 0 || m->timestamp < last_at)
            continue;
        last_at = m->timestamp;
        r->figures.answers += waits && m->direction == DIRECTION_OUTBOUND;
        waits = m->direction == DIRECTION_INBOUND;
    }
    ck_assert_int_eq(c->last_message_at, last_at);
    ck_assert_int_eq(c->unanswered_since != 0, waits);
}

static void recount(struct audit *a)
{
    struct recount r = {0};
    struct figures stored;
    struct conversation c;
    struct view name;
    void *value;
    for (size_t at = 0; map_next(&a->docs, &at, &name, &value);) {
        struct view doc = buf_view(&((struct audited *)value)->doc);
        if (name.p[0] == '0' + DOC_MESSAGE)
            take_message(a, &r, doc);
        if (name.p[0] == '0' + DOC_PARKED)
            count_receipts(a, (struct view){NULL, 0}, json_get(doc, "receipts"));
    }
    if (r.count)
        qsort(r.messages, r.count, sizeof *r.messages, by_arrival);
    for (size_t at = 0; map_next(&a->docs, &at, &name, &value);)
        if (name.p[0] == '0' + DOC_CONVERSATION) {
            ck_assert(conversation_read(buf_view(&((struct audited *)value)->doc), &c));
            r.figures.active += !c.closed;
            r.figures.waiting += conversation_is_waiting(&c);
            count_answers(&r, &c);
        }
    figures_read(audit_doc(a, DOC_FIGURES, "all"), &stored);
    ck_assert_int_eq(stored.active, r.figures.active);
    ck_assert_int_eq(stored.waiting, r.figures.waiting);
    ck_assert_int_eq(stored.messages_today, (int64_t)r.count);
    ck_assert_int_eq(stored.answers, r.figures.answers);
    free(r.messages);
}

static void check_once(const struct audit *a)
{
    struct view name;
    void *value;
    for (size_t at = 0; map_next(&a->counts, &at, &name, &value);)
        ck_assert_msg(*(size_t *)value == 1 || view_starts(name, "at_random|"),
                      "%.*s is in the log %zu times", VIEW_ARG(name), *(size_t *)value);
}

void audit_open(struct audit *a, struct store *store, const char *tenant_id)
{
    *a = (struct audit){.store = store, .tenant_id = tenant_id};
    map_init(&a->docs);
    map_init(&a->counts);
    read_log(a);
    check_once(a);
    compare_documents(a);
    recount(a);
}

void audit_close(struct audit *a)
{
    void *value;
    for (size_t at = 0; map_next(&a->docs, &at, NULL, &value);)
        free_audited(value);
    for (size_t at = 0; map_next(&a->counts, &at, NULL, &value);)
        free(value);
    map_free(&a->docs);
    map_free(&a->counts);
}
