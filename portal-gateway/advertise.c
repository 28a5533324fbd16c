#include "portal-gateway/advertise.h"
#include "shared/view.h"
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEFAULT_PORT = 80 };

static bool split_host(struct view authority, char host[static ADVERTISE_HOST_SIZE], struct view *port)
{
    struct view name, rest = authority;
    *port = VIEW("");
    if (authority.n && authority.p[0] == '[') {
        rest = (struct view){authority.p + 1, authority.n - 1};
        if (!memchr(rest.p, ']', rest.n))
            return false;
        view_split(&rest, ']', &name);
        if (rest.n && rest.p[0] != ':')
            return false;
        if (rest.n)
            *port = (struct view){rest.p + 1, rest.n - 1};
    } else {
        view_split(&rest, ':', &name);
        if (rest.p)
            *port = rest;
    }
    return name.n && view_copy(name, host, ADVERTISE_HOST_SIZE);
}

bool advertise_parse(const char *url, char host[static ADVERTISE_HOST_SIZE], int *port)
{
    struct view rest = view_of(url), digits;
    uint64_t number = DEFAULT_PORT;
    if (!view_starts(rest, "http://"))
        return false;
    rest = (struct view){rest.p + 7, rest.n - 7};
    if (rest.n && rest.p[rest.n - 1] == '/')
        rest.n--;
    if (!rest.n || memchr(rest.p, '/', rest.n) || !split_host(rest, host, &digits))
        return false;
    if (digits.n && (!view_u64(digits, 65535, &number) || !number))
        return false;
    *port = (int)number;
    return true;
}

static bool resolve(const char *host, struct beat *beat, struct err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int failed = getaddrinfo(host, NULL, &hints, &found);
    if (!failed)
        failed = getnameinfo(found->ai_addr, found->ai_addrlen, beat->address, sizeof beat->address, NULL, 0,
                             NI_NUMERICHOST);
    if (found)
        freeaddrinfo(found);
    return !failed || err_set(err, ERR_INVALID, "how other gateways reach this one: %s: %s (ADVERTISE_URL)",
                              host, gai_strerror(failed));
}

bool advertise_find(const char *url, const char *host, int port, struct beat *beat, struct err *err)
{
    char name[ADVERTISE_HOST_SIZE] = "";
    beat->port = port;
    if (*url) {
        if (!advertise_parse(url, name, &beat->port))
            return err_set(err, ERR_INVALID, "ADVERTISE_URL: not http://<host>:<port>");
        return resolve(name, beat, err);
    }
    bool is_any = !strcmp(host, "0.0.0.0") || !strcmp(host, "::");
    if (is_any && gethostname(name, sizeof name - 1))
        return err_set(err, ERR_UNAVAILABLE, "this machine has no name: set ADVERTISE_URL");
    return resolve(is_any ? name : host, beat, err);
}
