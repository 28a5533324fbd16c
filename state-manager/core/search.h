/*
 * Finding conversations by what an agent remembers of them, and documents of profiles by their fields: the
 * `q` of lists.
 *
 * Every word of the query must be found somewhere in the conversation: contact name, username, wa_id, last
 * message, tags, assignee, correlation id. Case does not matter, nor do diacritics, points and ligatures:
 * "jose" finds "José", "strasse" finds "Straße". A query that looks like a phone number finds wa_ids however
 * it is written: "+44 7700", "0044-7700" and "07700" all find 447700900123.
 *
 * Pure. Thread: any, one at a time per search. Lifetime: search_init() to search_finish().
 */
#ifndef STATE_MANAGER_CORE_SEARCH_H
#define STATE_MANAGER_CORE_SEARCH_H

#include "state-manager/core/model.h"

enum { SEARCH_CHARS_MAX = 100, SEARCH_BYTES_MAX = 4 * SEARCH_CHARS_MAX };

struct search {
    struct buf words;             /* folded; blanks between */
    char phone[SEARCH_CHARS_MAX]; /* its digits when it looks like a phone number, else "" */
    struct buf text, decoded;     /* private: of the conversation being looked at */
};

/* Whether this may be looked for: UTF-8 of at most SEARCH_CHARS_MAX characters. */
bool search_valid(struct view query);
/* A valid query; one without any word finds everything. */
void search_init(struct search *s, struct view query);
void search_finish(struct search *s);
bool search_finds(struct search *s, const struct conversation *c);
/* The same in JSON values: strings and numbers, and those in arrays. What is written like a phone number is
 * compared by its digits. */
bool search_finds_any(struct search *s, const struct view *values, size_t count);

/* Appends UTF-8 text in the form in which texts are compared; bytes that are not UTF-8 are left out. */
void search_fold(struct view text, struct buf *out);

#endif
