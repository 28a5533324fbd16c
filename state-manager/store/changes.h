/* The changes of an entry as the log keeps them: JSON, enough to make every document again. Thread: any. */
#ifndef STATE_MANAGER_STORE_CHANGES_H
#define STATE_MANAGER_STORE_CHANGES_H

#include "state-manager/core/store.h"

/* Appends [{kind, key, parent, rank, ord, doc}, ...]. Too much shows as out->overflow. */
void changes_write(const struct change *changes, size_t count, struct buf *out);

/* Reads what changes_write() wrote; owned: free it with changes_free(). The documents are slices of `text`.
 * INTERNAL: the text is damaged or of a newer schema. */
bool changes_read(struct view text, struct change **changes, size_t *count, struct err *err) MUSTCHECK;
void changes_free(struct change *changes, size_t count); /* NULL-safe */

#endif
