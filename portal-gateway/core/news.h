/*
 * What the hub does with each kind of letter from the feed's threads. Thread: the loop's.
 */
#ifndef PORTAL_GATEWAY_CORE_NEWS_H
#define PORTAL_GATEWAY_CORE_NEWS_H

struct hub;
struct news;

/* Takes the letter. */
void news_take(struct hub *h, struct news *n);

#endif
