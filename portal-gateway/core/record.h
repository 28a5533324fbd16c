/*
 * An event as it came from the exchange or the log: the decoded form and the bytes that it points into, in
 * one allocation. Made by the feed's threads, handed over by letter. One owner at a time.
 */
#ifndef PORTAL_GATEWAY_CORE_RECORD_H
#define PORTAL_GATEWAY_CORE_RECORD_H

#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/event.h"
#include "shared/view.h"
#include <stddef.h>

struct record {
    struct record *next; /* in a chain; the holder's business */
    struct event event;
    bool own;     /* made by this gateway, and its maker's to keep within bounds */
    size_t bytes; /* of body */
    char body[];
};

/* Copies and decodes; NULL and err as event_decode() says, or INVALID for an epoch that is no plain word. */
struct record *record_create(struct view body, struct err *err) MUSTCHECK;
struct record *record_copy(const struct record *r);
void record_destroy(struct record *r); /* NULL-safe */
void record_destroy_chain(struct record *first);

#endif
