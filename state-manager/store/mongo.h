/*
 * The store of several state-managers: MongoDB by its wire protocol. Contract: core/store.h; design.md 4.
 *
 * The insert of a log entry (majority, journaled) is the commit; its documents follow, each guarded by the
 * number of the entry, so that anybody may write them again. Who finds an entry whose documents are not all
 * there - head(), tenants() and unpublished() look, on every kind of handle - gives its writer a moment, then
 * writes them. get() and list() do not look: after a writer that was killed in between they may lag by that
 * entry until the next head() of the tenant or the relay's next sweep, 2 s at most while a state-manager
 * lives.
 *
 * Durable round trips are what a commit costs, so there are three for a whole group: log, documents, tenants;
 * and head() has one when this handle wrote the last entry (it gives the relay's marks of that time then).
 *
 * Only what every server has is used: insert, update with upsert, delete, find, count, unique indexes. Each
 * handle has a client of its own and no thread behind it: a handle belongs to one thread, and a store that is
 * away is found out at once instead of after a wait for a monitor. Of the URL all options count (credentials,
 * TLS, replica set, timeouts: 2 s unless given), but for read preference and write concern, which are ours.
 */
#ifndef STATE_MANAGER_STORE_MONGO_H
#define STATE_MANAGER_STORE_MONGO_H

#include "state-manager/core/store.h"

/* The whole URL; a database "portalcast" unless it names another. A store that does not answer is no error
 * here: what is missing is made once it does. INVALID: the URL; INTERNAL: credentials refused or a newer
 * schema. */
struct store *mongo_store_open(const char *url, enum store_mode mode, struct err *err);

#endif
