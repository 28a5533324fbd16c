#include "portal-gateway/http/bundle.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCRIPT "application/javascript; charset=utf-8"
#define MAP    "application/json; charset=utf-8"

static const struct asset table[] = {
    {.path = "/socket.io/socket.io.js", .file = "socket.io.js", .type = SCRIPT},
    {.path = "/socket.io/socket.io.js.map", .file = "socket.io.js.map", .type = MAP},
    {.path = "/socket.io/socket.io.min.js", .file = "socket.io.min.js", .type = SCRIPT},
    {.path = "/socket.io/socket.io.min.js.map", .file = "socket.io.min.js.map", .type = MAP},
    {.path = "/socket.io/socket.io.esm.min.js", .file = "socket.io.esm.min.js", .type = SCRIPT},
    {.path = "/socket.io/socket.io.esm.min.js.map", .file = "socket.io.esm.min.js.map", .type = MAP},
};

struct bundle {
    struct asset items[countof(table)]; /* bytes NULL: not there */
};

/* The package says its version beside dist. */
static bool read_version(const char *directory, char out[static ASSET_TAG_SIZE], struct err *err)
{
    char version[ASSET_TAG_SIZE - 2];
    struct asset package = {.file = "../package.json"};
    if (!asset_read(directory, &package, err))
        return false;
    struct view json = {package.bytes, package.n};
    bool found = json_check(json, JSON_STRICT, &json, NULL) &&
                 json_copy_string(json_get(json, "version"), version, sizeof version) &&
                 view_is_name(view_of(version), sizeof version, ".-+_");
    free(package.bytes);
    if (!found)
        return err_set(err, ERR_INVALID, "%s/../package.json: no version", directory);
    snprintf(out, ASSET_TAG_SIZE, "\"%s\"", version);
    return true;
}

/* socket.io.js has to be there; versions of the package differ in the others. */
static bool read_files(struct bundle *b, const char *directory, struct err *err)
{
    char tag[ASSET_TAG_SIZE];
    if (!read_version(directory, tag, err))
        return false;
    for (size_t i = 0; i < countof(table); i++) {
        b->items[i] = table[i];
        if (!asset_read(directory, &b->items[i], i ? NULL : err) && !i)
            return false;
        memcpy(b->items[i].etag, tag, sizeof tag);
    }
    log_info("client_bundle", "directory=%s version=%s", directory, tag);
    return true;
}

static const char *find_directory(void)
{
    static const char *const places[] = {"/usr/local/lib/node_modules/socket.io-client/dist",
                                         "/usr/lib/node_modules/socket.io-client/dist",
                                         "/usr/share/nodejs/socket.io-client/dist"};
    for (size_t i = 0; i < countof(places); i++)
        if (!access(places[i], R_OK))
            return places[i];
    return NULL;
}

struct bundle *bundle_load(const char *directory, struct err *err)
{
    struct bundle *b = xcalloc(1, sizeof *b);
    struct err why = {0};
    bool is_given = *directory;
    if (!is_given)
        directory = find_directory();
    if (!directory || read_files(b, directory, &why))
        return b;
    if (!is_given) { /* nobody asked for it */
        log_warn("client_bundle_unusable", "why=\"%s\"", why.text);
        return b;
    }
    *err = why;
    bundle_destroy(b);
    return NULL;
}

void bundle_destroy(struct bundle *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < countof(table); i++)
        free(b->items[i].bytes);
    free(b);
}

const struct asset *bundle_find(const struct bundle *b, struct view path)
{
    for (size_t i = 0; i < countof(table); i++)
        if (view_is(path, table[i].path))
            return b->items[i].bytes ? &b->items[i] : NULL;
    return NULL;
}
