#include "portal-gateway/http/assets.h"
#include "shared/crypto.h"
#include "shared/mem.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ASSET_MAX_BYTES = 1 << 20 };

static const struct asset table[] = {
    {.path = "/", .file = "index.html", .type = "text/html; charset=utf-8"},
    {.path = "/index.html", .file = "index.html", .type = "text/html; charset=utf-8"},
    {.path = "/portal.js", .file = "portal.js", .type = "text/javascript; charset=utf-8"},
    {.path = "/portal.css", .file = "portal.css", .type = "text/css; charset=utf-8"},
};

struct assets {
    struct asset items[countof(table)];
};

bool asset_read(const char *directory, struct asset *a, struct err *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", directory, a->file);
    FILE *file = length < PATH_MAX ? fopen(path, "re") : NULL;
    if (!file)
        return err_set(err, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
    a->bytes = xcalloc(ASSET_MAX_BYTES, 1);
    a->n = fread(a->bytes, 1, ASSET_MAX_BYTES, file);
    bool is_whole = !ferror(file) && a->n && a->n < ASSET_MAX_BYTES;
    fclose(file);
    if (!is_whole) {
        free(a->bytes);
        a->bytes = NULL;
        return err_set(err, ERR_TOO_LARGE, "%s: empty, or over %d bytes", path, ASSET_MAX_BYTES - 1);
    }
    a->bytes = xrealloc(a->bytes, a->n);
    return true;
}

static bool read_page(const char *directory, struct asset *a, struct err *err)
{
    char digest[21];
    if (!asset_read(directory, a, err))
        return false;
    crypto_name_id("", (struct view){a->bytes, a->n}, digest);
    snprintf(a->etag, sizeof a->etag, "\"%s\"", digest);
    return true;
}

/* build/bin/x, build/<variant>/bin/x, or <prefix>/bin/x */
static bool find_directory(char out[static PATH_MAX], struct err *err)
{
    static const char *const places[] = {"../../portal-gateway/www", "../../../portal-gateway/www",
                                         "../share/portalcast/www"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return err_set(err, ERR_INTERNAL, "where the binary is: %s", strerror(errno));
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < countof(places); i++) {
        int length = snprintf(out, PATH_MAX, "%s/%s", self, places[i]);
        if (length < PATH_MAX && !access(out, R_OK))
            return true;
    }
    return err_set(err, ERR_NOT_FOUND, "the page's files are not beside %s; set WWW_DIR", self);
}

struct assets *assets_load(const char *directory, struct err *err)
{
    char found[PATH_MAX];
    if (!*directory) {
        if (!find_directory(found, err))
            return NULL;
        directory = found;
    }
    struct assets *a = xcalloc(1, sizeof *a);
    for (size_t i = 0; i < countof(table); i++) {
        a->items[i] = table[i];
        if (!read_page(directory, &a->items[i], err)) {
            assets_destroy(a);
            return NULL;
        }
    }
    return a;
}

void assets_destroy(struct assets *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < countof(table); i++)
        free(a->items[i].bytes);
    free(a);
}

const struct asset *assets_find(const struct assets *a, struct view path)
{
    for (size_t i = 0; i < countof(table); i++)
        if (view_is(path, a->items[i].path))
            return &a->items[i];
    return NULL;
}
