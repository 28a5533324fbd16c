/*
 * One tenant's next log entry in the making: what several commands decided together.
 *
 * Reads see what earlier commands of the batch wrote, then the store as of the head that was read first; so a
 * command decides alike whether it is alone or the hundredth. Nothing is written before the commit of the
 * entry. A failed read spoils the batch (`failed`): nothing of it may be committed then.
 *
 * Thread: the committer's. Lifetime: batch_create() to batch_destroy(); slices that it hands out live as
 * long.
 */
#ifndef STATE_MANAGER_CORE_BATCH_H
#define STATE_MANAGER_CORE_BATCH_H

#include "shared/event.h"
#include "state-manager/core/figures.h"
#include "state-manager/core/store.h"

struct batch;

/* Reads the tenant's head. NULL and err: the store did not answer. */
struct batch *batch_create(struct store *store, const char *tenant_id, int64_t now_wall_ms, struct err *err);
void batch_destroy(struct batch *b); /* NULL-safe */

const char *batch_tenant(const struct batch *b);
int64_t batch_now(const struct batch *b); /* wall ms; the same for all its commands */
/* A number that grows with every call, over all batches of the tenant: the order of arrival. */
int64_t batch_next_ord(struct batch *b);
bool batch_failed(const struct batch *b, struct err *err);
/* Whether nothing more should go into this entry. */
bool batch_full(const struct batch *b);
/* Counts a command in. */
void batch_count_command(struct batch *b);

/* Foretells a batch_get(): what was foretold is read together by batch_fetch(), since a store may be a
 * network away. Neither is needed for a right answer. */
void batch_want(struct batch *b, enum doc_kind kind, struct view key);
void batch_fetch(struct batch *b);
/* The document, or an empty slice when there is none or the store failed. */
struct view batch_get(struct batch *b, enum doc_kind kind, struct view key);
/* Replaces the document; key, place and doc are copied. */
void batch_put(struct batch *b, enum doc_kind kind, struct view key, struct doc_place place, struct view doc);
struct figures *batch_figures(struct batch *b); /* to be changed in place; written by batch_seal() */

/* The figures count as changed, so that they are announced although they are the same. */
void batch_touch_figures(struct batch *b);

struct emitted {
    char id[24];
    char offset[OFFSET_SIZE]; /* "" for what has no seq */
};

/* Adds an event; the draft is copied. Its offset holds when the entry is committed. */
void batch_emit(struct batch *b, const struct event_draft *draft, struct emitted *out);

/* The entry as it stands; borrowed, the batch keeps what it points to. NULL with err clear: the commands
 * changed nothing; with err set: the batch has failed. */
struct entry *batch_seal(struct batch *b, struct err *err);

#endif
