/*
 * Two stores, one to copy from and one to restore into, and a hand that writes to the first at random
 * (tests/unit/dice.h), by itself or whenever the copy reads.
 */
#ifndef TESTS_UNIT_COPIES_STAGE_H
#define TESTS_UNIT_COPIES_STAGE_H

#include "portalctl/copying.h"
#include "shared/map.h"
#include "tests/contract/store_fixture.h"
#include <stdio.h>

extern struct store_fixture copies_from, copies_to;

void copies_open(void);
void copies_open_mongo(void);
void copies_close(void);

void copies_seed(int seed);
/* Entries of two tenants, t_a and t_b, with up to three documents each, new or known. */
void copies_write_much(int entries);
void copies_put_channel(struct store *s, const char *tenant_id);

/* Reads copies_from, which is written to meanwhile: at every read up to two entries, `writes` in all. With
 * trims_at, all of them at that read, and then the log is trimmed. After reads_left reads the store is away;
 * negative: it stays. */
struct store *copies_busy_store(int writes, int trims_at, int reads_left);
int copies_writes_left(void);

struct copied {
    FILE *file;
    size_t count;
    char tenants[4][TENANT_ID_MAX + 1];
    struct head heads[4];
};

/* Into a file without a name; out->file is the caller's, also when it fails. */
bool copies_copy(struct store *s, struct copied *out, struct err *err);
bool copies_bring(FILE *file, struct store *s, struct err *err);

/* Documents as one text each, by kind and key; without the mark of a restore. */
void copies_read(struct store *s, const char *tenant_id, struct map *docs);
void copies_forget(struct map *docs);
/* The log of copies_from, from nothing up to the position, is what copies_to holds; and it goes on from
 * there. */
void copies_check_restored(const char *tenant_id, const struct head *at);

#endif
