#include "portalctl/command.h"
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t interrupted;

int usage_error(const char *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

int next_option(int argc, char **argv, const struct option *options)
{
    int option = getopt_long(argc, argv, "", options, NULL);
    if (option == -1 && optind < argc) {
        usage_error(argv[0], "what is '%s'? Options begin with --", argv[optind]);
        return '?';
    }
    return option;
}

int next_option_or_file(int argc, char **argv, const struct option *options, const char **file)
{
    int option = getopt_long(argc, argv, "", options, NULL);
    if (option != -1 || optind == argc)
        return option;
    *file = argv[optind];
    if (optind + 1 == argc)
        return -1;
    usage_error(argv[0], "one file at a time, not '%s' too", argv[optind + 1]);
    return '?';
}

bool option_number(const char *command, const char *option, int64_t min, int64_t max, int64_t *out)
{
    uint64_t number;
    if (view_u64(view_of(optarg), INT64_MAX, &number) && (int64_t)number >= min && (int64_t)number <= max) {
        *out = (int64_t)number;
        return true;
    }
    usage_error(command, "--%s must be a number from %lld to %lld", option, (long long)min, (long long)max);
    return false;
}

bool words_add(const char *command, struct words *words, const char *text)
{
    if (words->count == countof(words->items)) {
        usage_error(command, "more than %zu of one option", countof(words->items));
        return false;
    }
    words->items[words->count++] = text;
    return true;
}

bool join_url(const char *command, const char *base, const char *path, char *out, size_t size)
{
    size_t n = strlen(base);
    while (n && base[n - 1] == '/')
        n--;
    if ((size_t)snprintf(out, size, "%.*s%s", (int)n, base, path) < size)
        return true;
    usage_error(command, "the URL is too long");
    return false;
}

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

bool is_interrupted(void)
{
    static bool listening;
    if (!listening) {
        struct sigaction action = {.sa_handler = on_signal};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        listening = true;
    }
    return interrupted != 0;
}
