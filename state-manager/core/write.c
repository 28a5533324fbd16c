/*
 * A write on a resource of a profile: validate, find, compose, see what follows, and only then change
 * anything. Everything that may differ from write to write stands in the profile.
 */
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/fields.h"
#include "state-manager/core/people.h"
#include "state-manager/core/writing.h"
#include <stdlib.h>
#include <string.h>

enum { DRAWS_MAX = 64 };

/* --- the writing's own things --- */

struct view writing_keep(struct writing *w, struct buf *text)
{
    struct kept *kept = xcalloc(1, sizeof *kept);
    size_t n;
    kept->next = w->kept;
    kept->text = buf_detach(text, &n);
    w->kept = kept;
    return (struct view){kept->text, n};
}

bool writing_render(struct writing *w, struct view template, size_t max, struct view *out, struct err *err)
{
    struct buf text;
    buf_init(&text, max);
    bool ok = template_write(template, &w->scope, &text, err);
    *out = writing_keep(w, &text);
    return ok;
}

bool writing_text(struct writing *w, struct view template, char *out, size_t size)
{
    struct err ignored;
    return template_text(template, &w->scope, out, size, &ignored);
}

static struct staged *find_staged(const struct writing *w, const struct resource *r, const char *id)
{
    for (size_t i = 0; i < w->doc_count; i++)
        if (w->docs[i].resource == r && !strcmp(w->docs[i].id, id))
            return &w->docs[i];
    return NULL;
}

void writing_find(struct writing *w, const struct resource *r, const char *id, struct record *out)
{
    char room[DOC_KEY_MAX];
    const struct staged *staged = find_staged(w, r, id);
    if (!staged) {
        record_read(batch_get(w->b, DOC_RECORD, record_key(r, id, room)), out);
        return;
    }
    *out = staged->before; /* all that a write does to it makes one version */
    out->document = staged->document;
}

bool writing_weigh(struct writing *w, size_t bytes, struct err *err)
{
    w->bytes += bytes;
    return w->bytes <= WRITE_BYTES_MAX ||
           err_set(err, ERR_TOO_LARGE, "the documents and events of a write would be over %d bytes",
                   WRITE_BYTES_MAX);
}

bool writing_stage(struct writing *w, const struct resource *r, const char *id, const struct record *before,
                   struct view document, struct err *err)
{
    struct staged *staged = find_staged(w, r, id);
    if (!staged) {
        staged = &w->docs[w->doc_count++];
        *staged = (struct staged){.resource = r, .before = *before};
        memcpy(staged->id, id, strlen(id) + 1);
    }
    staged->document = document;
    return writing_weigh(w, document.n, err) &&
           (!document.n || record_place(r, document, &staged->place, err));
}

/* The body without what is beside its fields. */
static struct view without_version(struct writing *w, struct view body)
{
    struct view name, value;
    struct buf text;
    bool first = true;
    if (!json_get(body, "version").n)
        return body;
    buf_init(&text, body.n + 2);
    buf_add_char(&text, '{');
    for (struct json_iter it = json_iter(body); json_next_member(&it, &name, &value);) {
        if (json_string_is(name, "version"))
            continue;
        buf_add_text(&text, first ? "" : ",");
        buf_add_view(&text, name);
        buf_add_char(&text, ':');
        buf_add_view(&text, value);
        first = false;
    }
    buf_add_char(&text, '}');
    return writing_keep(w, &text);
}

static void begin(struct writing *w, struct batch *b, struct command *c)
{
    struct json_writer jw;
    struct buf now;
    char iso[CLOCK_ISO_SIZE];
    clock_iso(batch_now(b), iso);
    *w = (struct writing){.b = b, .c = c, .o = c->operation};
    buf_init(&now, CLOCK_ISO_SIZE + 2);
    jw_init(&jw, &now);
    jw_text(&jw, view_of(iso));
    w->scope.roots[TEMPLATE_NOW] = writing_keep(w, &now);
    w->scope.roots[TEMPLATE_TOKEN] = c->claims;
    w->scope.roots[TEMPLATE_PARAMS] = c->params;
    w->scope.roots[TEMPLATE_BODY] = without_version(w, c->element);
    w->docs = xcalloc(w->o->then_count + 2, sizeof *w->docs); /* and its own, and the caller's */
    w->joined = xcalloc(w->o->joined_count + 1, sizeof *w->joined);
    members_init(&w->members);
}

