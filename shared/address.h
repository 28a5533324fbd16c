/*
 * IP addresses of clients: read from text, compared with networks (RFC 4632, RFC 4291), and found behind
 * proxies. TRUSTED_PROXIES is a comma-separated list of addresses and networks ("10.0.0.0/8, ::1"); what
 * X-Forwarded-For says counts as far as those say it. Plain functions. Thread: any.
 */
#ifndef SHARED_ADDRESS_H
#define SHARED_ADDRESS_H

#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

/* IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct address {
    unsigned char bytes[16];
};

/* Also with a port: "192.0.2.1:80", "[2001:db8::1]:80", "[2001:db8::1]". */
bool address_parse(struct view text, struct address *out) MUSTCHECK;
/* What one client can have any number of is one: of an IPv6 address the network, its first 64 bits. */
struct address address_of_site(const struct address *a);

struct network;

struct networks {
    struct network *items;
    size_t count;
};

/* False and err: which entry is no network. Freed in either case by networks_free(). */
bool networks_parse(const char *list, struct networks *out, struct err *err) MUSTCHECK;
void networks_free(struct networks *n);
bool networks_have(const struct networks *n, const struct address *a);

/* Who asks: the peer; or, when that is a trusted proxy, the rightmost entry of X-Forwarded-For that is none
 * of them. What a proxy says in other words than an address is not believed, and what stands before it
 * neither. */
struct address address_of_client(const struct networks *trusted, struct view peer, struct view forwarded);

#endif
