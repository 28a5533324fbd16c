/*
 * What the hub does with each kind of letter from the feed's threads. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_NEWS_H
#define PORTAL_GATEWAY_CORE_NEWS_H

struct hub;
struct news;
struct record;
struct tenant;

/* Takes the letter. */
void news_take(struct hub *h, struct news *n);
/* Takes a record that was made here, for the sockets here: without a seq, into a stream that is in place. */
void news_offer(struct tenant *t, struct record *r);

#endif
