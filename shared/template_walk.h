/*
 * The parts of templates, for those who read them (template.c, template_walk.c) and for those who check what
 * they name (profile_*.c). Thread: any (plain values).
 */
#ifndef SHARED_TEMPLATE_WALK_H
#define SHARED_TEMPLATE_WALK_H

#include "shared/json_at.h"
#include "shared/template.h"

enum { TEMPLATE_NAME_MAX = 64 /* bytes of a member's name in an expression */ };

/* The member of an object that gives all of its own. */
#define TEMPLATE_SPREAD "..."

struct template_part { /* of a string */
    bool is_expression;
    struct view text; /* as it stands between the quotes: escapes and all; or between ${ and } */
};

/* Takes the next part of what is left between the quotes; false at the end. An expression that is not closed
 * has *open set and goes to the end. */
bool template_next_part(struct view *rest, struct template_part *part, bool *open);
/* Whether a string slice is one expression and nothing else. */
bool template_is_expression(struct view string, struct view *expression);
const char *template_root_name(enum template_root root);
/* Splits "document.contact.name": the root, "contact.name" in *members. False: there is no such root. */
bool template_split(struct view path, enum template_root *root, struct view *members);

struct template_visitor {
    void *ctx;
    /* A name that the template reads: root and members ("contact.name", or empty). */
    void (*name)(void *ctx, const struct json_at *at, enum template_root root, struct view members);
    /* Something that is no template. */
    void (*fault)(void *ctx, const struct json_at *at, const char *why);
};

/* All names and all faults, in the order of the text. Leaves *at as it was. */
void template_walk(struct view json, struct json_at *at, const struct template_visitor *visitor);
/* The same of one expression, without ${}. */
void template_walk_expression(struct view expression, struct json_at *at,
                              const struct template_visitor *visitor);

#endif
