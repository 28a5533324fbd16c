/* Which store a URL means: the one place where the kinds of stores are listed. */
#include "state-manager/store/open.h"
#include "state-manager/store/mongo.h"
#include "state-manager/store/sqlite.h"
#include <string.h>

static const struct {
    const char *prefix;
    size_t dropped; /* bytes of the prefix that are not the store's to see */
    struct store *(*open)(const char *rest, enum store_mode mode, struct err *err);
} kinds[] = {
    {"sqlite:", sizeof "sqlite:" - 1, sqlite_store_open},
    {"mongodb:", 0, mongo_store_open},
    {"mongodb+srv:", 0, mongo_store_open},
};

struct store *store_open(const char *url, enum store_mode mode, struct err *err)
{
    for (size_t i = 0; i < countof(kinds); i++)
        if (!strncmp(url, kinds[i].prefix, strlen(kinds[i].prefix)))
            return kinds[i].open(url + kinds[i].dropped, mode, err);
    err_set(err, ERR_INVALID, "STORE_URL begins with no known kind of store (sqlite:PATH, mongodb://...)");
    return NULL;
}
