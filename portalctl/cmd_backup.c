#include "portalctl/command.h"
#include "portalctl/copying.h"
#include "portalctl/store_access.h"
#include "shared/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

enum { STORE = 1 };

static const struct option options[] = {{"store", required_argument, NULL, STORE}, {0}};

struct backup {
    const char *command, *store_url, *file;
    uint64_t tenants, documents;
};

static void on_tenant_done(void *ctx, const char *tenant_id, const struct head *at, uint64_t documents)
{
    struct backup *b = ctx;
    b->tenants++;
    b->documents += documents;
    fprintf(stderr, "%s: %s: %" PRIu64 " documents, as of %s-%" PRIu64 "\n", b->command, tenant_id, documents,
            at->epoch, at->seq);
}

static bool write_all(struct backup *b, struct store *store, FILE *out, struct err *err)
{
    struct copy_hooks hooks = {b, on_tenant_done, is_interrupted};
    struct backup_writer *writer = backup_writer_create(out, clock_wall_ms());
    bool ok = copy_store(store, writer, &hooks, err) && backup_finish(writer, err);
    backup_writer_destroy(writer);
    return ok;
}

/* A name that is on the disk after a power cut, too. */
static bool rename_durably(const char *part, const char *file, struct err *err)
{
    char directory[PATH_SIZE] = ".";
    const char *slash = strrchr(file, '/');
    if (slash)
        snprintf(directory, sizeof directory, "%.*s", (int)(slash == file ? 1 : slash - file), file);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && rename(part, file) == 0 && fsync(fd) == 0;
    if (!ok)
        err_set(err, ERR_UNAVAILABLE, "%s: %s", file, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The file gets its name when all of it is on the disk; it is its owner's alone. */
static bool write_file(struct backup *b, struct store *store, struct err *err)
{
    char part[PATH_SIZE];
    if ((size_t)snprintf(part, sizeof part, "%s.part", b->file) >= sizeof part)
        return err_set(err, ERR_INVALID, "the name of the file is too long");
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out) {
        err_set(err, ERR_UNAVAILABLE, "%s: %s", part, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool ok = write_all(b, store, out, err);
    if (ok && fsync(fd))
        ok = err_set(err, ERR_UNAVAILABLE, "%s: %s", part, strerror(errno));
    if (fclose(out) && ok)
        ok = err_set(err, ERR_UNAVAILABLE, "%s: %s", part, strerror(errno));
    ok = ok && rename_durably(part, b->file, err);
    if (!ok)
        unlink(part);
    return ok;
}

static int make_backup(struct backup *b)
{
    struct err err = {0};
    struct store *store = open_store(b->command, b->store_url, STORE_READER);
    if (!store)
        return EXIT_FAILED;
    bool ok = strcmp(b->file, "-") == 0 ? write_all(b, store, stdout, &err) : write_file(b, store, &err);
    store_close(store);
    if (!ok)
        return store_failed(b->command, &err);
    fprintf(stderr, "%s: %" PRIu64 " tenants, %" PRIu64 " documents\n", b->command, b->tenants, b->documents);
    return EXIT_FINE;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    struct backup b = {.command = argv[0], .store_url = settings->store_url};
    for (int option; (option = next_option_or_file(argc, argv, options, &b.file)) != -1;) {
        if (option != STORE)
            return EXIT_USAGE;
        b.store_url = optarg;
    }
    if (!b.file)
        return usage_error(argv[0], "the name of the file is needed, or - for the standard output");
    return make_backup(&b);
}

const struct command cmd_backup = {
    .name = "backup",
    .summary = "copies a store, in use or not, into one file that any kind of store can be restored from",
    .usage = "  FILE | -        where to; it holds messages and access tokens: keep it safe\n"
             "  --store URL     (STORE_URL)\n",
    .run = run};
