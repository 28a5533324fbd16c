/*
 * The newest value per (type, key) of a tenant's `latest` events, for sockets that come later. Bounded: keys
 * over the maximum are delivered, but not kept. What this gateway itself makes has a space of its own, which
 * its maker keeps within bounds. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_LATEST_H
#define PORTAL_GATEWAY_CORE_LATEST_H

#include "portal-gateway/core/frame.h"
#include "portal-gateway/core/record.h"
#include "shared/map.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LATEST_KEYS_MAX = 256 };

struct latest_value {
    struct record *record;
    uint64_t place; /* of its entry in the ring */
    struct frame
        *frames[FRAME_FORMS]; /* as it looks to who comes while the stream stands there; NULL: not made */
    struct position framed_at;
};

struct latest {
    struct map values;
    size_t own; /* of them */
};

void latest_init(struct latest *l);
void latest_finish(struct latest *l);
void latest_clear(struct latest *l);
/* The value that the record would replace, or NULL. */
struct latest_value *latest_find(const struct latest *l, const struct record *r);
/* Keeps a copy of the record as the newest, whose entry stands at place. */
void latest_keep(struct latest *l, const struct record *r, uint64_t place);
/* A value of our own is none any more. */
void latest_forget_own(struct latest *l, const char *type, const char *key);
/* Walks, as map_next(). */
bool latest_next(const struct latest *l, size_t *at, struct latest_value **out);
/* The value for somebody who stands there; one reference. */
struct frame *latest_frame(struct latest_value *value, enum frame_form form, const struct position *at);

#endif
