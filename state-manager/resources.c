#include "state-manager/resources.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/template.h"
#include "state-manager/core/grant.h"
#include "state-manager/core/record.h"
#include "state-manager/core/search.h"
#include "state-manager/listing.h"
#include <string.h>

enum { WANTED_MAX = 32 };

/* A read under way. */
struct reading {
    struct store *store;
    struct job *job;
    const struct operation *o;
    enum reach reach;
    char id[RECORD_TEXT_SIZE], key[DOC_KEY_MAX];
    struct buf now, doc, absent, made;
    struct template_scope scope;
};

static void begin(struct reading *r, struct store *store, struct job *job)
{
    char iso[CLOCK_ISO_SIZE];
    *r = (struct reading){.store = store, .job = job, .o = job->operation};
    buf_init(&r->now, sizeof iso + 2);
    buf_init(&r->doc, DOC_MAX);
    buf_init(&r->absent, RECORD_BYTES_MAX);
    buf_init(&r->made, TEMPLATE_OUT_MAX);
    clock_iso(clock_wall_ms(), iso);
    json_put_string(&r->now, view_of(iso));
    r->scope.roots[TEMPLATE_NOW] = buf_view(&r->now);
    r->scope.roots[TEMPLATE_TOKEN] = view_of(job->claims);
    r->scope.roots[TEMPLATE_PARAMS] = view_of(job->params);
}

static void finish(struct reading *r)
{
    buf_free(&r->now);
    buf_free(&r->doc);
    buf_free(&r->absent);
    buf_free(&r->made);
}

static bool refuse_missing(struct reading *r)
{
    return err_set(&r->job->err, ERR_NOT_FOUND, "there is no such document in %s", r->o->resource->name);
}

/* --- one document --- */

/* What is there under the id of the call: *record, and what of it is shown, which may be nothing. */
static bool find(struct reading *r, struct record *record, struct view *shown)
{
    struct err ignored;
    bool found;
    bool named = r->o->id.n ? template_text(r->o->id, &r->scope, r->id, sizeof r->id, &ignored)
                            : json_copy_string(json_get(view_of(r->job->params), "id"), r->id, sizeof r->id);
    if (!named || !record_id_valid(view_of(r->id)))
        return refuse_missing(r);
    struct view key = record_key(r->o->resource, r->id, r->key);
    if (!r->store->ops->get(r->store, r->job->tenant_id, DOC_RECORD, key, &r->doc, &found, &r->job->err))
        return false;
    record_read(buf_view(&r->doc), record);
    *shown = record_shown(r->o->resource, r->id, record, &r->absent);
    return true;
}

static bool is_his(const struct reading *r, struct view document)
{
    char owner[RECORD_TEXT_SIZE];
    record_owner(r->o->resource, document, owner);
    return *owner && json_string_is(json_get(view_of(r->job->claims), "sub"), owner);
}

static bool get(struct reading *r)
{
    struct record record;
    struct view shown;
    if (!find(r, &record, &shown))
        return false;
    if (!shown.n || (r->reach == REACH_OWN && !is_his(r, shown)))
        return refuse_missing(r);
    r->scope.roots[TEMPLATE_DOCUMENT] = shown;
    if (r->o->answer.n)
        return template_write(r->o->answer, &r->scope, &r->job->reply, &r->job->err);
    buf_add_view(&r->job->reply, shown);
    return true;
}

/* --- lists --- */

/* What has to be in a document: a text in a field. */
struct wanted_field {
    const char *name;
    char text[FILTER_TEXT_SIZE];
};

struct narrowing {
    struct reading *r;
    struct wanted_field fields[WANTED_MAX];
    size_t count;
    struct search *search; /* NULL: none */
    bool is_audit;
};

static bool finds(struct narrowing *n, struct view document)
{
    const struct names *names = &n->r->o->search;
    struct view values[WANTED_MAX];
    size_t count = names->count < countof(values) ? names->count : countof(values);
    for (size_t i = 0; i < count; i++)
        values[i] = json_get(document, names->items[i]);
    return search_finds_any(n->search, values, count);
}

static bool wants(void *ctx, struct view doc)
{
    struct narrowing *n = ctx;
    struct record record;
    record_read(doc, &record);
    for (size_t i = 0; i < n->count; i++)
        if (!record_text_is(json_get(record.document, n->fields[i].name), view_of(n->fields[i].text)))
            return false;
    return record.document.n && (!n->search || finds(n, record.document));
}

static bool shows(void *ctx, struct json_writer *w, struct view doc, struct err *err)
{
    struct narrowing *n = ctx;
    struct reading *r = n->r;
    struct record record = {.document = doc};
    if (!n->is_audit)
        record_read(doc, &record);
    r->scope.roots[TEMPLATE_DOCUMENT] = record.document;
    buf_clear(&r->made);
    if (r->o->item.n && !template_write(r->o->item, &r->scope, &r->made, err))
        return false;
    jw_raw(w, r->o->item.n ? buf_view(&r->made) : record.document);
    return true;
}

