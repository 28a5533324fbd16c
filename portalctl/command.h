/*
 * A command of portalctl: one file cmd_<name>.c each, listed in main.c. Thread: the only one.
 */
#ifndef PORTALCTL_COMMAND_H
#define PORTALCTL_COMMAND_H

#include "portalctl/settings.h"
#include "shared/compiler.h"
#include "shared/view.h"
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_GONE = 3 /* what was asked for is no longer there */
};

struct command {
    const char *name, *summary;
    const char *usage; /* its options, a line each */
    /* argv[0] is the name for messages; returns the exit code. */
    int (*run)(const struct settings *settings, int argc, char **argv);
};

extern const struct command cmd_token, cmd_publish, cmd_tail, cmd_replay, cmd_stats, cmd_load, cmd_backup,
    cmd_restore, cmd_profile;

/* --- for the commands --- */

/* One line on stderr; returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
/* The next option as getopt_long() gives it, -1 at the end. '?': said on stderr already, also for arguments
 * that belong to no option. */
int next_option(int argc, char **argv, const struct option *options);
/* The same for a command that takes a file: the one argument that belongs to no option ("-" is one). */
int next_option_or_file(int argc, char **argv, const struct option *options, const char **file);
/* A number of an option; false: said on stderr. */
bool option_number(const char *command, const char *option, int64_t min, int64_t max, int64_t *out) MUSTCHECK;

struct words { /* of an option that may be repeated */
    size_t count;
    const char *items[32];
};

/* False, said on stderr: too many. */
bool words_add(const char *command, struct words *words, const char *text) MUSTCHECK;

/* True from SIGINT or SIGTERM on; begins to listen at the first call. */
bool is_interrupted(void);

/* base (with or without a slash at its end) and path in one; false: does not fit, said on stderr. */
bool join_url(const char *command, const char *base, const char *path, char *out, size_t size) MUSTCHECK;

/* Who a token is for. */
struct identity {
    const char *tenant, *user, *name; /* name NULL: none */
    struct words roles, rooms, teams;
    int64_t ttl_s;
};

/* A signed token, owned by the caller; NULL: said on stderr. */
char *identity_token(const struct settings *settings, const char *command, const struct identity *identity);

#endif
