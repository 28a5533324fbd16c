/*
 * Where the other gateways reach this one. Called before the loop runs, because it may ask the resolver.
 */
#ifndef PORTAL_GATEWAY_ADVERTISE_H
#define PORTAL_GATEWAY_ADVERTISE_H

#include "portal-gateway/core/beat.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>

enum { ADVERTISE_HOST_SIZE = 256 };

/* "http://<host>[:<port>]", an IPv6 address in brackets. */
bool advertise_parse(const char *url, char host[static ADVERTISE_HOST_SIZE], int *port) MUSTCHECK;

/* Fills in address and port: those of the URL when there is one, else where we listen, which is every address
 * when host is 0.0.0.0 or ::, and then the one that this machine's name stands for. */
bool advertise_find(const char *url, const char *host, int port, struct beat *beat,
                    struct err *err) MUSTCHECK;

#endif
