/* A tenant's log read from its beginning, and what must follow from it: entries and sequence without a gap,
 * every event once, the stored documents exactly what the changes give when they are applied to nothing, and
 * the figures what a recount of the documents says. Whatever is wrong ends the test. Thread: any one. */
#ifndef TESTS_CONTRACT_LOG_AUDIT_H
#define TESTS_CONTRACT_LOG_AUDIT_H

#include "shared/map.h"
#include "state-manager/core/store.h"

struct audit {
    struct store *store; /* borrowed */
    const char *tenant_id;
    uint64_t n, seq;
    struct map docs;   /* kind and key -> what the log says of it */
    struct map counts; /* identity -> how often */
};

/* Checks all of that. */
void audit_open(struct audit *a, struct store *store, const char *tenant_id);
void audit_close(struct audit *a);

/* How often the log or the documents hold a thing, by identity:
 *   "new_message|\"<wamid>\"", "account_update|\"<mark>\"", "at_random|\"<mark>\""   events
 *   "id|\"<event id>\""                                                              events
 *   "text|\"<text>\""                                                                messages with that text
 *   "receipt|\"<wamid>\"|\"<status>\""                                               kept receipts */
size_t audit_count(const struct audit *a, const char *identity);
/* The document as the log has it; empty: none. */
struct view audit_doc(const struct audit *a, enum doc_kind kind, const char *key);

#endif
