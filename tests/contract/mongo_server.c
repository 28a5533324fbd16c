#include "tests/contract/mongo_server.h"
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_TRIES = 300, TRY_MS = 100 };

static struct sockaddr_in address_of(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int mongo_free_port(void)
{
    struct sockaddr_in address = address_of(0);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert(fd >= 0 && !bind(fd, (struct sockaddr *)&address, size) &&
              !getsockname(fd, (struct sockaddr *)&address, &size));
    close(fd);
    return ntohs(address.sin_port);
}

static int answers(int port)
{
    struct sockaddr_in address = address_of(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int yes = fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return yes;
}

void mongo_server_init(struct mongo_server *s)
{
    *s = (struct mongo_server){.port = mongo_free_port()};
    snprintf(s->directory, sizeof s->directory, "/tmp/portalcast-mongo-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->directory));
    snprintf(s->url, sizeof s->url, "mongodb://127.0.0.1:%d/portalcast", s->port);
}

void mongo_server_start(struct mongo_server *s)
{
    char port[16];
    snprintf(port, sizeof port, "%d", s->port);
    s->pid = fork();
    if (!s->pid) {
        execl("tests/lib/mongo-server", "mongo-server", s->directory, port, (char *)NULL);
        _exit(127);
    }
    for (int tries = 0; tries < START_TRIES; tries++) {
        if (answers(s->port))
            return;
        ck_assert_msg(!waitpid(s->pid, NULL, WNOHANG), "tests/lib/mongo-server ended");
        nanosleep(&(struct timespec){.tv_nsec = TRY_MS * 1000000L}, NULL);
    }
    ck_abort_msg("the MongoDB server of this test does not answer");
}

void mongo_server_kill(struct mongo_server *s)
{
    if (s->pid) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    s->pid = 0;
}

void mongo_server_finish(struct mongo_server *s)
{
    char command[128];
    mongo_server_kill(s);
    snprintf(command, sizeof command, "rm -rf %s", s->directory);
    ck_assert_int_eq(system(command), 0);
}
