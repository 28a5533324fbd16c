/*
 * Which web origins (RFC 6454) may talk to us: ALLOWED_ORIGINS is a comma-separated list of serialized
 * origins, of which each may hold one `*` in the place of a whole host label ("https://" "*.example.app").
 * Compared whole, never by part. Thread: any.
 */
#ifndef SHARED_ORIGIN_H
#define SHARED_ORIGIN_H

#include "shared/view.h"
#include <stdbool.h>

bool origin_allowed(const char *list, struct view origin);
/* Whether the origin is the one that serves this host (the Host header): http or https, same host and port.
 */
bool origin_is_own(struct view origin, struct view host);

#endif
