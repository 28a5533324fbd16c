/*
 * Questions of the loop's to the state-manager that somebody waits for: rights, commands, recorded sessions.
 *
 * Whoever asks embeds a struct ask in what it keeps while it waits, and gets one answer, in time or as
 * failed, unless it cancels before. Thread: the loop's. Lifetime: the ask is its owner's, from asks_send()
 * until on_answer() or asks_cancel().
 */
#ifndef PORTAL_GATEWAY_CORE_ASKS_H
#define PORTAL_GATEWAY_CORE_ASKS_H

#include "shared/buf.h"
#include "shared/json.h"
#include "shared/map.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

struct hub;
struct ask;

enum { ASK_CODE_SIZE = 32, ASK_TEXT_SIZE = 256 };

struct answer {
    bool ok;
    struct view body;         /* ok: the JSON object of the answer */
    char code[ASK_CODE_SIZE]; /* not ok: UNAVAILABLE when nobody answered in time */
    char text[ASK_TEXT_SIZE];
};

struct ask {
    uint64_t token; /* 0: nothing is asked */
    void (*on_answer)(struct ask *ask, const struct answer *answer);
};

struct asks {
    struct map by_token;
    uint64_t last;
    bool finished; /* nobody is asked any more: there is nobody to be asked */
};

void asks_init(struct asks *asks);
/* Whoever still waits, or asks again for that, is told that nobody answers. */
void asks_finish(struct asks *asks);
/* Writes a request up to its own members: {"v":1,"op":op,"tenantId":..., to be ended by jw_end(). */
void ask_begin(struct json_writer *w, struct buf *out, const char *tenant_id, const char *op);
/* `request`: a JSON object with "v" and "op"; copied. on_answer follows, never from within. */
void asks_send(struct hub *h, struct ask *ask, const char *tenant_id, struct view request);
/* No answer is wanted any more; harmless when nothing is asked. */
void asks_cancel(struct hub *h, struct ask *ask);
/* What the state-manager sent (empty: nothing in time) reaches the one who waits, if there still is one. */
void asks_settle(struct asks *asks, uint64_t token, struct view text);

#endif
