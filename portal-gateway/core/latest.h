/*
 * The newest value per (type, key) of a tenant's `latest` events, for sockets that come later. Bounded: keys
 * over the maximum are delivered, but not kept. What this gateway itself makes has a space of its own, which
 * its maker keeps within bounds. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_LATEST_H
#define PORTAL_GATEWAY_CORE_LATEST_H

#include "portal-gateway/core/frame.h"
#include "portal-gateway/core/record.h"
#include "shared/buf.h"
#include "shared/map.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LATEST_KEYS_MAX = 256 };

struct latest_value {
    struct record *record;
    uint64_t place;                /* of its entry in the ring */
    struct buf stems[FRAME_FORMS]; /* empty: not made */
};

/* Some values as frames, few enough to be handed over at once. Owner: who made it. */
struct latest_pack {
    struct frame **frames; /* one reference each */
    size_t count;
};

struct latest {
    struct map values;
    size_t own;        /* of them */
    size_t restricted; /* those for some rooms only */
    /* All that are for everybody, as they look to who comes while the stream stands there, until one changes
     */
    struct latest_pack packs[FRAME_FORMS];
    struct position packed_at;
    uint64_t packed_before; /* all of their places are */
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
bool latest_is_restricted(const struct latest_value *value);
/* All that are for everybody, to somebody who stands there: many come at once, and each is told all, so they
 * share what it looks like. Borrowed, until the next call. */
const struct latest_pack *latest_for_all(struct latest *l, enum frame_form form, const struct position *at);
/* Those that are chosen; latest_pack_finish() ends it. */
struct latest_pack latest_choose(struct latest *l, enum frame_form form, const struct position *at,
                                 bool (*chosen)(const void *ctx, const struct latest_value *value),
                                 const void *ctx);
void latest_pack_finish(struct latest_pack *pack);

#endif