static bool add_wanted(struct narrowing *n, const char *name, struct view text)
{
    struct wanted_field *f = &n->fields[n->count];
    if (n->count == WANTED_MAX || !view_copy(text, f->text, sizeof f->text))
        return false;
    f->name = name;
    n->count++;
    return true;
}

static bool read_only(struct reading *r, struct view template, char text[static RECORD_TEXT_SIZE])
{
    struct err ignored;
    buf_clear(&r->made);
    return template_write(template, &r->scope, &r->made, &ignored) && record_text(buf_view(&r->made), text);
}

/* The filters of the call are {name: text}; the operation's own hold whatever the call says. */
static bool read_filters(struct narrowing *n)
{
    const struct operation *o = n->r->o;
    struct view given = {n->r->job->body, n->r->job->body_n};
    char text[FILTER_TEXT_SIZE];
    for (size_t i = 0; i < o->filters.count; i++) {
        struct view value = json_get(given, o->filters.items[i]);
        if (value.n && (!json_copy_string(value, text, sizeof text) ||
                        !add_wanted(n, o->filters.items[i], view_of(text))))
            return err_set(&n->r->job->err, ERR_INVALID, "%s is no filter that can be looked for",
                           o->filters.items[i]);
    }
    for (size_t i = 0; i < o->only_count; i++)
        if (!read_only(n->r, o->only[i].value, text) || !add_wanted(n, o->only[i].name, view_of(text)))
            return err_set(&n->r->job->err, ERR_DENIED, "you have no %s", o->only[i].name);
    return true;
}

/* A filter by what documents are filed under goes by the store's order: taken out of those to be looked for.
 */
static struct view take_filed(struct narrowing *n, const char *name, size_t most)
{
    for (size_t i = 0; name && i < n->count; i++)
        if (!strcmp(n->fields[i].name, name) && strlen(n->fields[i].text) <= most) {
            struct wanted_field found = n->fields[i];
            n->fields[i] = n->fields[--n->count];
            n->fields[n->count] = found; /* where the page's view stays good */
            return view_of(n->fields[n->count].text);
        }
    return (struct view){NULL, 0};
}

static bool add_own(struct narrowing *n)
{
    char sub[RECORD_TEXT_SIZE];
    if (n->r->reach != REACH_OWN)
        return true;
    return (n->r->o->resource->owner &&
            json_copy_string(json_get(view_of(n->r->job->claims), "sub"), sub, sizeof sub) &&
            add_wanted(n, n->r->o->resource->owner, view_of(sub))) ||
           err_set(&n->r->job->err, ERR_DENIED, "nothing here is yours");
}

static bool find_parent(struct reading *r, char room[static RECORD_PARENT_SIZE])
{
    const struct resource *resource = r->o->resource;
    char value[RECORD_TEXT_SIZE];
    if (resource->within && !record_text(json_get(view_of(r->job->params), resource->within), value))
        return refuse_missing(r);
    r->job->page.parent = record_parent(resource, resource->within ? value : NULL, room);
    return true;
}

static bool list_narrowed(struct reading *r, struct narrowing *n)
{
    char parent[RECORD_PARENT_SIZE];
    struct page *page = &r->job->page;
    if (!add_own(n) || !read_filters(n) || !find_parent(r, parent))
        return false;
    page->owner = take_filed(n, r->o->resource->owner, RECORD_ID_MAX);
    page->states[0] = take_filed(n, record_state(r->o->resource), DOC_STATE_MAX);
    struct listing_rules rules = {.wants = n->count || n->search ? wants : NULL, .shows = shows, .ctx = n};
    return listing_answer(r->store, r->job, DOC_RECORD, &rules);
}

static bool list(struct reading *r)
{
    struct narrowing n = {.r = r};
    struct search search;
    struct view text = view_of(r->job->filter ? r->job->filter->text : "");
    if (!text.n)
        return list_narrowed(r, &n);
    search_init(&search, text);
    n.search = &search;
    bool ok = list_narrowed(r, &n);
    search_finish(&search);
    return ok;
}

/* Of a document that is gone, too: what was done to it stays known. */
static bool list_audit(struct reading *r)
{
    struct record record;
    struct view shown;
    struct narrowing n = {.r = r, .is_audit = true};
    if (!find(r, &record, &shown))
        return false;
    if ((!shown.n && !record.version) || (r->reach == REACH_OWN && !is_his(r, shown)))
        return refuse_missing(r);
    r->job->page.parent = view_of(r->key);
    return listing_answer(r->store, r->job, DOC_AUDIT, &(struct listing_rules){.shows = shows, .ctx = &n});
}

bool resources_answer(struct store *store, struct job *job)
{
    static bool (*const answers[])(struct reading *
                                   r) = {[DO_LIST] = list, [DO_GET] = get, [DO_AUDIT] = list_audit};
    struct reading r;
    begin(&r, store, job);
    bool ok = grant_check(r.o, view_of(job->claims), &r.reach, &job->err) && answers[r.o->kind](&r);
    finish(&r);
    return ok;
}
