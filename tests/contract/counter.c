#include "tests/contract/counter.h"
#include "state-manager/store/changes.h"
#include "tests/contract/store_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIES = 120, TRY_MS = 100 };

void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

bool counter_add(struct store *s, const char *author, int number, struct err *err)
{
    struct head head;
    struct buf doc;
    bool found, ok;
    char counter[24], key[64], event[80];
    buf_init(&doc, DOC_MAX);
    ok = s->ops->head(s, "t1", &head, err) &&
         s->ops->get(s, "t1", DOC_FIGURES, VIEW("all"), &doc, &found, err);
    snprintf(counter, sizeof counter, "%d",
             ok && found ? (int)strtol(doc.data, NULL, 10) + 1 : 1); /* our own digits */
    buf_free(&doc);
    snprintf(key, sizeof key, "%s-%d", author, number);
    snprintf(event, sizeof event, "[\"%s\"]", key);
    struct change changes[] = {
        {DOC_FIGURES, VIEW("all"), {.rank = 0, .ord = 0}, view_of(counter)},
        {DOC_MESSAGE, view_of(key), {.parent = VIEW("c"), .rank = 1, .ord = (int64_t)head.n}, VIEW("{}")}};
    struct entry e = store_entry("t1", head.n + 1, event, head.seq + 1, head.seq + 1), *group = &e;
    e.epoch = *head.epoch ? head.epoch : author;
    e.changes = changes;
    e.change_count = 2;
    return ok && s->ops->commit(s, &group, 1, err) && e.result == COMMIT_DONE;
}

void counter_add_patiently(struct store *s, const char *author)
{
    struct err err = {0};
    for (int tries = 0; tries < TRIES; tries++) {
        err = (struct err){0};
        if (counter_add(s, author, tries, &err))
            return;
        ck_assert_msg(!err.code || err.code == ERR_UNAVAILABLE || err.code == ERR_TIMEOUT, "%s %s",
                      err_code_name(err.code), err.text);
        pause_ms(TRY_MS);
    }
    ck_abort_msg("the store is back, but not for us: %s", err.text);
}

/* --- the log against the documents -----------------------------------------------------------------------
 */

struct audit {
    uint64_t n;
    char last_counter[24];
    struct store *store;
};

static bool audit_entry(void *ctx, const struct log_entry *e)
{
    struct audit *a = ctx;
    struct change *changes;
    size_t count;
    char key[64];
    ck_assert_uint_eq(e->n, ++a->n);
    ck_assert_uint_eq(e->last_seq, a->n);
    ck_assert(changes_read(e->changes, &changes, &count, NULL));
    snprintf(a->last_counter, sizeof a->last_counter, "%.*s", VIEW_ARG(changes[0].doc));
    ck_assert_int_eq((int)strtol(a->last_counter, NULL, 10), (int)a->n);
    snprintf(key, sizeof key, "%.*s", VIEW_ARG(changes[1].key));
    ck_assert_msg(!strcmp(store_doc(a->store, "t1", DOC_MESSAGE, key), "{}"), "entry %d has no document",
                  (int)e->n);
    changes_free(changes, count);
    return true;
}

uint64_t counter_audit(struct store *s)
{
    struct audit a = {.store = s, .last_counter = "-"};
    struct head head;
    CK_STORE(s, head, "t1", &head);
    CK_STORE(s, read_log, "t1", LOG_BY_ENTRY, 0, true, audit_entry, &a);
    ck_assert_uint_eq(a.n, head.n);
    ck_assert_uint_eq(a.n, head.seq);
    ck_assert_str_eq(store_doc(s, "t1", DOC_FIGURES, "all"), a.last_counter);
    return a.n;
}
