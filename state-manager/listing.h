/*
 * A page of a list on its way into an answer: {"items": [...], "nextCursor"}. Rows can be looked through for
 * what the store has no order for; then a page may hold fewer items than asked for, none even, although there
 * are more: the cursor goes on behind what was looked at.
 *
 * Thread: the reader's.
 */
#ifndef STATE_MANAGER_LISTING_H
#define STATE_MANAGER_LISTING_H

#include "shared/json.h"
#include "state-manager/core/store.h"
#include "state-manager/jobs.h"

struct listing_rules {
    /* NULL: every row is wanted. Else rows are looked through, up to a bound. */
    bool (*wants)(void *ctx, struct view doc);
    /* What is shown of a row, as one element; NULL: the document. False: the list fails with err. */
    bool (*shows)(void *ctx, struct json_writer *w, struct view doc, struct err *err);
    void *ctx;
};

/* job->page of that kind into job->reply. False: job->err says why. */
bool listing_answer(struct store *store, struct job *job, enum doc_kind kind,
                    const struct listing_rules *rules) MUSTCHECK;

#endif
