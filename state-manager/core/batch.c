#include "state-manager/core/batch.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/map.h"
#include "shared/mem.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORD_PER_ENTRY = 1 << 20, KIND_AND_KEY_MAX = DOC_KEY_MAX + 2, WANTED_MAX = 4096 };

/* A document that this batch has read or written. */
struct held {
    struct held *next;
    enum doc_kind kind;
    struct doc_place place; /* its texts are owned */
    char *key, *doc;        /* doc NULL: the store has none */
    size_t doc_n;
    bool written;
    bool wanted; /* not read yet */
};

/* A former version of a held document: slices of it may still be in use. */
struct retired {
    struct retired *next;
    char *doc;
};

struct batch {
    struct store *store;
    char tenant_id[TENANT_ID_MAX + 1];
    struct head head;
    char epoch[EPOCH_MAX + 1];
    int64_t now_wall_ms;
    size_t commands, ords, bytes, wanted;
    uint64_t next_seq;
    struct map by_key; /* kind and key -> struct held */
    struct held *first, **last;
    struct retired *retired;
    struct buf events; /* bodies, comma between */
    struct figures figures, figures_before;
    bool figures_loaded, figures_touched, failed;
    struct err failure;
    struct entry entry;
    struct change *changes;
};

struct batch *batch_create(struct store *store, const char *tenant_id, int64_t now_wall_ms, struct err *err)
{
    struct batch *b = xcalloc(1, sizeof *b);
    b->store = store;
    b->now_wall_ms = now_wall_ms;
    b->last = &b->first;
    map_init(&b->by_key);
    buf_init(&b->events, ENTRY_BYTES_MAX * 2);
    if (!view_copy(view_of(tenant_id), b->tenant_id, sizeof b->tenant_id)) {
        err_set(err, ERR_INTERNAL, "a tenant id over %d bytes", TENANT_ID_MAX);
        goto fail;
    }
    if (!store->ops->head(store, tenant_id, &b->head, err))
        goto fail;
    b->next_seq = b->head.seq + 1;
    memcpy(b->epoch, b->head.epoch, sizeof b->epoch);
    if (!*b->epoch) {
        unsigned char random[4];
        crypto_random(random, sizeof random);
        crypto_hex(random, sizeof random, b->epoch);
    }
    return b;
fail:
    batch_destroy(b);
    return NULL;
}

static void free_place(struct doc_place *place)
{
    free((char *)place->parent.p);
    free((char *)place->state.p);
    free((char *)place->owner.p);
}

void batch_destroy(struct batch *b)
{
    if (!b)
        return;
    for (struct held *h = b->first, *next; h; h = next) {
        next = h->next;
        free(h->key);
        free_place(&h->place);
        free(h->doc);
        free(h);
    }
    for (struct retired *r = b->retired, *next; r; r = next) {
        next = r->next;
        free(r->doc);
        free(r);
    }
    map_free(&b->by_key);
    buf_free(&b->events);
    free(b->changes);
    free(b);
}

const char *batch_tenant(const struct batch *b)
{
    return b->tenant_id;
}

int64_t batch_now(const struct batch *b)
{
    return b->now_wall_ms;
}

int64_t batch_next_ord(struct batch *b)
{
    return (int64_t)(b->head.n + 1) * ORD_PER_ENTRY + (int64_t)b->ords++;
}

bool batch_failed(const struct batch *b, struct err *err)
{
    if (b->failed)
        *err = b->failure;
    return b->failed;
}

bool batch_full(const struct batch *b)
{
    return b->commands >= ENTRY_COMMANDS_MAX || b->bytes + b->events.len > ENTRY_BYTES_MAX / 2;
}

void batch_count_command(struct batch *b)
{
    b->commands++;
}

