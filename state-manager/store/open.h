/* Opens a store by its URL. Contract: core/store.h. Thread: the one that will use the handle. */
#ifndef STATE_MANAGER_STORE_OPEN_H
#define STATE_MANAGER_STORE_OPEN_H

#include "state-manager/core/store.h"

/* "sqlite:PATH" or "mongodb://..." (also mongodb+srv). The writer comes first: it makes what is missing.
 * Returns owned, or NULL and err. */
struct store *store_open(const char *url, enum store_mode mode, struct err *err);

#endif
