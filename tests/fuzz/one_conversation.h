/* A throw-away SQLite store for harnesses: tenant "t1" with one conversation on channel "100". */
#ifndef TESTS_FUZZ_ONE_CONVERSATION_H
#define TESTS_FUZZ_ONE_CONVERSATION_H

#include "state-manager/core/batch.h"
#include "state-manager/core/store.h"

/* When everything happens there, wall ms. */
#define STORE_NOW_MS INT64_C(1789200000000)

/* Made with the first call; gone when the process ends. */
struct store *one_conversation(void);
/* Of that conversation. */
const char *one_conversation_id(void);
struct batch *one_batch(void);

#endif