/* The name of a document in by_key. Callers cap their keys. */
static struct view map_key(enum doc_kind kind, struct view key, char room[static KIND_AND_KEY_MAX])
{
    assert(key.n <= DOC_KEY_MAX);
    room[0] = (char)('A' + (int)kind);
    memcpy(room + 1, key.p, key.n);
    return (struct view){room, key.n + 1};
}

static struct held *held_add(struct batch *b, enum doc_kind kind, struct view key)
{
    char room[KIND_AND_KEY_MAX];
    struct held *h = xcalloc(1, sizeof *h);
    h->kind = kind;
    h->key = xstrndup(key.p, key.n);
    *b->last = h;
    b->last = &h->next;
    map_put(&b->by_key, map_key(kind, key, room), h);
    return h;
}

static struct held *held_find(struct batch *b, enum doc_kind kind, struct view key)
{
    char room[KIND_AND_KEY_MAX];
    return map_get(&b->by_key, map_key(kind, key, room));
}

void batch_want(struct batch *b, enum doc_kind kind, struct view key)
{
    if (b->failed || b->wanted >= WANTED_MAX || held_find(b, kind, key))
        return;
    held_add(b, kind, key)->wanted = true;
    b->wanted++;
}

struct fetch {
    struct held **held; /* in the order of the request */
};

static void on_found(void *ctx, size_t index, struct view doc)
{
    struct held *h = ((struct fetch *)ctx)->held[index];
    h->doc = xstrndup(doc.p, doc.n);
    h->doc_n = doc.n;
}

void batch_fetch(struct batch *b)
{
    if (!b->wanted || b->failed)
        return;
    struct wanted *wanted = xcalloc(b->wanted, sizeof *wanted);
    struct fetch fetch = {xcalloc(b->wanted, sizeof(struct held *))};
    size_t count = 0;
    for (struct held *h = b->first; h; h = h->next)
        if (h->wanted) {
            wanted[count] = (struct wanted){h->kind, view_of(h->key)};
            fetch.held[count++] = h;
            h->wanted = false;
        }
    b->wanted = 0;
    b->failed =
        !b->store->ops->get_many(b->store, b->tenant_id, wanted, count, on_found, &fetch, &b->failure);
    free(fetch.held);
    free(wanted);
}

static void read_held(struct batch *b, struct held *h)
{
    struct buf doc;
    bool found = false;
    buf_init(&doc, DOC_MAX);
    b->failed =
        !b->store->ops->get(b->store, b->tenant_id, h->kind, view_of(h->key), &doc, &found, &b->failure);
    if (found && !b->failed)
        h->doc = buf_detach(&doc, &h->doc_n);
    buf_free(&doc);
}

struct view batch_get(struct batch *b, enum doc_kind kind, struct view key)
{
    struct held *h = held_find(b, kind, key);
    if (b->failed)
        return h && h->doc ? (struct view){h->doc, h->doc_n} : (struct view){NULL, 0};
    if (!h || h->wanted) {
        b->wanted -= h != NULL;
        if (!h)
            h = held_add(b, kind, key);
        h->wanted = false;
        read_held(b, h);
    }
    return h->doc ? (struct view){h->doc, h->doc_n} : (struct view){NULL, 0};
}

static struct view copy_text(struct view text)
{
    return (struct view){text.n ? xstrndup(text.p, text.n) : NULL, text.n};
}

void batch_put(struct batch *b, enum doc_kind kind, struct view key, struct doc_place place, struct view doc)
{
    struct held *h = held_find(b, kind, key);
    if (!h)
        h = held_add(b, kind, key);
    b->wanted -= h->wanted;
    h->wanted = false;
    char *copy = xstrndup(doc.p, doc.n);
    if (h->doc) { /* somebody may still hold slices of it, the caller first of all */
        struct retired *r = xcalloc(1, sizeof *r);
        *r = (struct retired){b->retired, h->doc};
        b->retired = r;
    }
    if (h->written)
        b->bytes -= h->doc_n;
    free_place(&h->place);
    h->doc = copy;
    h->doc_n = doc.n;
    h->place = (struct doc_place){copy_text(place.parent), place.rank, place.ord, copy_text(place.state),
                                  copy_text(place.owner)};
    h->written = true;
    b->bytes += doc.n;
}

