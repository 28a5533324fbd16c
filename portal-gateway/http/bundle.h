/*
 * The browser files of npm's socket.io-client as the reference server gives them out: exact names under
 * /socket.io/, the version of the package as ETag. Read once at start, served from memory. Not the msgpack
 * build, which speaks a parser that we do not. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_HTTP_BUNDLE_H
#define PORTAL_GATEWAY_HTTP_BUNDLE_H

#include "portal-gateway/http/assets.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"

struct bundle;

/* directory: the package's folder dist; "": looked for where npm and Debian install packages, and an empty
 * bundle when it is not there. NULL and err: it cannot be read. */
struct bundle *bundle_load(const char *directory, struct err *err) MUSTCHECK;
void bundle_destroy(struct bundle *b); /* NULL-safe */
/* By the path of the request; NULL: no file of the bundle, or not there. */
const struct asset *bundle_find(const struct bundle *b, struct view path);

#endif
