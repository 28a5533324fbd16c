/*
 * The checks of what has been read, inside shared/profile_check*.c and profile_speak.c. All go on after a
 * fault; what could not be read is NULL or empty here. Thread: any (one reading, one owner).
 */
#ifndef SHARED_PROFILE_CHECK_H
#define SHARED_PROFILE_CHECK_H

#include "shared/profile_read.h"
#include "shared/template.h"

/* --- names, profile_speak.c --- */

/* Whether documents of the resource may have a member of that name, whoever puts it there. */
bool document_has(const struct resource *resource, struct view name);
const struct field *resource_field(const struct resource *resource, struct view name);

/* Where a template stands: what it may speak of. */
struct speech {
    struct reading *r;
    unsigned roots; /* TEMPLATE_BIT() */
    const struct operation *operation;
    const struct client_rule *event;
    bool before_document; /* of what is joined only what needs no document is at hand */
};

/* Goes into the member of that name and checks the template. */
void speak(const struct speech *s, const char *member, struct view json);
void speak_at_index(const struct speech *s, size_t index, struct view json);
void speak_checks(const struct speech *s, const char *member, const struct check_rule *checks, size_t count);
/* The templates of rooms, by index of the member; `of_tokens`: also rooms that everybody is in by his token.
 */
void speak_rooms(const struct speech *s, const char *member, const struct view *rooms, size_t count,
                 bool of_tokens);
bool joined_needs_document(const struct joined_rule *joined);

/* --- */

bool is_role_of(const struct profile *p, struct view role);
/* A room's name, without expressions, that somebody can be in. */
bool is_known_room(const struct profile *p, struct view room, bool of_tokens);
void check_fields(struct reading *r, const struct resource *resource);
/* Says so when a value without expressions is none for the field. */
void check_literal(struct reading *r, const struct field *field, struct view value);
void check_operation(struct reading *r, const struct operation *o);

#endif