struct figures *batch_figures(struct batch *b)
{
    if (!b->figures_loaded) {
        figures_read(batch_get(b, DOC_FIGURES, VIEW("all")), &b->figures);
        b->figures_before = b->figures; /* a new day is a change, too */
        figures_roll(&b->figures, b->now_wall_ms);
        b->figures_loaded = true;
    }
    return &b->figures;
}

void batch_touch_figures(struct batch *b)
{
    batch_figures(b);
    b->figures_touched = true;
}

void batch_emit(struct batch *b, const struct event_draft *draft, struct emitted *out)
{
    struct emitted ignored, *e = out ? out : &ignored;
    struct event_draft stamped = *draft;
    uint64_t seq = 0;
    crypto_random_id("e_", e->id);
    e->offset[0] = 0;
    if (draft->class == EVENT_DURABLE) {
        seq = b->next_seq++;
        offset_format(b->epoch, seq, e->offset);
    }
    if (draft->class == EVENT_LATEST)
        stamped.rev = (uint64_t)batch_next_ord(b);
    if (b->events.len)
        buf_add_char(&b->events, ',');
    else
        buf_add_char(&b->events, '[');
    size_t start = b->events.len;
    event_encode(&b->events, &stamped, b->tenant_id, e->id, b->epoch, seq, b->now_wall_ms);
    if (draft->class == EVENT_LATEST) {
        char key[EVENT_TYPE_MAX + 1 + EVENT_KEY_MAX + 1];
        int n = snprintf(key, sizeof key, "%s|%.*s", draft->type, VIEW_ARG(draft->key));
        batch_put(b, DOC_LATEST, (struct view){key, (size_t)n},
                  (struct doc_place){.ord = (int64_t)stamped.rev},
                  (struct view){b->events.data + start, b->events.len - start});
    }
}

static void put_figures(struct batch *b)
{
    if (!b->figures_loaded ||
        (!b->figures_touched && !memcmp(&b->figures, &b->figures_before, sizeof b->figures)))
        return;
    struct buf doc;
    buf_init(&doc, DOC_MAX);
    figures_write(&b->figures, &doc);
    batch_put(b, DOC_FIGURES, VIEW("all"), (struct doc_place){0}, buf_view(&doc));
    buf_free(&doc);
    b->entry.figures_changed = true;
}

struct entry *batch_seal(struct batch *b, struct err *err)
{
    put_figures(b);
    if (batch_failed(b, err))
        return NULL;
    if (b->events.overflow) {
        err_set(err, ERR_INTERNAL, "the events of an entry are over %zu bytes", b->events.max);
        return NULL;
    }
    size_t count = 0;
    for (struct held *h = b->first; h; h = h->next)
        count += h->written;
    if (!count && !b->events.len)
        return NULL;
    if (b->events.len)
        buf_add_char(&b->events, ']');
    b->changes = xcalloc(count, sizeof *b->changes);
    count = 0;
    for (struct held *h = b->first; h; h = h->next)
        if (h->written)
            b->changes[count++] =
                (struct change){h->kind, view_of(h->key), h->place, (struct view){h->doc, h->doc_n}};
    b->entry.tenant_id = b->tenant_id;
    b->entry.epoch = b->epoch;
    b->entry.n = b->head.n + 1;
    b->entry.first_seq = b->head.seq + 1;
    b->entry.last_seq = b->next_seq - 1;
    b->entry.at_wall_ms = b->now_wall_ms;
    b->entry.changes = b->changes;
    b->entry.change_count = count;
    b->entry.events = b->events.len ? buf_view(&b->events) : VIEW("[]");
    b->entry.result = COMMIT_PENDING;
    return &b->entry;
}
