/*
 * Hash map from byte strings to pointers. Keys are copied; values belong to the caller.
 * Hashing is keyed (SipHash-2-4, random key per process), because strangers choose keys. Thread: the owner of
 * the map.
 */
#ifndef SHARED_MAP_H
#define SHARED_MAP_H

#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
    struct map_slot *slots;
    size_t cap; /* 0 or a power of two */
    size_t count;
};

void map_init(struct map *m);
/* Frees keys and slots, not values. */
void map_free(struct map *m);
void *map_get(const struct map *m, struct view key); /* NULL: not there */
/* Sets and returns the value that was there before, or NULL; value must not be NULL. */
void *map_put(struct map *m, struct view key, void *value);
/* Removes and returns the value, or NULL. */
void *map_remove(struct map *m, struct view key);
/* Walks: start with *at = 0; false at the end. The map must not change meanwhile. */
bool map_next(const struct map *m, size_t *at, struct view *key, void **value);
/* The keyed hash itself, for lanes and the like. */
uint64_t map_hash(struct view key);

#endif
