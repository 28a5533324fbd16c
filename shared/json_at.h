/*
 * Where in a JSON text somebody is: "$.resources.orders.operations.create.emit[0].to". For reports of what is
 * wrong. Thread: any (plain values).
 */
#ifndef SHARED_JSON_AT_H
#define SHARED_JSON_AT_H

#include "shared/view.h"
#include <stddef.h>

enum { JSON_AT_MAX = 256 };

struct json_at {
    char text[JSON_AT_MAX]; /* with NUL; what does not fit is left out */
    size_t length;
};

struct json_at json_at_root(void);
/* Goes into a member or an element; returns where it was, for json_at_leave(). */
size_t json_at_member(struct json_at *at, struct view key_string);
size_t json_at_name(struct json_at *at, const char *name);
size_t json_at_index(struct json_at *at, size_t index);
void json_at_leave(struct json_at *at, size_t was);

#endif
