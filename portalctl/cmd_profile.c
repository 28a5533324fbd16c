#include "portalctl/command.h"
#include "portalctl/profile_explain.h"
#include "shared/profile.h"
#include <stdio.h>
#include <string.h>

enum { FAULTS_MAX = 1 << 20 };

static size_t count_operations(const struct profile *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->resource_count; i++)
        count += p->resources[i].operation_count;
    return count;
}

static void check(const struct profile *p)
{
    printf("%s: no faults (%zu rooms, %zu client events, %zu resources with %zu operations)\n", p->name,
           p->room_count, p->event_count, p->resource_count, count_operations(p));
}

static void explain(const struct profile *p)
{
    profile_explain(p, stdout);
}

static int with_profile(const char *file, void (*act)(const struct profile *p))
{
    struct buf faults;
    buf_init(&faults, FAULTS_MAX);
    struct profiles *profiles = profiles_load(file, &faults);
    for (size_t i = 0; profiles && i < profiles->count; i++)
        act(profiles->items[i]);
    fputs(buf_view(&faults).p, stderr);
    buf_free(&faults);
    profiles_free(profiles);
    return profiles ? EXIT_FINE : EXIT_FAILED;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*act)(const struct profile *p);
    } acts[] = {{"check", check}, {"explain", explain}};
    (void)settings;
    for (size_t i = 0; argc == 3 && i < countof(acts); i++)
        if (!strcmp(argv[1], acts[i].name))
            return with_profile(argv[2], acts[i].act);
    return usage_error(argv[0], "check FILE, or explain FILE (see portalctl profile --help)");
}

const struct command cmd_profile = {
    .name = "profile",
    .summary = "checks a profile, or explains it: who may do what, and who hears of it",
    .usage = "  check FILE      every fault with its place in the file; exit code 0 when there is none\n"
             "  explain FILE    roles, rooms, client events, resources and what each write makes whom hear\n"
             "\nFILE: a path, or the name of a profile that comes with Portalcast; several with commas\n"
             "between are checked together, as services load them.\n",
    .run = run};
