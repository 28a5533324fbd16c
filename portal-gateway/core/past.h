/*
 * What lies below the ring: chunks of a tenant's log, fetched for sockets that are further behind than the
 * ring reaches - reconnecting ones and slow ones. All of a tenant's share them, so that a storm of reconnects
 * costs reads by tenant and not by client; one read is under way at a time, from the lowest place that
 * somebody stands at. What was read stays for a moment, for those who come just behind.
 *
 * Thread: the loop's. Lifetime: of its tenant; a chunk may be gone after every call that is not const.
 */
#ifndef PORTAL_GATEWAY_CORE_PAST_H
#define PORTAL_GATEWAY_CORE_PAST_H

#include "portal-gateway/core/ring.h"
#include "portal-gateway/core/stream.h"
#include "shared/list.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAST_KEEP_MS = 5000,          /* since somebody last read in it */
    PAST_KEEP_BYTES = 512 * 1024, /* of a tenant, besides the newest chunk */
    PAST_RETRY_MS = 500           /* after a read that failed */
};

/* Events of the log that follow on one another. */
struct chunk {
    struct list node;
    struct position after; /* what the first one follows on */
    uint64_t last;         /* seq of the last one */
    int64_t used_ms;
    size_t bytes, count;
    struct entry *entries; /* by seq */
};

struct past {
    struct list chunks; /* newest first */
    size_t bytes;
    struct list waiting; /* sessions, by `queued`, that wait for the next chunk */
    bool asking;
    struct position asked_after;
    int64_t retry_at_ms;  /* no read before */
    struct position gone; /* what follows on anything before that is not in the log any more */
};

void past_init(struct past *p);
void past_finish(struct past *p);
/* The chunk that has what follows on `at`; NULL: it has to be read. */
struct chunk *past_find(struct past *p, const struct position *at, int64_t now_ms);
/* Its first entry behind that seq. */
size_t chunk_index(const struct chunk *c, uint64_t seq);
/* Of its entries behind that seq. */
uint64_t chunk_bytes_from(const struct chunk *c, uint64_t seq);
/* Whether what follows on `at` is known to be lost. */
bool past_is_gone(const struct past *p, const struct position *at);
/* A read has been answered, or has failed (NULL). Takes the records. */
void past_take(struct past *p, struct replay *answer, int64_t now_ms);
/* Drops what nobody has read in for a while. */
void past_forget_old(struct past *p, int64_t now_ms);

#endif
