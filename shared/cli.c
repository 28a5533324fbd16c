#include "shared/cli.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { HEALTH_TIMEOUT_S = 2 };

enum option_id { OPTION_HELP = 256, OPTION_VERSION, OPTION_PRINT, OPTION_CHECK, OPTION_HEALTH };

static const struct {
    const char *name, *help;
    enum option_id id;
} options[] = {
    {"help", "this text", OPTION_HELP},
    {"version", "the version", OPTION_VERSION},
    {"print-config", "the configuration in force, secrets masked", OPTION_PRINT},
    {"check-config", "check the configuration and exit", OPTION_CHECK},
    {"health", "ask the running service whether it is ready (exit code), for containers", OPTION_HEALTH},
};

static void print_help(const struct cli *cli)
{
    printf("%s: %s\n\nOptions:\n", cli->name, cli->summary);
    for (size_t i = 0; i < countof(options); i++)
        printf("  --%-14s %s\n", options[i].name, options[i].help);
    printf("\nEnvironment:\n");
    config_help(cli->rows, cli->row_count, stdout);
}

/* One GET over a plain socket: a container has no curl. */
static bool is_ready(const char *host, int port)
{
    char request[256], answer[64] = "";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = HEALTH_TIMEOUT_S};
    /* A service that listens everywhere is asked on loopback. */
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || to.sin_addr.s_addr == htonl(INADDR_ANY))
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    int n = snprintf(request, sizeof request,
                     "GET /readyz HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n", port);
    bool asked = !connect(fd, (const struct sockaddr *)&to, sizeof to) &&
                 send(fd, request, (size_t)n, MSG_NOSIGNAL) == n;
    ssize_t got = asked ? recv(fd, answer, sizeof answer - 1, 0) : -1;
    close(fd);
    return got > 12 && !strncmp(answer, "HTTP/1.1 200", 12);
}

static void check_config(const struct cli *cli)
{
    if (cli->settings_ok)
        return;
    fputs(cli->faults, stderr);
    exit(1);
}

static void run_option(const struct cli *cli, int chosen)
{
    switch (chosen) {
    case OPTION_HELP:
        print_help(cli);
        break;
    case OPTION_VERSION:
        printf("%s %s\n", cli->name, VERSION);
        break;
    case OPTION_PRINT:
        config_print(cli->settings, cli->rows, cli->row_count, stdout);
        fflush(stdout);
        check_config(cli);
        break;
    case OPTION_CHECK:
        check_config(cli);
        puts("the configuration is right");
        break;
    case OPTION_HEALTH:
        exit(is_ready(cli->health_host, cli->health_port) ? 0 : 1);
    default:
        fprintf(stderr, "%s: see --help\n", cli->name);
        exit(2);
    }
    exit(0);
}

void cli_run(const struct cli *cli, int argc, char **argv)
{
    struct option known[countof(options) + 1] = {{0}};
    for (size_t i = 0; i < countof(options); i++)
        known[i] = (struct option){options[i].name, no_argument, NULL, (int)options[i].id};
    int chosen = getopt_long(argc, argv, "", known, NULL);
    if (chosen != -1)
        run_option(cli, chosen);
    if (optind < argc) {
        fprintf(stderr, "%s: it takes no argument \"%s\"; see --help\n", cli->name, argv[optind]);
        exit(2);
    }
    check_config(cli);
}
