/*
 * What a client said and has not been answered yet, because somebody else has to be asked first: the
 * state-manager does it, or says whether the client may.
 *
 * Owner: its session (session->calls), until on_answer(), or until the session is forgotten: then nobody
 * waits. Bounded per session by number and by the bytes that are on their way. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_CALL_H
#define PORTAL_GATEWAY_CORE_CALL_H

#include "portal-gateway/core/asks.h"
#include "portal-gateway/core/client_event.h"
#include "portal-gateway/core/rights.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/event.h"
#include "shared/json.h"
#include "shared/list.h"
#include <stdbool.h>
#include <stddef.h>

struct session;

enum {
    CALLS_MAX = 64,           /* of one session at a time; more are refused */
    CALL_BYTES_MAX = 1 << 20, /* of their requests together */
    CALL_KEY_MAX = 100,       /* as the API's Idempotency-Key */
    ANSWER_BYTES_MAX = 64 << 10
};

struct call {
    struct list in_calls;
    struct session *s;
    const char *event; /* what it was, a literal */
    struct receipt receipt;
    char id[RECEIPT_ID_MAX]; /* what receipt.id points to */
    void (*on_answer)(struct call *c, const struct answer *a);
    struct ask ask;
    struct rights_wait wait;
    size_t bytes; /* of the request */
    /* For on_answer: */
    char subject[EVENT_ROOM_BYTES_MAX + 1]; /* a room, a conversation */
    char key[CALL_KEY_MAX + 1];
    bool flag;
    void *more; /* owned: freed with the call */
};

/* NULL: the session has too many already, or over so many bytes; that was answered. `bytes` are those of the
 * request that will be asked. on_answer gets the answer, once; the call ends behind it. */
struct call *call_begin(struct session *s, const char *event, const struct receipt *receipt, size_t bytes,
                        void (*on_answer)(struct call *c, const struct answer *a)) MUSTCHECK;
/* One of the three follows at once. on_answer may come from within call_ask_right(). */
void call_ask(struct call *c, struct view request);
void call_ask_right(struct call *c, struct view room);
/* Nothing is asked: there will be no answer. */
void call_drop(struct call *c);

/* An answer: {"ok":true, to be filled and then sent by accept_send(). */
struct acceptance {
    struct buf text;
    struct json_writer w;
};

void accept_begin(struct acceptance *r);
void accept_send(struct session *s, const struct receipt *receipt, struct acceptance *r);
/* {"ok":true} */
void accept_plain(struct session *s, const struct receipt *receipt);
void refuse_quietly(struct session *s, const struct receipt *receipt, const char *code, const char *text);
/* The same, and logged. */
void refuse_client(struct session *s, const char *event, const struct receipt *receipt, const char *code,
                   const char *text);
void refuse_because(struct session *s, const char *event, const struct receipt *receipt, enum err_code code,
                    const char *text);

#endif
