/* What the responder answers: requests in, JSON out, no broker. Thread: the caller's; uses its store handle.
 */
#ifndef STATE_MANAGER_RPC_ANSWERS_H
#define STATE_MANAGER_RPC_ANSWERS_H

#include "shared/buf.h"
#include "shared/json.h"
#include "shared/profile.h"
#include "shared/view.h"
#include "state-manager/core/store.h"

enum {
    HEADS_MAX = 500,
    HEADS_BYTES = 4 << 20,  /* of what there is of all tenants of a kind; a tenant more goes over it */
    LATEST_BYTES = 2 << 20, /* of a tenant's newest values */
    REPLAY_EVENTS_MAX = 1000,
    REPLAY_BYTES = 1 << 20,
    RIGHTS_MAX = 100,
    SESSIONS_BYTES = 512 << 10,
    ANSWER_MAX = 16 << 20
};

/* Out of what requests are answered. */
struct answering {
    struct store *store;
    const struct profiles *profiles; /* whose rooms there are; NULL: the agent portal's */
    int64_t now_wall_ms;
};

/* Always writes an answer. The request is checked JSON, and anything but a command. */
void rpc_answer(const struct answering *from, struct view request, struct buf *answer);
/* What a command was answered with. */
void rpc_reply(struct view reply, struct buf *answer);
void rpc_refuse(const struct err *err, struct buf *answer);

/* One op each: writes the members of the answer. rooms.c */
bool answer_rights(const struct answering *from, struct view request, struct json_writer *w,
                   struct err *err) MUSTCHECK;
bool answer_sessions(const struct answering *from, struct view request, struct json_writer *w,
                     struct err *err) MUSTCHECK;
/* The tenant's id of a request. INVALID. answers.c */
bool answer_read_tenant(struct view string, char out[static TENANT_ID_MAX + 1], struct err *err) MUSTCHECK;

#endif
