#include "state-manager/rpc/answers.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "state-manager/core/figures.h"
#include "state-manager/core/revocation.h"
#include <stdio.h>
#include <string.h>

bool answer_read_tenant(struct view string, char out[static TENANT_ID_MAX + 1], struct err *err)
{
    if (json_copy_string(string, out, TENANT_ID_MAX + 1) && tenant_id_valid(view_of(out)))
        return true;
    return err_set(err, ERR_INVALID, "a tenant id is missing or breaks its rule");
}

/* What is asked for every tenant of a request: the value of its member. */
typedef bool (*write_value_fn)(const struct answering *from, const char *tenant_id, struct json_writer *w,
                               struct err *err);

/* The member `key`: an object with a member for each of the first *count tenants; *count is left with those
 * for which there was room. */
static bool write_each(const struct answering *from, struct view tenants, const char *key,
                       write_value_fn write_value, size_t *count, struct json_writer *w, struct err *err)
{
    struct view one;
    size_t written = 0, begin = w->b->len;
    struct json_iter it = json_iter(tenants);
    jw_key(w, key);
    jw_begin(w, '{');
    for (; written < *count && json_next_element(&it, &one); written++) {
        char tenant_id[TENANT_ID_MAX + 1];
        if (w->b->len - begin > HEADS_BYTES)
            break;
        if (!answer_read_tenant(one, tenant_id, err))
            return false;
        jw_key(w, tenant_id);
        if (!write_value(from, tenant_id, w, err))
            return false;
    }
    jw_end(w, '}');
    *count = written;
    return true;
}

static bool write_head(const struct answering *from, const char *tenant_id, struct json_writer *w,
                       struct err *err)
{
    struct head head;
    if (!from->store->ops->head(from->store, tenant_id, &head, err))
        return false;
    jw_begin(w, '{');
    jw_key_text(w, "epoch", head.epoch);
    jw_key_i64(w, "seq", (int64_t)head.seq);
    jw_end(w, '}');
    return true;
}

/* The newest values of a tenant, as many as there is room for. */
struct newest {
    struct json_writer *w;
    size_t bytes;
};

static bool write_latest_row(void *ctx, const struct listed *row)
{
    struct newest *n = ctx;
    n->bytes += row->doc.n;
    if (n->bytes > LATEST_BYTES)
        return false;
    jw_raw(n->w, row->doc);
    return true;
}

/* The figures are a latest event too; its body is made when it is asked for. */
static bool write_figures(const struct answering *from, const char *tenant_id, struct json_writer *w,
                          struct err *err)
{
    struct head head;
    struct buf doc, data;
    struct figures figures;
    bool found = false;
    char id[24];
    buf_init(&doc, DOC_MAX);
    buf_init(&data, DOC_MAX);
    bool ok = from->store->ops->head(from->store, tenant_id, &head, err) &&
              from->store->ops->get(from->store, tenant_id, DOC_FIGURES, VIEW("all"), &doc, &found, err);
    if (ok && found) {
        figures_read(buf_view(&doc), &figures);
        figures_show(&figures, from->now_wall_ms, &data);
        struct event_draft draft = {.type = "metrics_update",
                                    .class = EVENT_LATEST,
                                    .key = VIEW("dashboard"),
                                    .rev = head.figures_rev,
                                    .data = buf_view(&data)};
        crypto_random_id("e_", id);
        buf_clear(&doc);
        event_encode(&doc, &draft, tenant_id, id, "", 0, from->now_wall_ms);
        jw_raw(w, buf_view(&doc));
    }
    buf_free(&doc);
    buf_free(&data);
    return ok;
}

static bool write_latest(const struct answering *from, const char *tenant_id, struct json_writer *w,
                         struct err *err)
{
    struct page page = {.parent = {"", 0}, .limit = 100};
    struct newest newest = {.w = w};
    jw_begin(w, '[');
    bool ok =
        from->store->ops->list(from->store, tenant_id, DOC_LATEST, &page, write_latest_row, &newest, err) &&
        write_figures(from, tenant_id, w, err);
    jw_end(w, ']');
    return ok;
}

/* Those that a revocation of the whole tenant does not make needless. */
struct revoked {
    struct json_writer *w;
    int64_t all_before;
    size_t count;
    char last[DOC_KEY_MAX + 1];
};

static bool write_revocation(void *ctx, const struct change *row)
{
    struct revoked *r = ctx;
    int64_t before = 0;
    if (!view_copy(row->key, r->last, sizeof r->last))
        return false;
    r->count++;
    bool counts = json_i64(json_get(row->doc, "before"), &before) && before > r->all_before;
    if (counts || view_is(row->key, REVOCATION_TENANT))
        jw_raw(r->w, row->doc);
    return true;
}

static bool write_revocations(const struct answering *from, const char *tenant_id, struct json_writer *w,
                              struct err *err)
{
    struct revoked r = {.w = w};
    struct buf all;
    bool found = false;
    buf_init(&all, DOC_MAX);
    bool ok = from->store->ops->get(from->store, tenant_id, DOC_REVOCATION, VIEW(REVOCATION_TENANT), &all,
                                    &found, err);
    if (found && !json_i64(json_get(buf_view(&all), "before"), &r.all_before))
        r.all_before = 0;
    buf_free(&all);
    jw_begin(w, '[');
    for (r.count = PAGE_ROWS_MAX; ok && r.count == PAGE_ROWS_MAX;) {
        r.count = 0;
        ok = from->store->ops->scan(from->store, tenant_id, DOC_REVOCATION, view_of(r.last), PAGE_ROWS_MAX,
                                    write_revocation, &r, err);
    }
    jw_end(w, ']');
    return ok;
}

