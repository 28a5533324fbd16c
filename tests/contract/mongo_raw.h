/* A client beside the store's, to leave a database as a killed writer would and to look at it. Each call
 * connects anew; failures end the test. */
#ifndef TESTS_CONTRACT_MONGO_RAW_H
#define TESTS_CONTRACT_MONGO_RAW_H

#include <stdint.h>

/* Inserts a document, given as JSON, into a collection. */
void mongo_raw_insert(const char *url, const char *collection, const char *json);
/* How many documents match a filter, given as JSON. */
int64_t mongo_raw_count(const char *url, const char *collection, const char *filter);
void mongo_raw_drop(const char *url); /* the database of the URL */

#endif
