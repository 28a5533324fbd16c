/*
 * Templates of profiles: JSON in which strings stand for what a call, a document or a token says.
 * Declarative: a template reads, joins and puts together; it cannot compute.
 *
 *   "${document.subject}"         the whole string is one expression: its value, whatever JSON that is; null
 * when there is none "New order from ${token.name}"   text with expressions in it: strings as they are,
 * numbers and booleans as JSON writes them, anything else nothing
 *   "${token.email|token.sub}"    the first that is there (not null, not ""); else the last as it is
 *   "$${"                         stands for "${"
 *   {"...": "${document}", "a": 1}   the members of that object, then those beside it in place of equal ones
 *
 * An expression is a root and the names of members, with dots: document.contact.name. Which roots there are
 * depends on where the template stands; template_check() tells a wrong one before anything runs.
 *
 * Thread: any (plain values). Lifetime: all views are borrowed.
 */
#ifndef SHARED_TEMPLATE_H
#define SHARED_TEMPLATE_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

/* root, name, what it is */
#define TEMPLATE_ROOTS(X)                                                                  \
    X(DOCUMENT, "document") /* after the write */                                          \
    X(BEFORE, "before")     /* the same before it; absent: there was none */               \
    X(BODY, "body")         /* of the call, checked, without version */                    \
    X(APPENDED, "appended") /* what the operation's `append` added */                      \
    X(TOKEN, "token")       /* {sub, role, roles, name?, email?, phone?, tenantId} */      \
    X(PARAMS, "params")     /* of the path */                                              \
    X(JOINED, "joined")     /* other documents, by the names that the operation gives */   \
    X(ARGS, "args")         /* of a client's event, by the names that the profile gives */ \
    X(NOW, "now")           /* ISO 8601, ms; one moment for a whole call */

enum template_root {
#define X(root, name) TEMPLATE_##root,
    TEMPLATE_ROOTS(X)
#undef X
        TEMPLATE_ROOT_COUNT
};

#define TEMPLATE_BIT(root) (1u << TEMPLATE_##root)

enum {
    TEMPLATE_DEPTH_MAX = 16,
    TEMPLATE_OUT_MAX = 1 << 20, /* bytes of what one template makes */
    TEMPLATE_OUT_DEPTH_MAX =
        48 /* of it: events and entries are put around it, and JSON_MAX_DEPTH holds for them */
};

/* The value of each root: checked JSON; empty: there is none. */
struct template_scope {
    struct view roots[TEMPLATE_ROOT_COUNT];
};

/* `at`: its JSON path in the profile, for the text of the error. `roots`: bits of those that may be named. */
bool template_check(struct view json, unsigned roots, const char *at, struct err *err) MUSTCHECK;
/* Appends the JSON that a checked template makes. TOO_LARGE: it is over the maxima above, or out is over its
 * own; out has a part of it then. */
bool template_write(struct view json, const struct template_scope *scope, struct buf *out,
                    struct err *err) MUSTCHECK;
/* A checked template that is a string, as plain text with NUL: ids, rooms, keys. INVALID when an expression
 * in it has no value that is text ("" is none), when it is empty, holds U+0000, or does not fit. */
bool template_text(struct view json, const struct template_scope *scope, char *out, size_t size,
                   struct err *err) MUSTCHECK;
/* The value of one expression ("token.sub", without ${}); empty when there is none. */
struct view template_value(struct view expression, const struct template_scope *scope);
/* Whether a checked template names that root anywhere. */
bool template_uses(struct view json, enum template_root root);

#endif
