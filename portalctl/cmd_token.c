#include "portalctl/command.h"
#include <stdio.h>
#include <stdlib.h>

enum { TTL_S = 3600, TTL_MAX_S = 366 * 24 * 3600 };

enum { TENANT = 1, USER, ROLE, ROOM, TEAM, NAME, TTL };

static const struct option options[] = {
    {"tenant", required_argument, NULL, TENANT}, {"user", required_argument, NULL, USER},
    {"role", required_argument, NULL, ROLE},     {"room", required_argument, NULL, ROOM},
    {"team", required_argument, NULL, TEAM},     {"name", required_argument, NULL, NAME},
    {"ttl", required_argument, NULL, TTL},       {0}};

static bool take(const char *command, int option, struct identity *who)
{
    switch (option) {
    case TENANT:
        who->tenant = optarg;
        return true;
    case USER:
        who->user = optarg;
        return true;
    case NAME:
        who->name = optarg;
        return true;
    case ROLE:
        return words_add(command, &who->roles, optarg);
    case ROOM:
        return words_add(command, &who->rooms, optarg);
    case TEAM:
        return words_add(command, &who->teams, optarg);
    case TTL:
        return option_number(command, "ttl", 1, TTL_MAX_S, &who->ttl_s);
    default:
        return false;
    }
}

static int run(const struct settings *settings, int argc, char **argv)
{
    struct identity who = {.ttl_s = TTL_S};
    for (int option; (option = next_option(argc, argv, options)) != -1;)
        if (!take(argv[0], option, &who))
            return EXIT_USAGE;
    if (!who.tenant || !who.user)
        return usage_error(argv[0], "--tenant and --user are needed");
    if (!who.roles.count && !words_add(argv[0], &who.roles, "agent"))
        return EXIT_USAGE;
    char *token = identity_token(settings, argv[0], &who);
    if (!token)
        return EXIT_USAGE;
    puts(token);
    free(token);
    return EXIT_FINE;
}

const struct command cmd_token = {.name = "token",
                                  .summary = "prints a token signed with JWT_SECRET",
                                  .usage = "  --tenant T      tenantId\n"
                                           "  --user U        sub\n"
                                           "  --role R        may be repeated (agent)\n"
                                           "  --room R        may be repeated\n"
                                           "  --team T        may be repeated\n"
                                           "  --name N\n"
                                           "  --ttl SECONDS   (3600)\n",
                                  .run = run};
