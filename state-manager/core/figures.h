/*
 * The dashboard's figures, defined here and nowhere else. They are kept as one small document per tenant that
 * every entry moves along, so that they cost the same after a year.
 *
 *   activeConversations   conversations that are not closed
 *   waitingConversations  not closed, last message inbound
 *   totalMessagesToday    messages of both directions accepted since the tenant's midnight (UTC)
 *   avgResponseTime       seconds from the first unanswered inbound message to the next outbound one, mean
 * over the answers given since the tenant's midnight; 0 while there is none
 *
 * All by the clock of the state-manager, at acceptance: senders' clocks differ. Thread: any (plain values).
 */
#ifndef STATE_MANAGER_CORE_FIGURES_H
#define STATE_MANAGER_CORE_FIGURES_H

#include "shared/buf.h"
#include "shared/view.h"
#include "state-manager/core/model.h"
#include <stdint.h>

struct figures {
    int64_t active, waiting;
    int64_t day; /* days since 1970 that the rest belongs to */
    int64_t messages_today;
    int64_t answers, answer_ms; /* count and sum */
};

/* An empty slice gives zeros. */
void figures_read(struct view doc, struct figures *out);
void figures_write(const struct figures *f, struct buf *out);

/* Starts a new day when `now` is in one. */
void figures_roll(struct figures *f, int64_t now_wall_ms);
/* A conversation changed; before is NULL when it is new. */
void figures_conversation(struct figures *f, const struct conversation *before,
                          const struct conversation *after);
void figures_message(struct figures *f);
void figures_answer(struct figures *f, int64_t waited_ms);

/* The payload of metrics_update and of GET /api/v1/dashboard/stats, as of now. */
void figures_show(const struct figures *f, int64_t now_wall_ms, struct buf *out);

#endif
