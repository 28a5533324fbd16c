/*
 * How many sessions each address has, for the cap of one address. Kept only while that is capped. Owner: the
 * hub. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_GUESTS_H
#define PORTAL_GATEWAY_CORE_GUESTS_H

#include "shared/address.h"
#include "shared/map.h"
#include <stddef.h>

struct guest;

struct guests {
    struct map by_address;
};

void guests_init(struct guests *g);
/* Everybody must have left. */
void guests_finish(struct guests *g);

size_t guests_count(const struct guests *g, const struct address *from);
/* One session more from there, which holds the answer until guests_leave(). */
struct guest *guests_enter(struct guests *g, const struct address *from);
void guests_leave(struct guests *g, struct guest *guest); /* NULL-safe */

#endif
