/* Channels and the quarantine of the MongoDB store: {_id, tenant, display, token}; {_id: digest, at, reason,
 * channel_id, bytes}. For store/mongo*.c only. Contract: core/store.h. Thread: the one of the handle. */
#ifndef STATE_MANAGER_STORE_MONGO_ASIDE_H
#define STATE_MANAGER_STORE_MONGO_ASIDE_H

#include "state-manager/store/mongo_link.h"

bool mongo_channel_get(struct store *s, struct view channel_id, struct channel *out, bool *found,
                       struct err *err) MUSTCHECK;
bool mongo_channel_put(struct store *s, const struct channel *channel, struct err *err) MUSTCHECK;
bool mongo_channel_delete(struct store *s, struct view channel_id, bool *found, struct err *err) MUSTCHECK;
bool mongo_channels(struct store *s, struct view after, size_t limit, store_channel_fn fn, void *ctx,
                    struct err *err) MUSTCHECK;

bool mongo_quarantine(struct store *s, const struct quarantined *rows, size_t count,
                      struct err *err) MUSTCHECK;
bool mongo_waiting_channel(struct store *s, struct view after, char out[static CHANNEL_ID_SIZE], bool *found,
                           struct err *err) MUSTCHECK;
bool mongo_waiting(struct store *s, struct view channel_id, size_t limit, store_quarantined_fn fn, void *ctx,
                   struct err *err) MUSTCHECK;
bool mongo_quarantine_scan(struct store *s, struct view after, size_t limit, store_quarantined_fn fn,
                           void *ctx, struct err *err) MUSTCHECK;
bool mongo_quarantine_drop(struct store *s, const char *const *digests, size_t count,
                           struct err *err) MUSTCHECK;
bool mongo_quarantine_expire(struct store *s, int64_t before_wall_ms, size_t limit, size_t *removed,
                             struct err *err) MUSTCHECK;

#endif
