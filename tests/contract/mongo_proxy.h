/* A proxy of a test's own in front of a MongoDB server, which does what tests/lib/mongo-proxy can do. */
#ifndef TESTS_CONTRACT_MONGO_PROXY_H
#define TESTS_CONTRACT_MONGO_PROXY_H

#include <stdio.h>
#include <sys/types.h>

struct mongo_proxy {
    pid_t pid;
    int port;
    FILE *to, *from;
};

/* `certificate` is a PEM file, or NULL: no TLS. Returns when it accepts connections. */
void mongo_proxy_start(struct mongo_proxy *p, int target_port, const char *certificate);
/* Gives a command line; its answer is valid until the next. */
const char *mongo_proxy_tell(struct mongo_proxy *p, const char *line);
void mongo_proxy_stop(struct mongo_proxy *p);

#endif
