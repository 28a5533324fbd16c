/*
 * A borrowed piece of bytes: pointer and length, not NUL-terminated, valid as long as what it points into.
 * Thread: any. printf: "%.*s" with VIEW_ARG(v).
 */
#ifndef SHARED_VIEW_H
#define SHARED_VIEW_H

#include "shared/compiler.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct view {
    const char *p;
    size_t n;
};

#define VIEW(literal) ((struct view){(literal), sizeof(literal) - 1})
#define VIEW_ARG(v)   (int)(v).n, (v).p

struct view view_of(const char *text); /* NULL gives an empty view */
bool view_eq(struct view a, struct view b);
bool view_is(struct view v, const char *text);
bool view_is_nocase(struct view v, const char *text); /* ASCII */
bool view_starts(struct view v, const char *prefix);
/* Splits at the first `separator`: the part before goes to *head, the rest stays in *rest. False when *rest
 * is used up. */
bool view_split(struct view *rest, char separator, struct view *head);
struct view view_trim(struct view v); /* blanks and tabs at both ends */
/* Decimal digits only, whole view, within range; no sign, no blanks. */
bool view_u64(struct view v, uint64_t max, uint64_t *out) MUSTCHECK;
/* Copies into a fixed array with NUL; false when it does not fit or holds a NUL byte. */
bool view_copy(struct view v, char *out, size_t size) MUSTCHECK;
/* Whether the bytes are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates). */
bool view_is_utf8(struct view v);
/* Whether the view is 1 to max characters out of letters, digits and `also`. */
bool view_is_name(struct view v, size_t max, const char *also);

#endif