static void finish(struct writing *w)
{
    for (struct kept *k = w->kept, *next; k; k = next) {
        next = k->next;
        free(k->text);
        free(k);
    }
    free(w->docs);
    free(w->joined);
    free(w->events);
    members_free(&w->members);
}

/* --- which document --- */

/* Of the n-th draw for a command: the same each time it is decided. */
static void draw_id(const struct resource *r, const struct command *c, unsigned n,
                    char out[static RECORD_TEXT_SIZE])
{
    unsigned char digest[SHA256_BYTES], seed[sizeof c->seed + 1];
    memcpy(seed, c->seed, sizeof c->seed);
    seed[sizeof c->seed] = (unsigned char)n;
    crypto_sha256((struct view){(const char *)seed, sizeof seed}, digest);
    if (!r->id_form) {
        crypto_hex(digest, 12, out);
        return;
    }
    size_t at = 0, i = 0;
    for (; r->id_form[i] && i < RECORD_ID_MAX; i++)
        out[i] = r->id_form[i];
    out[i] = 0;
    for (i = 0; out[i]; i++)
        if (out[i] == '#')
            out[i] = (char)('0' + digest[at++ % SHA256_BYTES] % 10);
}

/* The id that is known before anything is read; false: it has to be drawn. */
static bool known_id(struct writing *w, char out[static RECORD_TEXT_SIZE])
{
    if (w->o->id.n)
        return writing_text(w, w->o->id, out, RECORD_TEXT_SIZE);
    return w->o->kind != DO_CREATE && json_copy_string(json_get(w->c->params, "id"), out, RECORD_TEXT_SIZE);
}

static bool is_drawn(const struct operation *o)
{
    return o->kind == DO_CREATE && !o->id.n;
}

static bool refuse_missing(const struct writing *w, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "there is no such document in %s", w->o->resource->name);
}

/* One that nobody has, not even somebody who is gone. */
static bool find_free(struct writing *w, struct err *err)
{
    for (unsigned n = 0; n < DRAWS_MAX; n++) {
        draw_id(w->o->resource, w->c, n, w->id);
        writing_find(w, w->o->resource, w->id, &w->before);
        if (!w->before.version)
            return true;
    }
    return err_set(err, ERR_CONFLICT, "no id is free for one more document in %s", w->o->resource->name);
}

static bool find_document(struct writing *w, struct err *err)
{
    const struct resource *r = w->o->resource;
    struct buf room;
    if (is_drawn(w->o))
        return find_free(w, err);
    if (!known_id(w, w->id) || !record_id_valid(view_of(w->id)))
        return refuse_missing(w, err);
    writing_find(w, r, w->id, &w->before);
    if (w->o->kind == DO_CREATE && w->before.document.n)
        return err_set(err, ERR_CONFLICT, "there is one already in %s", r->name);
    buf_init(&room, RECORD_BYTES_MAX);
    w->base = w->before.document.n ? w->before.document : record_shown(r, w->id, &w->before, &room);
    if (room.len)
        w->base = writing_keep(w, &room);
    buf_free(&room);
    bool needed =
        (w->o->kind == DO_UPDATE && !w->base.n) || (w->o->kind == DO_DELETE && !w->before.document.n);
    return !needed || refuse_missing(w, err);
}

static bool is_his(const struct writing *w, struct view document)
{
    char owner[RECORD_TEXT_SIZE];
    record_owner(w->o->resource, document, owner);
    return *owner && view_is(w->c->author, owner);
}

/* Somebody else's is not there for those who may have only their own. */
static bool check_owner(struct writing *w, struct err *err)
{
    return w->reach == REACH_ALL || !w->before.document.n || is_his(w, w->before.document) ||
           refuse_missing(w, err);
}

static bool check_version(const struct writing *w, struct err *err)
{
    int64_t version, now = w->before.document.n ? w->before.version : 0;
    if (w->o->kind == DO_CREATE || !json_i64(json_get(w->c->element, "version"), &version) || version == now)
        return true;
    return err_set(err, ERR_CONFLICT, "the document has version %lld by now", (long long)now);
}

