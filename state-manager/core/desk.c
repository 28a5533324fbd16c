/* What agents and other systems do to a conversation besides writing in it. Each answers with the
 * conversation. */
#include "shared/json.h"
#include "state-manager/core/conversing.h"
#include "state-manager/core/text.h"

enum { ASSIGNEE_MAX = 128, TAGS_MAX = 32, TAG_MAX = 64, CORRELATION_MAX = 256 };

static bool is_null(struct view value)
{
    return json_type(value) == JSON_NONE || json_type(value) == JSON_NULL;
}

/* The change being put together, a setter per field of the body. */
static bool set_status(struct view value, struct conversation *c)
{
    if (json_type(value) != JSON_STRING)
        return false;
    c->closed = json_string_is(value, "closed");
    return c->closed || json_string_is(value, "open");
}

static bool set_assignee(struct view value, struct conversation *c)
{
    c->assignee = is_null(value) ? (struct view){NULL, 0} : value;
    return is_null(value) || text_is_name(value, ASSIGNEE_MAX);
}

static bool set_tags(struct view value, struct conversation *c)
{
    struct view tag;
    size_t count = 0;
    bool good = json_type(value) == JSON_ARRAY;
    for (struct json_iter it = json_iter(value); json_next_element(&it, &tag); count++)
        good = good && text_is_name(tag, TAG_MAX);
    c->tags = value;
    return good && count <= TAGS_MAX;
}

static bool check_version(struct view value, struct conversation *c)
{
    int64_t version;
    (void)c; /* compared by the caller, who can tell staleness from nonsense */
    return json_i64(value, &version);
}

static const struct {
    const char *name, *rule;
    bool (*set)(struct view value, struct conversation *c);
} fields[] = {
    {"status", "must be open or closed", set_status},
    {"assignee", "must be null or a string of 1 to 128 bytes", set_assignee},
    {"tags", "must be an array of at most 32 strings of 1 to 64 bytes", set_tags},
    {"version", "must be a number", check_version},
};

static bool set_field(struct view name, struct view value, struct conversation *c, struct err *err)
{
    for (size_t i = 0; i < countof(fields); i++)
        if (json_string_is(name, fields[i].name))
            return fields[i].set(value, c) ||
                   err_set(err, ERR_INVALID, "%s %s", fields[i].name, fields[i].rule);
    struct view plain;
    if (!json_plain_string(name, &plain) || !view_is_name(plain, 80, "_-.$"))
        plain = VIEW("of that name");
    return err_set(err, ERR_INVALID, "there is no field %.*s", VIEW_ARG(plain));
}

static bool read_patch(struct view body, struct conversation *c, struct err *err)
{
    struct view name, value;
    if (json_type(body) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    for (struct json_iter it = json_iter(body); json_next_member(&it, &name, &value);)
        if (!set_field(name, value, c, err))
            return false;
    return true;
}

static bool same(const struct conversation *a, const struct conversation *b)
{
    return a->closed == b->closed && view_eq(a->assignee, b->assignee) && view_eq(a->tags, b->tags) &&
           view_eq(a->correlation, b->correlation) && a->unread == b->unread;
}

/* Stores what changed, if anything did, and answers with the conversation. */
static bool settle(struct batch *b, struct command *c, struct talk *t)
{
    if (!same(&t->before, &t->now))
        talk_change(b, t);
    conversation_write(&t->now, c->reply);
    return true;
}

bool decide_patch(struct batch *b, struct command *c, struct err *err)
{
    struct talk t;
    int64_t version;
    if (!talk_load(b, c->conversation_id, &t, err) || !read_patch(c->element, &t.now, err))
        return false;
    if (json_i64(json_get(c->element, "version"), &version) && version != t.before.version)
        return err_set(err, ERR_CONFLICT, "the conversation has version %lld by now",
                       (long long)t.before.version);
    return settle(b, c, &t);
}

bool decide_read(struct batch *b, struct command *c, struct err *err)
{
    struct talk t;
    if (!talk_load(b, c->conversation_id, &t, err))
        return false;
    t.now.unread = 0;
    return settle(b, c, &t);
}

bool decide_correlate(struct batch *b, struct command *c, struct err *err)
{
    struct talk t;
    struct view id = json_get(c->element, "correlationId"), system = json_get(c->element, "system");
    if (!text_is_name(id, CORRELATION_MAX) || (!is_null(system) && !text_is_name(system, CORRELATION_MAX)))
        return err_set(err, ERR_INVALID,
                       "correlationId, and system where it is given, must be strings of 1 to %d bytes",
                       CORRELATION_MAX);
    if (!talk_load(b, c->conversation_id, &t, err))
        return false;
    struct buf correlation;
    struct json_writer w;
    buf_init(&correlation, DOC_MAX);
    jw_init(&w, &correlation);
    jw_begin(&w, '{');
    jw_key_raw(&w, "correlationId", id);
    jw_key_raw(&w, "system", system);
    jw_end(&w, '}');
    t.now.correlation = buf_view(&correlation);
    bool ok = settle(b, c, &t);
    buf_free(&correlation);
    return ok;
}

bool decide_refresh(struct batch *b, struct command *c, struct err *err)
{
    (void)err; /* nothing to refuse */
    batch_touch_figures(b);
    figures_show(batch_figures(b), batch_now(b), c->reply);
    return true;
}
