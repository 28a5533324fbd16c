/* The indexes of the MongoDB store and its version. For store/mongo*.c only. Thread: the handle's. */
#ifndef STATE_MANAGER_STORE_MONGO_SCHEMA_H
#define STATE_MANAGER_STORE_MONGO_SCHEMA_H

#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>

struct mongo_link;

/* Makes what is missing (a reader only looks); doing it again changes nothing. INTERNAL: the database is of a
 * schema that this program does not know. */
bool mongo_schema_make(struct mongo_link *l, struct err *err) MUSTCHECK;

#endif
