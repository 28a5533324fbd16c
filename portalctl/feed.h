/*
 * A make-believe shop's WhatsApp traffic: customers ask, send pictures and come back, agents answer on the
 * phone, receipts follow. Makes webhook bodies as the Cloud API sends them (object, entry, changes).
 *
 * Thread: the owner's.
 */
#ifndef PORTALCTL_FEED_H
#define PORTALCTL_FEED_H

#include "shared/buf.h"
#include <stddef.h>

struct feed;

/* number: the phone number id that the webhooks are for. */
struct feed *feed_create(const char *number, size_t contacts);
void feed_destroy(struct feed *feed);
/* Writes the next body, dated now. */
void feed_next(struct feed *feed, struct buf *body);

/* As people see the number. */
extern const char feed_display_number[];

#endif
