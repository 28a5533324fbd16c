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

extern struct store_fixture stores; /* of the test that is running */

void store_fixture_open(struct store_fixture *f);
/* Closes and opens again: what was committed is still there. */
void store_fixture_reopen(struct store_fixture *f);
void store_fixture_close(struct store_fixture *f);

/* An entry without changes. */
struct entry store_entry(const char *tenant_id, uint64_t n, const char *events, uint64_t first,
                         uint64_t last);
/* Whether the entry was committed; any failure ends the test. */
bool store_commit(struct entry *e);
/* Commits changes as the tenant's next entry, without events. */
void store_put(const char *tenant_id, const struct change *changes, size_t count);
/* The document, or "-" when there is none, as it is until the next call. */
const char *store_doc(struct store *s, const char *tenant_id, enum doc_kind kind, const char *key);

/* What a walk has seen, as text: each on_* adds its row and a blank, and ends the walk at `stop_after` rows
 * (0: never). */
struct seen {
    char text[512];
    size_t stop_after, count;
};
bool seen_add(struct seen *seen, const char *format, ...) PRINTF_LIKE(2, 3);

/* Ends the test when the call gives false, with what it said. */
#define CK_STORE(s, op, ...)                                                            \
    do {                                                                                \
        struct err err_ = {0};                                                          \
        ck_assert_msg((s)->ops->op((s), __VA_ARGS__, &err_), "%s: %s", #op, err_.text); \
    } while (0)

/* What every kind of store must do, by subject. */
void store_contract_add(TCase *t, enum store_kind kind);
void contract_docs_add(TCase *t);
void contract_aside_add(TCase *t);
void contract_keep_add(TCase *t);

#endif
