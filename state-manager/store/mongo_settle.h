/* What follows the insert of log entries in the MongoDB store: documents, tenants, the end of `fresh` (see
 * mongo_log.h). For store/mongo*.c only. Thread: the handle's. */
#ifndef STATE_MANAGER_STORE_MONGO_SETTLE_H
#define STATE_MANAGER_STORE_MONGO_SETTLE_H

#include "state-manager/store/mongo_link.h"

/* For the entries that are DONE, one per tenant at most; all entries before them are settled. */
bool mongo_settle(struct mongo_link *l, struct entry *const *entries, size_t count,
                  struct err *err) MUSTCHECK;

#endif