/* --- kinds of writes --- */

static bool make_document(struct writing *w, struct err *err)
{
    if (!compose_joined(w, true, err) || !compose_document(w, w->scope.roots[TEMPLATE_BODY], err))
        return false;
    struct view document = w->scope.roots[TEMPLATE_DOCUMENT];
    if (w->reach == REACH_OWN && !is_his(w, document))
        return err_set(err, ERR_DENIED, "it would be somebody else's");
    return compose_joined(w, false, err) &&
           (w->unchanged || writing_stage(w, w->o->resource, w->id, &w->before, document, err));
}

static bool delete_document(struct writing *w, struct err *err)
{
    w->scope.roots[TEMPLATE_DOCUMENT] = w->before.document;
    return compose_joined(w, true, err) && compose_joined(w, false, err) &&
           writing_stage(w, w->o->resource, w->id, &w->before, (struct view){NULL, 0}, err);
}

static bool answer(struct writing *w, struct err *err)
{
    if (w->o->answer.n)
        return template_write(w->o->answer, &w->scope, w->c->reply, err);
    return buf_add_view(w->c->reply, w->scope.roots[TEMPLATE_DOCUMENT]) ||
           err_set(err, ERR_TOO_LARGE, "the answer is too large");
}

static bool decide(struct writing *w, struct err *err)
{
    if (!grant_check(w->o, w->c->claims, &w->reach, err) || !fields_check(w->o, w->c->element, err) ||
        !find_document(w, err) || !check_owner(w, err) || !check_version(w, err) || !people_stage(w, err))
        return false;
    w->scope.roots[TEMPLATE_BEFORE] = w->before.document;
    bool ok = w->o->kind == DO_DELETE ? delete_document(w, err) : make_document(w, err);
    return ok && (w->unchanged || effects_gather(w, err)) && answer(w, err);
}

bool decide_write(struct batch *b, struct command *c, struct err *err)
{
    struct writing w;
    begin(&w, b, c);
    bool ok = decide(&w, err);
    if (ok && !batch_failed(b, err))
        effects_apply(&w);
    finish(&w);
    return ok;
}

bool decide_know(struct batch *b, struct command *c, struct err *err)
{
    struct writing w;
    begin(&w, b, c);
    bool ok = people_stage(&w, err);
    if (ok && !batch_failed(b, err))
        effects_apply(&w);
    finish(&w);
    return ok;
}

/* --- foretelling --- */

static void want(struct writing *w, const struct resource *r, const char *id)
{
    char room[DOC_KEY_MAX];
    if (record_id_valid(view_of(id)))
        batch_want(w->b, DOC_RECORD, record_key(r, id, room));
}

/* What is known of the place of a document before anything is read. */
static void want_named(struct writing *w, const struct resource *r, struct view id_template)
{
    char id[RECORD_TEXT_SIZE];
    if (!template_uses(id_template, TEMPLATE_DOCUMENT) && !template_uses(id_template, TEMPLATE_BEFORE) &&
        writing_text(w, id_template, id, sizeof id))
        want(w, r, id);
}

static void want_own(struct writing *w)
{
    char id[RECORD_TEXT_SIZE] = "";
    if (is_drawn(w->o))
        draw_id(w->o->resource, w->c, 0, id);
    else if (!known_id(w, id))
        return;
    want(w, w->o->resource, id);
}

static void want_person(struct writing *w)
{
    char id[RECORD_TEXT_SIZE];
    const struct profile *p = w->o->resource->profile;
    if (people_includes(p, w->c->claims, id))
        want(w, p->people, id);
}

void foresee_write(struct batch *b, const struct command *c)
{
    struct command copy = *c;
    struct writing w;
    begin(&w, b, &copy);
    want_own(&w);
    want_person(&w);
    for (size_t i = 0; i < w.o->joined_count; i++)
        want_named(&w, w.o->joined[i].resource, w.o->joined[i].id);
    for (size_t i = 0; i < w.o->then_count; i++)
        want_named(&w, w.o->then[i].resource, w.o->then[i].id);
    finish(&w);
}

void foresee_know(struct batch *b, const struct command *c)
{
    struct command copy = *c;
    struct writing w;
    begin(&w, b, &copy);
    want_person(&w);
    finish(&w);
}
