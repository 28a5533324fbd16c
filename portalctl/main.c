/* portalctl: what developers and operators do to a running Portalcast from a shell. */
#include "portalctl/command.h"
#include "shared/buf.h"
#include <stdio.h>
#include <string.h>

enum { FAULTS_MAX = 8192 };

static const struct command *const commands[] = {&cmd_token,  &cmd_publish, &cmd_tail,
                                                 &cmd_replay, &cmd_stats,   &cmd_load,
                                                 &cmd_backup, &cmd_restore, &cmd_profile};

static void print_help(FILE *out)
{
    fputs("usage: portalctl COMMAND [options]\n       portalctl COMMAND --help\n\ncommands:\n", out);
    for (size_t i = 0; i < countof(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nof its own:\n"
          "  --help, --version\n"
          "  --print-config   the settings in force, secrets masked\n"
          "  --check-config   exit code 0 when they are fine\n"
          "\nenvironment:\n",
          out);
    config_help(settings_rows, settings_count, out);
}

static int print_command_help(const struct command *command)
{
    printf("usage: portalctl %s [options]\n\n%s\n\n%s", command->name, command->summary, command->usage);
    return EXIT_FINE;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < countof(commands); i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

/* The options without a command; -1: it is none of them. */
static int run_option(const struct settings *settings, const char *option)
{
    if (!strcmp(option, "--help"))
        print_help(stdout);
    else if (!strcmp(option, "--version"))
        puts("portalctl " VERSION);
    else if (!strcmp(option, "--print-config"))
        config_print(settings, settings_rows, settings_count, stdout);
    else if (strcmp(option, "--check-config") != 0)
        return -1;
    return EXIT_FINE;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    int code = run_option(settings, argv[1]);
    if (code >= 0)
        return code;
    const struct command *command = find_command(argv[1]);
    if (!command)
        return usage_error("portalctl", "there is no '%s' (see portalctl --help)", argv[1]);
    for (int i = 2; i < argc; i++)
        if (!strcmp(argv[i], "--help"))
            return print_command_help(command);
    char name[64];
    snprintf(name, sizeof name, "portalctl %s", command->name);
    argv[1] = name;
    return command->run(settings, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    struct buf faults;
    buf_init(&faults, FAULTS_MAX);
    bool fine = config_load(&settings, settings_rows, settings_count, &faults);
    int code = EXIT_FAILED;
    if (fine)
        code = run(&settings, argc, argv);
    else
        fputs(buf_view(&faults).p, stderr);
    buf_free(&faults);
    config_free(&settings, settings_rows, settings_count);
    return code;
}
