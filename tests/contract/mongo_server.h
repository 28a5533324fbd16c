/* A MongoDB server of a test's own, to be stopped, killed and started again with the same data. */
#ifndef TESTS_CONTRACT_MONGO_SERVER_H
#define TESTS_CONTRACT_MONGO_SERVER_H

#include <sys/types.h>

struct mongo_server {
    char directory[64], url[64];
    int port;
    pid_t pid; /* 0: not running */
};

int mongo_free_port(void); /* nobody listens on it */

void mongo_server_init(struct mongo_server *s);  /* a port and a directory; not started */
void mongo_server_start(struct mongo_server *s); /* returns when it accepts connections */
void mongo_server_kill(struct mongo_server *s);
void mongo_server_finish(struct mongo_server *s);

#endif
