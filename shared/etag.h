/*
 * ETag and If-None-Match (RFC 9110, 8.8.3 and 13.1.2). Plain functions. Thread: any.
 */
#ifndef SHARED_ETAG_H
#define SHARED_ETAG_H

#include "shared/compiler.h"
#include "shared/view.h"
#include <stdbool.h>

/* Whether a field value, "*" or a list of quoted tags, names this one (the text between the quotes). Weak
 * comparison, as the RFC has it for If-None-Match: W/"a" is "a". What is no list ends it. */
bool etag_is_listed(struct view field, struct view tag);

#endif
