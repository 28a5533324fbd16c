#include "shared/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool err_set(struct err *err, enum err_code code, const char *format, ...)
{
    if (!err)
        return false;
    err->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return false;
}

bool err_wrap(struct err *err, const char *what)
{
    if (!err)
        return false;
    struct err inner = *err;
    return err_set(err, inner.code, "%s: %s", what, inner.text);
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[] = {
#define X(code, name) name,
        ERR_CODES(X)
#undef X
    };
    return (size_t)code < countof(names) ? names[code] : "INTERNAL";
}

bool err_is_transient(const struct err *err)
{
    return err->code == ERR_TIMEOUT || err->code == ERR_UNAVAILABLE || err->code == ERR_CONFLICT;
}
