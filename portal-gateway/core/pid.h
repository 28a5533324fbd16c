/*
 * The private id by which a Socket.IO client gets its session back after a reconnect, on any gateway (wire
 * spec, 4): "<public id>.<epoch>-<seq>.<wall ms>.<signature>".
 *
 * It says where the session began, so that nothing from before can be asked for, and is signed together with
 * what it must not be used without: tenant, user, namespace and the rooms of the token. Who comes with
 * another token's rooms is another. It names no one in plain text. Pure; thread: any.
 */
#ifndef PORTAL_GATEWAY_CORE_PID_H
#define PORTAL_GATEWAY_CORE_PID_H

#include "portal-gateway/core/frame.h"
#include "portal-gateway/core/peer_keys.h"
#include "portal-gateway/core/session.h"
#include "shared/token.h"

enum { PID_SIZE = SESSION_ID_SIZE + OFFSET_SIZE + 21 + PEER_SIGNATURE_SIZE };

struct pid {
    char id[SESSION_ID_SIZE];
    struct position base; /* of the session's beginning */
    int64_t issued_ms;    /* wall clock */
};

void pid_write(const struct peer_keys *keys, const struct claims *claims, const struct pid *pid,
               char out[static PID_SIZE]);
/* False: not one of ours, or not this caller's. */
bool pid_read(const struct peer_keys *keys, const struct claims *claims, struct view text,
              struct pid *out) MUSTCHECK;

#endif
