/*
 * Commands of gateways on their way through the committer: a request becomes a job like a call of REST, and
 * comes back to be answered. Who asked is remembered here until then.
 *
 * So many may be under way; of one tenant a quarter of them. What is too much is refused at once, so that
 * reads and other tenants never wait behind it.
 *
 * Thread: the responder's, but for what the committer hands back by a mailbox. Lifetime: from create to
 * destroy, which comes after the committer has stopped.
 */
#ifndef STATE_MANAGER_RPC_COMMANDS_H
#define STATE_MANAGER_RPC_COMMANDS_H

#include "shared/broker.h"
#include "state-manager/jobs.h"

enum { COMMANDS_UNDER_WAY_MAX = 4096, COMMANDS_BYTES_MAX = 64 << 20 };

struct commands_options {
    struct jobs *jobs;
    size_t under_way_max;            /* at most COMMANDS_UNDER_WAY_MAX */
    size_t body_max;                 /* bytes of one */
    const struct profiles *profiles; /* whose operations are commands, and whose rooms there are */
};

struct commands;

struct commands *commands_create(const struct commands_options *options);
void commands_destroy(struct commands *c); /* NULL-safe */

/* How many may be under way. */
size_t commands_most(const struct commands *c);
/* Whether a checked request is for a command. */
bool commands_is_one(struct view request);
/* Takes the delivery: its answer comes by commands_settle(). `connection` is the caller's to know it by.
 * False: it is refused, and is to be answered so: INVALID, NOT_FOUND, TOO_LARGE; LIMITED: the tenant has too
 * many under way; UNAVAILABLE: all have. */
bool commands_submit(struct commands *c, struct view request, const struct broker_message *delivery,
                     int connection, struct err *err) MUSTCHECK;

/* A command that the committer is done with. */
struct settled {
    struct view reply_to, correlation_id;
    uint64_t delivery_tag;
    int connection;
    const struct job *job; /* its err, or its reply */
};

/* Readable while there is something for commands_settle(). */
int commands_fd(struct commands *c);
/* Calls fn for what is settled, a bounded number; false as soon as fn gives false (the rest is then dropped:
 * it belongs to a connection that is lost). */
bool commands_settle(struct commands *c, bool (*fn)(void *ctx, const struct settled *s, struct err *err),
                     void *ctx, struct err *err) MUSTCHECK;

#endif
