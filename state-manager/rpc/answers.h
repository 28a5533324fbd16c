/* What the responder answers: requests in, JSON out, no broker. Thread: the caller's; uses its store handle.
 */
#ifndef STATE_MANAGER_RPC_ANSWERS_H
#define STATE_MANAGER_RPC_ANSWERS_H

#include "shared/buf.h"
#include "shared/view.h"
#include "state-manager/core/store.h"

enum { HEADS_MAX = 500, REPLAY_EVENTS_MAX = 1000, REPLAY_BYTES = 1 << 20, ANSWER_MAX = 16 << 20 };

/* Always writes an answer. */
void rpc_answer(struct store *store, struct view request, int64_t now_wall_ms, struct buf *answer);

#endif
