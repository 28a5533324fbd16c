/*
 * Whether somebody of a tenant may be in a room whose right depends on data: the state-manager knows
 * (op `rights`), and what it said is believed for a while.
 *
 * One question a tenant is on its way at a time; what is wanted meanwhile goes together with the next one, so
 * that a storm of reconnects asks for rooms, not for clients. Owner: its tenant. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_RIGHTS_H
#define PORTAL_GATEWAY_CORE_RIGHTS_H

#include "portal-gateway/core/asks.h"
#include "shared/json.h"
#include "shared/list.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

struct rights;
struct tenant;

enum {
    RIGHTS_YES_MS = 30000,   /* how long an answer is believed */
    RIGHTS_RENEW_MS = 10000, /* what is used in the last of it is asked for again */
    RIGHTS_NO_MS = 2000,     /* a conversation may begin any moment */
    RIGHTS_KEPT_MAX = 1024,  /* answers; the oldest make place */
    RIGHTS_PER_REQUEST = 100
};

/* Embedded in whatever waits. */
struct rights_wait {
    struct list in_right;
    void (*on_answer)(struct rights_wait *w, const struct answer *a);
};

struct rights *rights_create(struct tenant *t);
/* Nobody may wait any more. NULL-safe. */
void rights_destroy(struct rights *r);
void rights_wait_init(struct rights_wait *w, void (*on_answer)(struct rights_wait *, const struct answer *));
/* on_answer follows, once: ok with what the state-manager says of the room as its body (true, or whose it is:
 * a string), or NOT_FOUND, or why nobody knows. It comes from within when it is known. */
void rights_ask(struct rights *r, struct rights_wait *w, struct view room, int64_t now_ms);
/* Harmless when nothing is waited for. */
void rights_cancel(struct rights_wait *w);

/* The members that such a question has of its own. */
void rights_write_rooms(struct json_writer *w, const struct view *rooms, size_t count);
/* What an answer's body says of a room: true, false, whose it is, or nothing (empty). */
struct view rights_read(struct view body, struct view room);

#endif
