/*
 * The answer of another gateway to a relayed request, as it comes in: a head with a Content-Length, and a
 * body. Strict, because only our own server writes such answers: anything else is broken. Thread: any.
 */
#ifndef PORTAL_GATEWAY_HTTP_PEER_ANSWER_H
#define PORTAL_GATEWAY_HTTP_PEER_ANSWER_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/server.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>

enum { PEER_ANSWER_HEAD_MAX = 8192, PEER_ANSWER_BODY_MAX = 64 << 20, PEER_ANSWER_HEADERS_MAX = 16 };

enum peer_answer_state { PEER_ANSWER_PART, PEER_ANSWER_WHOLE, PEER_ANSWER_BROKEN };

struct peer_answer {
    struct buf bytes;
    size_t head_bytes; /* with the empty line; 0: not whole yet */
    size_t body_bytes;
    int status;
    bool closes; /* the connection ends with it */
    struct reply_header headers[PEER_ANSWER_HEADERS_MAX];
};

void peer_answer_init(struct peer_answer *a);
void peer_answer_finish(struct peer_answer *a);
enum peer_answer_state peer_answer_add(struct peer_answer *a, struct view bytes);
/* Once, of a whole answer: as a reply of ours, without what our server adds itself. Valid as long as the
 * answer. */
void peer_answer_read(struct peer_answer *a, struct reply *out);

#endif
