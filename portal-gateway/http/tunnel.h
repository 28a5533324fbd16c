/*
 * A WebSocket whose session is on another gateway: the client's socket is taken from the server, its request
 * is sent to the session's gateway, and from then on bytes go both ways as they come. So the owner alone
 * answers the handshake, frames, pings, limits and close codes reach the other side as they are, and whoever
 * does not read stops whoever writes: at most one read is kept for each side. The owner pings its client, and
 * so a tunnel through which nothing passes for long is one whose sides have both died without a word.
 *
 * Owner: the list that it is in, which tunnels_cut() empties; each ends with either of its sides. Thread:
 * the loop's.
 */
#ifndef PORTAL_GATEWAY_HTTP_TUNNEL_H
#define PORTAL_GATEWAY_HTTP_TUNNEL_H

#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/list.h"
#include "shared/loop.h"
#include "shared/view.h"
#include <stddef.h>
#include <stdint.h>

struct tunnels {
    struct loop *loop;
    struct list all;
    size_t count;
    size_t *files;     /* counts those that are open, two for each */
    int64_t silent_ms; /* one through which nothing passes for so long ends */
};

void tunnels_init(struct tunnels *t, struct loop *loop, int64_t silent_ms, size_t *files);
/* Takes the fd. `request`: the whole head for the owner. */
void tunnel_open(struct tunnels *t, int fd, const char *address, int port, struct view request);
/* Cuts up to max of them. */
void tunnels_cut(struct tunnels *t, size_t max);

#endif
