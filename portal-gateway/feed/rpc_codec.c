#include "portal-gateway/feed/rpc_codec.h"
#include "portal-gateway/core/meters.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <string.h>

void rpc_write_heads(struct buf *out, const struct heads *heads)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_i64(&w, "v", 1);
    jw_key_text(&w, "op", "heads");
    jw_key(&w, "tenants");
    jw_begin(&w, '[');
    for (size_t i = 0; i < heads->count; i++)
        jw_text(&w, view_of(heads->items[i].tenant_id));
    jw_end(&w, ']');
    jw_key_bool(&w, "latest", heads->latest);
    jw_end(&w, '}');
}

void rpc_write_replay(struct buf *out, const char *tenant_id, const struct position *after, unsigned limit)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_i64(&w, "v", 1);
    jw_key_text(&w, "op", "replay");
    jw_key_text(&w, "tenantId", tenant_id);
    jw_key_text(&w, "epoch", after->epoch);
    jw_key_i64(&w, "after", (int64_t)after->seq);
    jw_key_i64(&w, "limit", limit);
    jw_end(&w, '}');
}

static bool read_answer(struct view body, struct view *answer, struct err *err)
{
    char text[160] = "";
    if (!json_check(body, JSON_OURS, answer, err))
        return false;
    if (json_is_true(json_get(*answer, "ok")))
        return true;
    if (!json_copy_string(json_path(*answer, "error.message"), text, sizeof text))
        text[0] = 0;
    return err_set(err, ERR_UNAVAILABLE, "the state-manager answers: %s", *text ? text : "no reason");
}

static bool read_position(struct view object, const char *seq_key, struct position *out)
{
    int64_t seq;
    if (!json_copy_string(json_get(object, "epoch"), out->epoch, sizeof out->epoch) ||
        !json_i64(json_get(object, seq_key), &seq) || seq < 0)
        return false;
    out->seq = (uint64_t)seq;
    return !*out->epoch || view_is_name(view_of(out->epoch), EPOCH_MAX, "");
}

/* An array of event bodies of that tenant as a chain. */
static struct record *read_events(struct view array, const char *tenant_id)
{
    struct record *first = NULL, **tail = &first;
    struct view body;
    for (struct json_iter it = json_iter(array); json_next_element(&it, &body);) {
        struct err err;
        struct record *r = record_create(body, &err);
        bool theirs = r && (!tenant_id || strcmp(r->event.tenant_id, tenant_id) == 0);
        if (!theirs) {
            meter_add(POISON, 1);
            log_warn("bad_answer", "why=\"%s\"", r ? "an event of another tenant" : err.text);
            record_destroy(r);
            continue;
        }
        *tail = r;
        tail = &r->next;
    }
    return first;
}

/* Answers come in the order of the question; the search goes on where it last found something. */
static struct head *find(struct heads *heads, struct view key, size_t *hint)
{
    for (size_t i = 0; i < heads->count; i++) {
        struct head *item = &heads->items[(*hint + i) % heads->count];
        if (json_string_is(key, item->tenant_id)) {
            *hint = (*hint + i + 1) % heads->count;
            return item;
        }
    }
    return NULL;
}

bool rpc_read_heads(struct view body, struct heads *heads, struct err *err)
{
    struct view answer, key, value;
    struct head *item;
    size_t hint = 0;
    if (!read_answer(body, &answer, err))
        return false;
    for (struct json_iter it = json_iter(json_get(answer, "heads")); json_next_member(&it, &key, &value);)
        if ((item = find(heads, key, &hint)))
            item->answered = read_position(value, "seq", &item->head);
    hint = 0;
    for (struct json_iter it = json_iter(json_get(answer, "latest")); json_next_member(&it, &key, &value);)
        if ((item = find(heads, key, &hint)) && !item->latest)
            item->latest = read_events(value, item->tenant_id);
    hint = 0;
    for (struct json_iter it = json_iter(json_get(answer, "revocations"));
         json_next_member(&it, &key, &value);)
        if ((item = find(heads, key, &hint)) && !item->revocations) {
            item->revocations = xstrndup(value.p, value.n);
            item->revocations_n = value.n;
        }
    return true;
}

bool rpc_read_replay(struct view body, struct replay *replay, struct err *err)
{
    struct view answer;
    char tenant_id[TENANT_ID_MAX + 1];
    if (!read_answer(body, &answer, err))
        return false;
    if (!read_position(answer, "head", &replay->head) ||
        !json_copy_string(json_get(answer, "tenantId"), tenant_id, sizeof tenant_id))
        return err_set(err, ERR_INVALID, "an answer to replay without epoch, head or tenantId");
    replay->complete = json_is_true(json_get(answer, "complete"));
    replay->records = read_events(json_get(answer, "events"), tenant_id);
    return true;
}
