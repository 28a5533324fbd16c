/*
 * What may stand in a string that a caller of the API gives, besides its length: texts go on to other
 * systems, names are compared and looked for, so neither may hold what only some of those can represent.
 * Customers' own words are another matter: they are kept as they are.
 *
 * Over slices of checked JSON. Thread: any.
 */
#ifndef STATE_MANAGER_CORE_TEXT_H
#define STATE_MANAGER_CORE_TEXT_H

#include "shared/compiler.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

/* Whether it is a string without U+0000 and without half of a surrogate pair (RFC 7493, 2.1). */
bool text_is_whole(struct view raw);
/* Whether it is also 1 to max bytes long, decoded. */
bool text_is_name(struct view raw, size_t max);
/* Code points of a string once decoded: what a person would call characters, closely enough for limits. */
size_t text_characters(struct view raw);

#endif
