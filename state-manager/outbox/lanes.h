/*
 * How far the log of each tenant is published: handed to the broker, confirmed by it, marked in the store.
 * Lanes come with the first news of a tenant and go when they have been idle and settled for a minute.
 * Thread: the relay's.
 */
#ifndef STATE_MANAGER_OUTBOX_LANES_H
#define STATE_MANAGER_OUTBOX_LANES_H

#include "shared/backoff.h"
#include "shared/list.h"
#include "shared/map.h"
#include "state-manager/core/store.h"
#include "state-manager/jobs.h"
#include <stdbool.h>
#include <stdint.h>

/* Messages of one tenant in flight; and while other tenants are there, whose messages stand behind them: so
 * many, and fewer of an entry that goes out in parts, which has hundreds. */
enum { LANE_WINDOW = 2048, LANE_WINDOW_SHARED = 32, LANE_WINDOW_OF_PARTS = 8 };

enum { FIGURES_EVERY_MS = 1000 /* of one tenant, at most */ };

struct lane {
    struct list node;      /* in lanes.due while there may be something to publish */
    struct list announced; /* in lanes.announced for a while behind its figures */
    char tenant_id[TENANT_ID_MAX + 1];
    uint64_t sent;      /* entries up to here were handed to the broker */
    size_t part;        /* bytes of the next one's events that were, too */
    size_t in_flight;   /* messages that the broker has not confirmed */
    size_t window;      /* at most so many */
    bool is_full;       /* as lane_is_full() last found */
    uint64_t hash;      /* of its tenant, in the crowd */
    uint64_t confirmed; /* and up to here it has them */
    uint64_t marked;    /* and the store knows */
    uint64_t figures_confirmed, figures_marked, figures_sent;
    bool figures_dirty;
    bool more;              /* entries behind `sent` may wait */
    bool refused;           /* the broker has said no since the last confirm */
    int64_t retry_at_ms;    /* after a refusal: nothing is published before */
    struct backoff backoff; /* between refusals */
    int64_t figures_at_ms;  /* when they were last announced; monotonic, as all here */
    int64_t marked_at_ms, used_at_ms;
};

struct lanes {
    struct map by_tenant;
    struct list due;
    struct list announced; /* oldest first */
    int64_t marks_at_ms;   /* when marks were last looked for */
};

void lanes_init(struct lanes *l);
void lanes_finish(struct lanes *l);
/* The lane of a tenant; a new one starts where the store says. NULL and err: the store did not answer. */
struct lane *lanes_get(struct lanes *l, struct store *store, const char *tenant_id, struct err *err);
/* What it may have in flight from now on. */
void lane_set_window(struct lane *lane, bool others_are_there);
/* Whether it has to wait for the broker: more would only stand there in front of others' messages. Who has
 * come that far waits until half of them are confirmed: each turn begins with reading the log. */
bool lane_is_full(struct lane *lane);
void lanes_make_due(struct lanes *l, struct lane *lane);
/* Its figures may go out: some have changed, and the last announcement is FIGURES_EVERY_MS old. */
bool lane_may_announce(const struct lane *lane);
/* After its turn: it is due no longer, unless there is more for now. Who only waits until its figures may go
 * out again is not looked at before: of a thousand tenants with something to say, most do. now_ms: the same
 * that publish_figures() had in this turn; figures of then are what it has to wait behind. */
void lanes_settle(struct lanes *l, struct lane *lane, int64_t now_ms);
/* Those whose figures have changed and may go out again are due. */
void lanes_take_waiting(struct lanes *l, int64_t now_ms);
/* How long there is nothing to do but to listen to the broker: at most so long. */
int64_t lanes_wait_ms(struct lanes *l, int64_t now_ms, int64_t most);
/* The broker has an entry, or has refused one: then the lane goes on from what is confirmed, after a pause.
 */
void lanes_confirm(struct lane *lane, uint64_t entry);
void lanes_refuse(struct lanes *l, struct lane *lane, int64_t now_ms);
/* After a lost connection: all goes on from what is confirmed. */
void lanes_start_over(struct lanes *l);
/* Tells the store how far they got, through the committer; a mark that finds its queue full comes again. */
void lanes_send_marks(struct lanes *l, struct jobs *jobs, int64_t now_ms);
void lanes_drop_idle(struct lanes *l, int64_t now_ms);

#endif
