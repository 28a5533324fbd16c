/*
 * A stage for tests of presence across gateways: real hubs with the tenant "t1" each, an exchange that can
 * lose, and a clock played by hand. Gateways are named by number, users too: 3 is "u3".
 */
#ifndef TESTS_UNIT_PRESENCE_STAGE_H
#define TESTS_UNIT_PRESENCE_STAGE_H

#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/presence.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GATEWAYS = 4, USERS = 6, LEASE_MS = 30000, MESSAGES_MAX = 4096, VIEW_SIZE = 512 };

struct gateway {
    struct hub *hub; /* NULL: not running */
    struct presence *presence;
    int sessions[USERS];
    bool deaf; /* the exchange has nothing for it */
    int64_t since_ms;
};

struct presence_net {
    struct loop *loop;
    struct policy policy;
    struct gateway gateways[GATEWAYS];
    char *messages[MESSAGES_MAX]; /* on their way */
    size_t count, ever;
    size_t most_users; /* of one message */
    int loss;          /* per cent of the deliveries */
    int64_t clock_ms;
};

extern struct presence_net net;

/* Three gateways run. */
void net_set_up(void);
void net_tear_down(void);

void gateway_start(size_t which);
void gateway_kill(size_t which);
/* As SIGTERM does: the sessions end, then it says that it is gone. */
void gateway_leave(size_t which);

/* A session of that user there begins, ends, says how he is. */
void user_arrives(size_t which, int user);
void user_departs(size_t which, int user);
void user_sets(size_t which, int user, const char *status);

/* Lets that much time pass, half a second at a time, and everything that is due happen. */
void pass(int64_t ms);
/* What a newcomer is told there: "u0=away u3=online", by name. */
const char *seen(size_t which);
/* How many presence_updates its sockets were told so far. */
uint64_t told(size_t which);

#endif
