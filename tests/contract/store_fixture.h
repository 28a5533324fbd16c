/* A fresh store of the kind under test: a directory, or a database of its own on the server at
 * MONGODB_TEST_URL. */
#ifndef TESTS_CONTRACT_STORE_FIXTURE_H
#define TESTS_CONTRACT_STORE_FIXTURE_H

#include "state-manager/core/store.h"
#include <check.h>

enum store_kind { STORE_SQLITE, STORE_MONGO };

struct store_fixture {
    enum store_kind kind; /* set before it is opened; SQLite when nobody does */
    char directory[64], url[512];
    struct store *writer, *reader;
};

void store_fixture_open(struct store_fixture *f);
/* Closes and opens again: what was committed is still there. */
void store_fixture_reopen(struct store_fixture *f);
void store_fixture_close(struct store_fixture *f);

/* An entry without changes. */
struct entry store_entry(const char *tenant_id, uint64_t n, const char *events, uint64_t first,
                         uint64_t last);

/* Adds what every kind of store must do (test_store.c). */
void store_contract_add(TCase *t, enum store_kind kind);

#endif
