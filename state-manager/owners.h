/*
 * Which tenant owns a channel, remembered for some seconds: another state-manager may change it. Thread: the
 * committer's; asks its handle of the store. Lifetime: embedded.
 */
#ifndef STATE_MANAGER_OWNERS_H
#define STATE_MANAGER_OWNERS_H

#include "shared/map.h"
#include "state-manager/core/store.h"

struct owners {
    struct store *store;
    struct map known; /* channel id -> struct known_owner */
};

void owners_init(struct owners *o, struct store *store);
void owners_finish(struct owners *o);
/* The tenant; "" when the channel is nobody's. NULL: the store did not answer. Valid until the next call. */
const char *owners_find(struct owners *o, struct view channel_id, struct err *err);
/* We have just written it ourselves. "": nobody's now. */
void owners_learn(struct owners *o, struct view channel_id, const char *tenant_id);

#endif
