#include "state-manager/store/mongo.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/store/mongo_aside.h"
#include "state-manager/store/mongo_docs.h"
#include "state-manager/store/mongo_log.h"
#include "state-manager/store/mongo_settle.h"
#include "state-manager/store/mongo_tenants.h"
#include <stdlib.h>
#include <string.h>

enum { HEADS_MAX = 4096, WRITER_WAIT_MS = 60 };

/* --- heads -----------------------------------------------------------------------------------------------
 */

static void forget_heads(struct mongo_store *s)
{
    void *value;
    for (size_t at = 0; map_next(&s->heads, &at, NULL, &value);)
        free(value);
    map_free(&s->heads);
}

static void remember_head(struct mongo_store *s, const char *tenant_id, const struct head *head)
{
    if (!s->link.writer)
        return;
    if (s->heads.count >= HEADS_MAX)
        forget_heads(s);
    struct head *known = xcalloc(1, sizeof *known);
    *known = *head;
    free(map_put(&s->heads, view_of(tenant_id), known));
}

/* A head that ends where the log ends is as good as new, but for the relay's marks. */
static bool op_head(struct store *base, const char *tenant_id, struct head *out, struct err *err)
{
    struct mongo_store *s = mongo_store_of(base);
    struct head last, *known;
    *out = (struct head){0};
    if (!mongo_link_ready(&s->link, err) || !mongo_log_last(&s->link, tenant_id, &last, err))
        return false;
    known = map_get(&s->heads, view_of(tenant_id));
    if (known && last.n && known->n == last.n && !strcmp(known->epoch, last.epoch)) {
        *out = *known;
        return true;
    }
    if (!mongo_log_head(&s->link, tenant_id, &last, WRITER_WAIT_MS, out, err))
        return false;
    remember_head(s, tenant_id, out);
    return true;
}

/* --- committing ------------------------------------------------------------------------------------------
 */

/* Whether the entry follows the head; CONFLICT is set when it does not. */
static bool check_entry(struct mongo_store *s, struct entry *e, struct err *err)
{
    struct head head, *known = map_get(&s->heads, view_of(e->tenant_id));
    bool holds;
    if (known && known->n + 1 == e->n)
        head = *known;
    else if (!op_head(&s->base, e->tenant_id, &head, err))
        return false;
    if (*head.epoch)
        holds = !strcmp(head.epoch, e->epoch);
    else if (!mongo_tenant_begin(&s->link, e->tenant_id, e->epoch, &holds, err))
        return false;
    if (head.n + 1 != e->n || !holds)
        e->result = COMMIT_CONFLICT;
    return true;
}

/* What the handle knows of the tenant of an entry whose fate is known. */
static void learn_entry(struct mongo_store *s, const struct entry *e, bool settled)
{
    struct head *known = map_get(&s->heads, view_of(e->tenant_id));
    if (e->result == COMMIT_DONE && settled && known) {
        memcpy(known->epoch, e->epoch, strlen(e->epoch) + 1);
        known->n = e->n;
        known->seq = e->last_seq;
        if (e->figures_changed)
            known->figures_rev = e->n;
        mongo_settled_add(s, e);
    } else {
        free(map_remove(&s->heads, view_of(e->tenant_id)));
    }
}

static bool insert_and_settle(struct mongo_store *s, struct entry **entries, size_t count, struct err *err)
{
    struct err later = {0};
    bool ok = mongo_log_insert(&s->link, entries, count, err);
    bool settled = ok && mongo_settle(&s->link, entries, count, &later);
    /* Committed is committed: who asks for a head next writes what is missing. */
    if (ok && !settled)
        log_warn("store_behind", "code=%s text=\"%s\"", err_code_name(later.code), later.text);
    for (size_t i = 0; i < count; i++)
        learn_entry(s, entries[i], settled);
    return ok;
}

static bool op_commit(struct store *base, struct entry **entries, size_t count, struct err *err)
{
    struct mongo_store *s = mongo_store_of(base);
    for (size_t i = 0; i < count; i++)
        entries[i]->result = COMMIT_PENDING;
    if (!mongo_link_writing(&s->link, err))
        return false;
    struct entry **next = xcalloc(count, sizeof(struct entry *));
    size_t next_count = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ok = check_entry(s, entries[i], err);
        if (ok && entries[i]->result == COMMIT_PENDING)
            next[next_count++] = entries[i];
        else
            free(map_remove(&s->heads, view_of(entries[i]->tenant_id)));
    }
    if (ok && next_count)
        ok = insert_and_settle(s, next, next_count, err);
    free(next);
    return ok;
}

/* --- the handle ------------------------------------------------------------------------------------------
 */

static void op_close(struct store *base)
{
    struct mongo_store *s = mongo_store_of(base);
    mongo_settled_flush(s);
    mongo_link_close(&s->link);
    forget_heads(s);
    free(s);
}

static const struct store_ops mongo_ops = {
    .close = op_close,
    .head = op_head,
    .get = mongo_get,
    .get_many = mongo_get_many,
    .list = mongo_list,
    .scan = mongo_scan,
    .tenants = mongo_tenants,
    .commit = op_commit,
    .read_log = mongo_read_log,
    .unpublished = mongo_unpublished,
    .mark = mongo_mark,
    .channel_get = mongo_channel_get,
    .channel_put = mongo_channel_put,
    .channel_delete = mongo_channel_delete,
    .channels = mongo_channels,
    .quarantine = mongo_quarantine,
    .waiting_channel = mongo_waiting_channel,
    .waiting = mongo_waiting,
    .quarantine_scan = mongo_quarantine_scan,
    .quarantine_drop = mongo_quarantine_drop,
    .trim_log = mongo_trim_log,
    .expire = mongo_expire,
    .keep_newest = mongo_keep_newest,
    .quarantine_expire = mongo_quarantine_expire,
    .adopt = mongo_adopt,
};

struct store *mongo_store_open(const char *url, enum store_mode mode, struct err *err)
{
    struct mongo_store *s = xcalloc(1, sizeof *s);
    struct err reason = {0};
    s->base = (struct store){.ops = &mongo_ops, .remote = true};
    map_init(&s->heads);
    bool ok = mongo_link_open(&s->link, url, mode == STORE_WRITER, &reason);
    if (ok && mode == STORE_WRITER && !mongo_link_ready(&s->link, &reason)) {
        ok = err_is_transient(&reason);
        if (ok)
            log_warn("store_away", "text=\"%s\"", reason.text);
    }
    if (ok)
        return &s->base;
    if (err)
        *err = reason;
    op_close(&s->base);
    return NULL;
}
