/*
 * The events of one tenant, as this gateway has heard them: put into sequence, each once.
 *
 * The broker may repeat, reorder and lose. What is next in sequence goes into the ring; what came too early
 * waits (bounded: the log has it anyway); a repeat is dropped. A hole that stays open for STREAM_HOLE_MS is
 * fetched by `replay`; that a last event was lost is told by `heads`. When the history itself is another one
 * (new epoch, or a head behind what we have delivered) the stream starts anew at the head, with a resync for
 * everyone.
 *
 * Knows no clock, no sockets and no broker: time is handed in, and what has become deliverable is what stands
 * in the ring from the head as it was before the call. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_STREAM_H
#define PORTAL_GATEWAY_CORE_STREAM_H

#include "portal-gateway/core/latest.h"
#include "portal-gateway/core/ring.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STREAM_HOLE_MS = 200,        /* how long a missing event may be merely late */
    STREAM_RETRY_MOST_MS = 5000, /* between two tries to fetch it */
    STREAM_EARLY_MAX = 1024,     /* events that came too early */
    STREAM_EARLY_BYTES = 4 << 20
};

struct stream {
    struct position at;    /* of the last event in order */
    bool placed;           /* whether `at` is known; nothing is delivered before */
    uint64_t head;         /* the highest seq of this epoch known to exist */
    struct record **early; /* ascending by seq, all of one epoch unless not placed yet */
    size_t early_count, early_cap, early_bytes;
    int64_t ask_at_ms;           /* when the hole is worth a request; 0: no hole */
    int64_t wait_ms;             /* before the next try */
    bool asking;                 /* a replay is on its way */
    struct position asked_after; /* by that one */
    struct ring ring;
    struct latest latest;
};

void stream_init(struct stream *s, size_t ring_events, size_t ring_bytes);
void stream_finish(struct stream *s);

enum stream_verdict {
    STREAM_APPENDED, /* it, and perhaps others that waited for it */
    STREAM_EARLY,    /* waits, or has to be fetched later */
    STREAM_REPEAT,   /* heard before; or older than the newest of its key */
    STREAM_STRANGE   /* of another epoch: ask for the head */
};

/* Takes the record. */
enum stream_verdict stream_offer(struct stream *s, struct record *r, int64_t now_ms);

enum stream_move {
    STREAM_SAME,
    STREAM_PLACED, /* the first answer: from here on it delivers */
    STREAM_RESET   /* another history */
};

/* The head as the store tells it. `asked` is s->at as it was when the question left: an answer that is older
 * than what has been heard meanwhile must not look like a step back. */
enum stream_move stream_on_head(struct stream *s, const struct position *head, const struct position *asked,
                                int64_t now_ms);

/* Whether a replay is to be asked for now; then *after is the position to ask from and the stream counts as
 * asking. */
bool stream_ask(struct stream *s, int64_t now_ms, struct position *after);

struct replay {
    struct position after;  /* as asked */
    struct position head;   /* epoch and head as they are now */
    bool complete;          /* nothing between `after` and the first event is gone */
    struct record *records; /* chain in seq order */
};

/* Takes the records. STRANGE: the answer is of another epoch; EARLY: no progress; REPEAT: not what was asked
 * last. */
enum stream_verdict stream_on_replay(struct stream *s, struct replay *answer, int64_t now_ms);
void stream_on_replay_failed(struct stream *s, int64_t now_ms);

#endif
