/* A fresh store of the kind under test, in a directory of its own. */
#ifndef TESTS_CONTRACT_STORE_FIXTURE_H
#define TESTS_CONTRACT_STORE_FIXTURE_H

#include "state-manager/core/store.h"

struct store_fixture {
    char directory[64], url[128];
    struct store *writer, *reader;
};

void store_fixture_open(struct store_fixture *f);
/* Closes and opens again: what was committed is still there. */
void store_fixture_reopen(struct store_fixture *f);
void store_fixture_close(struct store_fixture *f);

#endif
