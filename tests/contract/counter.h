/*
 * A tenant "t1" that counts: each entry adds one to its figures, leaves a document of its own and one event.
 * So whatever was lost, done twice or done on an old state shows in the log against the documents.
 */
#ifndef TESTS_CONTRACT_COUNTER_H
#define TESTS_CONTRACT_COUNTER_H

#include "state-manager/core/store.h"

/* Counts on: false and no error: another writer was first. `author` and `number` name the entry. */
bool counter_add(struct store *s, const char *author, int number, struct err *err);
/* The same until it is done; only a store that is away is waited for, and not for ever. */
void counter_add_patiently(struct store *s, const char *author);
/* The log is dense and the documents are the log applied; gives the number of entries. */
uint64_t counter_audit(struct store *s);

void pause_ms(int ms);

#endif
