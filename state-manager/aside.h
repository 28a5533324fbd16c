/*
 * What a group of jobs puts into the quarantine: collected while webhooks are taken apart and decided, kept
 * by the store in one go. Thread: the committer's. Lifetime: rows borrow their bytes, unless they own them,
 * until aside_clear().
 */
#ifndef STATE_MANAGER_ASIDE_H
#define STATE_MANAGER_ASIDE_H

#include "state-manager/core/command.h"
#include "state-manager/core/store.h"

struct aside {
    struct quarantined *rows;
    char **bodies; /* owned bytes of a row, or NULL when they are a job's */
    size_t count, cap;
};

void aside_finish(struct aside *a);
void aside_add(struct aside *a, const char *reason, struct view channel_id, struct view bytes);
/* Nobody's yet: kept so that it can be taken apart again, with all that came with it. */
void aside_add_waiting(struct aside *a, const struct command *command);
void aside_clear(struct aside *a);

#endif
