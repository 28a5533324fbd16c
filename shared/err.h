/*
 * What went wrong, for the code that decides (code) and for the person who reads (text).
 *
 * Expected failures travel as `bool f(..., struct err *err)`: false means err is set. The text is composed
 * where the facts are, lower case and without a full stop, and logged once, where it is handled. Thread: any
 * (plain values). Boot errors end in die(), programmer errors in assert().
 */
#ifndef SHARED_ERR_H
#define SHARED_ERR_H

#include "shared/compiler.h"
#include <stdbool.h>

/* code, name as it appears in logs and API answers */
#define ERR_CODES(X)                                                                         \
    X(NONE, "OK")                         /* no error */                                     \
    X(INVALID, "INVALID")                 /* the caller's input breaks a rule */             \
    X(MALFORMED, "MALFORMED")             /* the caller's input cannot be read at all */     \
    X(UNAUTHENTICATED, "UNAUTHENTICATED") /* we do not know who is calling */                \
    X(DENIED, "DENIED")                   /* we know, and it is not allowed */               \
    X(NOT_FOUND, "NOT_FOUND")             /* no such thing */                                \
    X(CONFLICT, "CONFLICT")               /* somebody else was first */                      \
    X(TOO_LARGE, "TOO_LARGE")             /* over a documented size */                       \
    X(LIMITED, "LIMITED")                 /* over a documented rate or count */              \
    X(TIMEOUT, "TIMEOUT")                 /* no answer in time: the outcome is unknown */    \
    X(UNAVAILABLE, "UNAVAILABLE")         /* a dependency is away: trying again will help */ \
    X(INTERNAL, "INTERNAL")               /* our fault */

enum err_code {
#define X(code, name) ERR_##code,
    ERR_CODES(X)
#undef X
};

struct err {
    enum err_code code;
    char text[240];
};

/* Sets code and text; err may be NULL. Always returns false, so that `return err_set(...)` reads well. */
bool err_set(struct err *err, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "what: " before the text that is there. Returns false. */
bool err_wrap(struct err *err, const char *what);
const char *err_code_name(enum err_code code);
/* Whether the same call may succeed later without anybody changing anything. */
bool err_is_transient(const struct err *err);

#endif
