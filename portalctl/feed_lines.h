/* What the people of the feed are called and say. Thread: any (constants). */
#ifndef PORTALCTL_FEED_LINES_H
#define PORTALCTL_FEED_LINES_H

#include <stddef.h>

enum line_kind {
    LINE_END, /* the conversation is over */
    LINE_CUSTOMER,
    LINE_PICTURE, /* of the customer; the text is its caption */
    LINE_AGENT
};

struct line {
    enum line_kind kind;
    const char *text;
};

extern const char *const feed_names[];
extern const size_t feed_name_count;
extern const struct line *const feed_talks[];
extern const size_t feed_talk_count;

#endif
