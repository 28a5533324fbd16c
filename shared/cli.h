/*
 * The options that both services share: --help, --version, --print-config, --check-config, --health.
 * Everything else is set by the environment. Thread: boot only.
 */
#ifndef SHARED_CLI_H
#define SHARED_CLI_H

#include "shared/config.h"

struct cli {
    const char *name, *summary; /* of the program */
    const struct config_row *rows;
    size_t row_count;
    const void *settings;
    bool settings_ok;
    const char *faults;      /* what config_load() complained about */
    const char *health_host; /* where --health asks GET /readyz */
    int health_port;
};

/* Does what the options ask for and exits; returns when there are none and the configuration is right. Wrong
 * options exit 2, a wrong configuration 1, with a line each on stderr. */
void cli_run(const struct cli *cli, int argc, char **argv);

#endif
