/* A profile's templates, names and rules in words, appended to a buffer. Thread: any. */
#ifndef PORTALCTL_PROFILE_WORDS_H
#define PORTALCTL_PROFILE_WORDS_H

#include "shared/profile.h"

/* Expressions stand without ${}; in an object {a, b: document.c}, a alone where the expression's last name is
 * a, too. */
void put_template(struct buf *out, struct view json);
void put_room(struct buf *out, struct view string); /* the text between the quotes, expressions in {} */
void put_names(struct buf *out, const struct names *names);
void put_checks(struct buf *out, const struct check_rule *checks, size_t count);
void put_settings(struct buf *out, const struct setting *settings, size_t count);
void put_condition(struct buf *out, const struct condition *when);
void put_grants(struct buf *out, const struct operation *o);
void put_methods(struct buf *out, unsigned methods);
void put_field_type(struct buf *out, const struct field *field);

#endif
