/*
 * The page's files, read once at start and served from memory. Only the names in its table exist. Thread: the
 * loop's.
 */
#ifndef PORTAL_GATEWAY_HTTP_ASSETS_H
#define PORTAL_GATEWAY_HTTP_ASSETS_H

#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"

struct assets;

enum { ASSET_TAG_SIZE = 24 };

struct asset {
    const char *path; /* as requested */
    const char *file, *type;
    char *bytes;
    size_t n;
    char etag[ASSET_TAG_SIZE]; /* quoted */
};

/* directory "": found beside the binary (a build tree or an installation). NULL and err: a file cannot be
 * read. */
struct assets *assets_load(const char *directory, struct err *err) MUSTCHECK;
void assets_destroy(struct assets *a);                                     /* NULL-safe */
const struct asset *assets_find(const struct assets *a, struct view path); /* NULL: no such file */

/* Reads the file into bytes, which is then the caller's. False and err: it cannot be read. For bundle.c. */
bool asset_read(const char *directory, struct asset *a, struct err *err) MUSTCHECK;

#endif
