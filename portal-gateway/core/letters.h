/*
 * What the feed's threads tell the loop: one kind of letter, tagged. Everything in it belongs to the letter.
 */
#ifndef PORTAL_GATEWAY_CORE_LETTERS_H
#define PORTAL_GATEWAY_CORE_LETTERS_H

#include "portal-gateway/core/beat.h"
#include "portal-gateway/core/stream.h"
#include "shared/mailbox.h"

enum news_kind {
    NEWS_EVENTS,  /* records, all of one tenant */
    NEWS_FEED_UP, /* consuming; what was asked to be bound is bound */
    NEWS_FEED_DOWN,
    NEWS_BOUND,         /* tenant */
    NEWS_HEADS,         /* heads: what was asked, with answers */
    NEWS_HEADS_FAILED,  /* heads: what was asked */
    NEWS_REPLAY,        /* tenant, replay */
    NEWS_REPLAY_FAILED, /* tenant */
    NEWS_PAST,          /* tenant, replay: a chunk of the log from below the ring */
    NEWS_PAST_FAILED,   /* tenant, replay: what was asked */
    NEWS_ANSWER,        /* token, text: empty when nobody answered in time */
    NEWS_RPC_UP,        /* requests can be sent */
    NEWS_RPC_DOWN,
    NEWS_BEAT /* beat: of another gateway, or our own come round */
};

/* One tenant of a batched request for heads. */
struct head {
    char tenant_id[TENANT_ID_MAX + 1];
    struct position asked; /* the stream's position when the question left */
    struct position head;  /* the answer */
    bool answered;
    struct record *latest; /* chain; the newest values, when they were asked for */
    char *revocations;     /* a JSON array, likewise; NULL: none */
    size_t revocations_n;
};

struct heads {
    size_t count;
    bool latest;
    struct head items[];
};

struct news {
    struct letter letter;
    enum news_kind kind;
    char tenant_id[TENANT_ID_MAX + 1];
    struct record *records;
    struct heads *heads;
    struct replay replay;
    struct beat *beat;
    uint64_t token; /* of a question: asks.h */
    char *text;
    size_t text_n;
};

/* The tenant may be NULL. */
struct news *news_create(enum news_kind kind, const char *tenant_id);
void news_destroy(struct news *n);
void news_discard(struct letter *letter);
struct heads *heads_create(size_t capacity);
void heads_destroy(struct heads *heads);

#endif
