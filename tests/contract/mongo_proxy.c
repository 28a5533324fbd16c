#include "tests/contract/mongo_proxy.h"
#include "tests/contract/mongo_server.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *read_line(struct mongo_proxy *p)
{
    static char line[256];
    ck_assert_msg(fgets(line, sizeof line, p->from) != NULL, "tests/lib/mongo-proxy ended");
    line[strcspn(line, "\n")] = 0;
    return line;
}

void mongo_proxy_start(struct mongo_proxy *p, int target_port, const char *certificate)
{
    int to[2], from[2];
    char port[16], target[16];
    ck_assert(!pipe(to) && !pipe(from));
    p->port = mongo_free_port();
    snprintf(port, sizeof port, "%d", p->port);
    snprintf(target, sizeof target, "%d", target_port);
    p->pid = fork();
    if (!p->pid) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        execl("tests/lib/mongo-proxy", "mongo-proxy", port, target, certificate, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    p->to = fdopen(to[1], "w");
    p->from = fdopen(from[0], "r");
    ck_assert(p->to && p->from);
    ck_assert_str_eq(read_line(p), "ok");
}

const char *mongo_proxy_tell(struct mongo_proxy *p, const char *line)
{
    fprintf(p->to, "%s\n", line);
    ck_assert(!fflush(p->to));
    return read_line(p);
}

void mongo_proxy_stop(struct mongo_proxy *p)
{
    fclose(p->to);
    fclose(p->from);
    waitpid(p->pid, NULL, 0);
}
