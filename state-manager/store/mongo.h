/*
 * The store of several state-managers: MongoDB by its wire protocol. Contract: core/store.h; design.md 4.
 *
 * The insert of a log entry (majority, journaled) is the commit; its documents follow, each guarded by the
 * number of the entry, so that anybody may write them again. Who finds an entry whose documents are not all
 * there - head() and unpublished() look, on every kind of handle - writes them first. get() and list() do not
 * look: after a writer that was killed in between they may lag by that entry until the next head() of the
 * tenant or the relay's next sweep, 2 s at most while a state-manager lives.
 *
 * Only what every server has is used: insert, update with upsert, find, unique indexes. Each handle has a
 * client of its own and no thread behind it: a handle belongs to one thread, and a store that is away is
 * found out at once instead of after a wait for a monitor.
 */
#ifndef STATE_MANAGER_STORE_MONGO_H
#define STATE_MANAGER_STORE_MONGO_H

#include "state-manager/core/store.h"

/* The whole URL; a database "portalcast" unless it names another. A store that does not answer is no error
 * here: what is missing is made once it does. INVALID: the URL; INTERNAL: credentials refused or a newer
 * schema. */
struct store *mongo_store_open(const char *url, enum store_mode mode, struct err *err);

#endif
