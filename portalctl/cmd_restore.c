#include "portalctl/command.h"
#include "portalctl/restoring.h"
#include "portalctl/store_access.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { COPY_BYTES = 65536 };

enum { STORE = 1, TENANT };

static const struct option options[] = {
    {"store", required_argument, NULL, STORE}, {"tenant", required_argument, NULL, TENANT}, {0}};

struct arguments {
    const char *command, *store_url, *tenant, *file;
};

static void on_tenant_done(void *ctx, const char *tenant_id, const struct head *at, uint64_t documents)
{
    const struct arguments *a = ctx;
    fprintf(stderr, "%s: %s: %" PRIu64 " documents, goes on at %s-%" PRIu64 "\n", a->command, tenant_id,
            documents, at->epoch, at->seq);
}

/* The file is read twice, so what comes through a pipe is kept for the while, in a file without a name. */
static FILE *spool(FILE *in)
{
    char bytes[COPY_BYTES];
    FILE *copy = tmpfile();
    for (size_t n; copy && (n = fread(bytes, 1, sizeof bytes, in)) > 0;)
        if (fwrite(bytes, 1, n, copy) != n)
            break;
    if (copy && (ferror(in) || fflush(copy))) {
        fclose(copy);
        copy = NULL;
    }
    return copy;
}

static bool restore(struct arguments *a, struct store *store, FILE *in, struct backup_contents *contents,
                    struct err *err)
{
    struct restore r = {.store = store,
                        .in = in,
                        .contents = contents,
                        .only = a->tenant,
                        .ctx = a,
                        .tenant_done = on_tenant_done};
    if (!restore_check(&r, err))
        return false;
    return restore_run(&r, err) ||
           err_wrap(err, "restored in part only (the same call goes on with it, with the same file)");
}

/* All of the file is checked before the store is opened. */
static int restore_file(struct arguments *a, FILE *in)
{
    struct err err = {0};
    struct backup_contents contents;
    if (!backup_contents_read(in, &contents, &err))
        return store_failed(a->command, &err);
    struct store *store = open_store(a->command, a->store_url, STORE_WRITER);
    int code = EXIT_FAILED;
    if (store && restore(a, store, in, &contents, &err))
        code = EXIT_FINE;
    else if (store)
        store_failed(a->command, &err);
    store_close(store);
    backup_contents_free(&contents);
    return code;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    struct arguments a = {.command = argv[0], .store_url = settings->store_url};
    for (int option; (option = next_option_or_file(argc, argv, options, &a.file)) != -1;) {
        if (option == STORE)
            a.store_url = optarg;
        else if (option == TENANT)
            a.tenant = optarg;
        else
            return EXIT_USAGE;
    }
    if (!a.file)
        return usage_error(argv[0], "the name of the file is needed, or - for the standard input");
    FILE *in = strcmp(a.file, "-") == 0 ? spool(stdin) : fopen(a.file, "re");
    if (!in) {
        fprintf(stderr, "%s: %s: %s\n", argv[0], a.file, strerror(errno));
        return EXIT_FAILED;
    }
    int code = restore_file(&a, in);
    fclose(in);
    return code;
}

const struct command cmd_restore = {
    .name = "restore",
    .summary =
        "brings a backup into a store that has no history of its tenants; end its state-managers first",
    .usage = "  FILE | -        made by portalctl backup; checked whole before anything is written\n"
             "  --tenant T      only this tenant and its channels\n"
             "  --store URL     (STORE_URL)\n",
    .run = run};
