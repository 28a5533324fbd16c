/*
 * The users of a profile as its `people` resource keeps them: what their tokens say, {id, name, email, phone,
 * role}, role being the first of the profile's. Backends and platform administrators are no people. Pure but
 * for reads and writes on a batch. Thread: any.
 */
#ifndef STATE_MANAGER_CORE_PEOPLE_H
#define STATE_MANAGER_CORE_PEOPLE_H

#include "shared/buf.h"
#include "shared/profile.h"
#include "state-manager/core/record.h"

/* Whether the profile keeps its people and the caller is one; then `id` is his. */
bool people_includes(const struct profile *p, struct view claims, char id[static RECORD_TEXT_SIZE]);
/* Whether what is kept of him says what his token says. */
bool people_is_current(const struct profile *p, struct view claims, const struct record *kept);
/* His document as it should be; what others have written in it stays. */
void people_write(const struct profile *p, struct view claims, const char *id, const struct record *kept,
                  struct buf *out);

#endif
