#include "shared/log.h"
#include "shared/server_parts.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MORE_FILES = 64,     /* besides connections, at least */
    USUAL_FILES = 1024,  /* ... and better */
    MOST_FILES = 1 << 20 /* libwebsockets gives up above 10 000 000 */
};

/* As many files as so many connections need, so that they do not run into a limit that nobody has set on
 * purpose; and no more, since libwebsockets 4.1.6 keeps a table of them all, and looks through all of it when
 * a connection ends: that takes 1.3 ns for each, and containers may have a million. Returns how many. */
static size_t set_file_limit(size_t connections)
{
    struct rlimit limit;
    rlim_t wanted = USUAL_FILES + (rlim_t)connections;
    if (wanted > MOST_FILES)
        wanted = MOST_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return wanted;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        getrlimit(RLIMIT_NOFILE, &limit);
    return (size_t)limit.rlim_cur;
}

size_t net_cap_connections(size_t *max_connections)
{
    size_t files = set_file_limit(*max_connections),
           most = files > 2 * MORE_FILES ? files - MORE_FILES : files / 2;
    if (*max_connections > most) {
        log_warn("too_few_files", "max_connections=%zu files=%zu allowed=%zu", *max_connections, files, most);
        *max_connections = most;
    }
    return most;
}

int net_listen(const char *host, int port, struct err *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_v4 = inet_pton(AF_INET, host, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, host, &v6.sin6_addr) != 1) {
        err_set(err, ERR_INVALID, "cannot listen on %s: not an IP address", host);
        return -1;
    }
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    bool ok = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) &&
              !(is_v4 ? bind(fd, (struct sockaddr *)&v4, sizeof v4)
                      : bind(fd, (struct sockaddr *)&v6, sizeof v6)) &&
              !listen(fd, SOMAXCONN);
    if (ok)
        return fd;
    err_set(err, ERR_UNAVAILABLE, "cannot listen on %s port %d: %s", host, port, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int net_port(int fd)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &length))
        return 0;
    return ntohs(own.ss_family == AF_INET ? ((struct sockaddr_in *)&own)->sin_port
                                          : ((struct sockaddr_in6 *)&own)->sin6_port);
}

bool server_may_open_files(const struct server *s)
{
    return s->live + s->arrivals + (s->options.other_files ? *s->options.other_files : 0) < s->files;
}

int net_take_socket(struct conn *c)
{
    int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    loop_silence_fd(c->server->loop, c->fd);
    dup3(c->server->spare_fd, c->fd, O_CLOEXEC);
    return fd;
}

void net_peer_address(int fd, char out[static INET6_ADDRSTRLEN])
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &length))
        return;
    if (peer.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, out, INET6_ADDRSTRLEN);
        return;
    }
    const struct in6_addr *v6 = &((struct sockaddr_in6 *)&peer)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6))
        inet_ntop(AF_INET, v6->s6_addr + 12, out, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, v6, out, INET6_ADDRSTRLEN);
}
