/*
 * The dashboard's figures, defined here and nowhere else. They are kept as one small document per tenant that
 * every entry moves along, so that they cost the same after a year.
 *
 *   activeConversations   conversations that are not closed
 *   waitingConversations  not closed, last message inbound
 *   totalMessagesToday    messages of both directions accepted since the tenant's midnight
 *   avgResponseTime       seconds from the first unanswered inbound message to the next outbound one, mean
 * over the answers given since the tenant's midnight; 0 while there is none
 *
 * All by the clock of the state-manager, at acceptance: senders' clocks differ. Today is the day in the
 * tenant's time zone, which is kept here, since whoever needs the figures needs it. The day begins when the
 * first of the state-managers says so, and does not come back: one whose clock is up to CLOCK_STEP_MAX_MS
 * behind goes on counting in the day that has begun. A clock further back than that was wrong before; then
 * its day begins anew, with nothing counted.
 *
 * A new time zone holds at once. What the old zone's today has counted stays in the new one's today, until
 * the new zone's next midnight: moments are not kept, and nothing counted is lost. A zone that this machine's
 * tzdata has no longer counts as UTC.
 *
 * Thread: any (plain values).
 */
#ifndef STATE_MANAGER_CORE_FIGURES_H
#define STATE_MANAGER_CORE_FIGURES_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/view.h"
#include "shared/zone.h"
#include "state-manager/core/model.h"
#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_STEP_MAX_MS = 3600000 };

struct figures {
    int64_t active, waiting;
    int64_t day; /* days since 1970 in the zone, that the rest belongs to */
    int64_t messages_today;
    int64_t answers, answer_ms; /* count and sum */
    char time_zone[ZONE_NAME_MAX + 1];
};

/* An empty slice gives zeros in UTC. */
void figures_read(struct view doc, struct figures *out);
void figures_write(const struct figures *f, struct buf *out);

/* Starts a new day when `now` is in one. */
void figures_roll(struct figures *f, int64_t now_wall_ms);
/* Whether the day is over that something was counted in: what was announced last is true no longer. */
bool figures_is_stale(const struct figures *f, int64_t now_wall_ms);
/* From now on today is that zone's. False: there is no such zone, nothing changed. */
bool figures_set_zone(struct figures *f, const char *time_zone, int64_t now_wall_ms) MUSTCHECK;
/* A conversation changed; before is NULL when it is new. */
void figures_conversation(struct figures *f, const struct conversation *before,
                          const struct conversation *after);
void figures_message(struct figures *f);
void figures_answer(struct figures *f, int64_t waited_ms);

/* The payload of metrics_update and of GET /api/v1/dashboard/stats, as of now. */
void figures_show(const struct figures *f, int64_t now_wall_ms, struct buf *out);

#endif