static bool answer_heads(const struct answering *from, struct view request, struct json_writer *w,
                         struct err *err)
{
    struct view tenants = json_get(request, "tenants");
    if (json_type(tenants) != JSON_ARRAY)
        return err_set(err, ERR_INVALID, "tenants must be an array");
    size_t count = 0;
    struct view one;
    for (struct json_iter it = json_iter(tenants); json_next_element(&it, &one);)
        count++;
    if (count > HEADS_MAX)
        return err_set(err, ERR_INVALID, "more than %d tenants in one request", HEADS_MAX);
    /* What may be large comes first: who has no room for it has no head either, and asks again. */
    bool latest = json_is_true(json_get(request, "latest"));
    return (!latest || (write_each(from, tenants, "latest", write_latest, &count, w, err) &&
                        write_each(from, tenants, "revocations", write_revocations, &count, w, err))) &&
           write_each(from, tenants, "heads", write_head, &count, w, err);
}

/* A replay being collected: event bodies behind `after`, up to the caps. */
struct replay {
    struct json_writer *w;
    uint64_t after, next; /* the seq that must come next, or events are gone */
    size_t limit, count, bytes;
    bool gap;
};

static bool on_entry(void *ctx, const struct log_entry *entry)
{
    struct replay *r = ctx;
    struct view body;
    for (struct json_iter it = json_iter(entry->events); json_next_element(&it, &body);) {
        int64_t seq;
        if (!json_i64(json_get(body, "seq"), &seq) || (uint64_t)seq <= r->after)
            continue;
        r->gap |= !r->count && (uint64_t)seq != r->next;
        if (r->gap || r->count == r->limit || r->bytes > REPLAY_BYTES)
            return false;
        jw_raw(r->w, body);
        r->count++;
        r->bytes += body.n;
    }
    return true;
}

static bool answer_replay(const struct answering *from, struct view request, struct json_writer *w,
                          struct err *err)
{
    char tenant_id[TENANT_ID_MAX + 1], epoch[EPOCH_MAX + 1];
    int64_t after, limit;
    struct head head;
    if (!answer_read_tenant(json_get(request, "tenantId"), tenant_id, err))
        return false;
    if (!json_copy_string(json_get(request, "epoch"), epoch, sizeof epoch) ||
        !json_i64(json_get(request, "after"), &after) || after < 0 ||
        !json_i64(json_get(request, "limit"), &limit) || limit < 1)
        return err_set(err, ERR_INVALID, "epoch, after and limit are needed");
    if (!from->store->ops->head(from->store, tenant_id, &head, err))
        return false;
    struct replay r = {.w = w,
                       .after = (uint64_t)after,
                       .next = (uint64_t)after + 1,
                       .limit = limit < REPLAY_EVENTS_MAX ? (size_t)limit : REPLAY_EVENTS_MAX};
    bool same = !strcmp(epoch, head.epoch);
    jw_key_text(w, "tenantId", tenant_id);
    jw_key_text(w, "epoch", head.epoch);
    jw_key_i64(w, "head", (int64_t)head.seq);
    jw_key(w, "events");
    jw_begin(w, '[');
    if (same &&
        !from->store->ops->read_log(from->store, tenant_id, LOG_BY_SEQ, r.after, false, on_entry, &r, err))
        return false;
    jw_end(w, ']');
    bool missing = r.gap || (!r.count && r.after < head.seq);
    jw_key_bool(w, "complete", same && !missing);
    return true;
}

static const struct {
    const char *op;
    bool (*answer)(const struct answering *from, struct view request, struct json_writer *w, struct err *err);
} ops[] = {
    {"heads", answer_heads},
    {"replay", answer_replay},
    {"rights", answer_rights},
    {"sessions", answer_sessions},
};

static bool answer(const struct answering *from, struct view request, struct json_writer *w, struct err *err)
{
    for (size_t i = 0; i < countof(ops); i++)
        if (json_type(json_get(request, "op")) == JSON_STRING &&
            json_string_is(json_get(request, "op"), ops[i].op))
            return ops[i].answer(from, request, w, err);
    return err_set(err, ERR_INVALID, "no such op");
}

static void begin(struct json_writer *w, bool ok, struct buf *out)
{
    buf_clear(out);
    jw_init(w, out);
    jw_begin(w, '{');
    jw_key_bool(w, "ok", ok);
}

void rpc_refuse(const struct err *err, struct buf *out)
{
    struct json_writer w;
    begin(&w, false, out);
    jw_key(&w, "error");
    jw_begin(&w, '{');
    jw_key_text(&w, "code", err_code_name(err->code));
    jw_key_text(&w, "message", err->text);
    jw_end(&w, '}');
    jw_end(&w, '}');
}

static void refuse_large(struct buf *out)
{
    struct err err;
    err_set(&err, ERR_TOO_LARGE, "the answer is over %d bytes", ANSWER_MAX);
    rpc_refuse(&err, out);
}

void rpc_reply(struct view reply, struct buf *out)
{
    struct json_writer w;
    begin(&w, true, out);
    jw_key_raw(&w, "reply", reply);
    jw_end(&w, '}');
    if (out->overflow)
        refuse_large(out);
}

void rpc_answer(const struct answering *from, struct view request, struct buf *out)
{
    struct json_writer w;
    struct err err = {0};
    begin(&w, true, out);
    bool ok = answer(from, request, &w, &err);
    jw_end(&w, '}');
    if (!ok)
        rpc_refuse(&err, out);
    else if (out->overflow)
        refuse_large(out);
}
