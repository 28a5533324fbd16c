/*
 * A JSON object in the making: its members in any order, set and taken away, then written in the order that a
 * resource's documents have. Thread: any. Lifetime: members_init() to members_free(); names and values are
 * borrowed.
 */
#ifndef STATE_MANAGER_CORE_MEMBERS_H
#define STATE_MANAGER_CORE_MEMBERS_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/profile.h"
#include "shared/view.h"

struct member {
    struct view name, value; /* plain; raw JSON */
    bool written;
};

struct members {
    struct member *items;
    size_t count, cap;
};

void members_init(struct members *m);
void members_free(struct members *m);
/* Sets all members of an object whose names need no escapes. */
void members_take(struct members *m, struct view object);
void members_set(struct members *m, const char *name, struct view value);
void members_remove(struct members *m, const char *name);
struct view members_get(const struct members *m, const char *name); /* empty: not there */

/* The id under its names, the fields in the order of the resource, what only settings name in the order of
 * the file, whatever else there is, and the version. Names of ids and "version" among the members are left
 * out. */
void members_write(struct members *m, const struct resource *r, const char *id, int64_t version,
                   struct buf *out);
/* Whether both have the same members but for version and those that these settings take from the clock. */
bool members_same(const struct members *a, const struct members *b, const struct setting *set, size_t count);

#endif
