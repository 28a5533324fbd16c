#include "state-manager/core/command.h"

static const struct {
    bool (*decide)(struct batch *b, struct command *c, struct err *err);
    const char *name;
} commands[] = {
#define X(type, decide, name) {decide, name},
    COMMANDS(X)
#undef X
};

bool command_decide(struct batch *b, struct command *c, struct err *err)
{
    batch_count_command(b);
    bool ok = commands[c->type].decide(b, c, err);
    return !batch_failed(b, err) && ok;
}

const char *command_name(enum command_type type)
{
    return commands[type].name;
}
