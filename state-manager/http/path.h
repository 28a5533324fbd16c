/* Paths against the patterns of the route table. Plain functions. Thread: any. */
#ifndef STATE_MANAGER_HTTP_PATH_H
#define STATE_MANAGER_HTTP_PATH_H

#include "shared/compiler.h"
#include "shared/view.h"
#include <stdbool.h>

/* Whether a decoded path has the shape of the pattern: {} takes one segment that is not empty, which *param
 * then is; everything else is the same, byte for byte. */
bool path_fits(const char *pattern, struct view path, struct view *param);

#endif
