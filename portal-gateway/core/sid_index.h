/*
 * Sessions by their secret id: the way from a polling request to its session. Chained through the sessions
 * themselves, because there are tens of thousands: 16 bytes each. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_SID_INDEX_H
#define PORTAL_GATEWAY_CORE_SID_INDEX_H

#include "shared/view.h"
#include <stddef.h>

struct session;

struct sid_index {
    struct session **buckets;
    size_t cap, count; /* cap: 0 or a power of two */
};

void sid_index_init(struct sid_index *index);
void sid_index_finish(struct sid_index *index); /* of the index itself */
void sid_index_add(struct sid_index *index, struct session *s);
/* Does nothing when it is not in there. */
void sid_index_remove(struct sid_index *index, struct session *s);
struct session *sid_index_find(const struct sid_index *index, struct view sid); /* NULL: nobody */

#endif
