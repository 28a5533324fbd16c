#include "portalctl/store_access.h"
#include "portalctl/command.h"
#include <stdio.h>

struct store *open_store(const char *command, const char *url, enum store_mode mode)
{
    struct err err = {0};
    struct store *store = store_open(url, mode, &err);
    if (!store)
        store_failed(command, &err);
    return store;
}

int store_failed(const char *command, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", command, err->text);
    return EXIT_FAILED;
}
