#include "tests/contract/store_fixture.h"
#include "state-manager/store/open.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static void open_handles(struct store_fixture *f)
{
    struct err err = {0};
    f->writer = store_open(f->url, STORE_WRITER, &err);
    ck_assert_msg(f->writer != NULL, "%s", err.text);
    f->reader = store_open(f->url, STORE_READER, &err);
    ck_assert_msg(f->reader != NULL, "%s", err.text);
}

static void close_handles(struct store_fixture *f)
{
    store_close(f->reader);
    store_close(f->writer);
}

void store_fixture_open(struct store_fixture *f)
{
    snprintf(f->directory, sizeof f->directory, "/tmp/portalcast-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->directory));
    snprintf(f->url, sizeof f->url, "sqlite:%s/test.db", f->directory);
    open_handles(f);
}

void store_fixture_reopen(struct store_fixture *f)
{
    close_handles(f);
    open_handles(f);
}

void store_fixture_close(struct store_fixture *f)
{
    char command[128];
    close_handles(f);
    snprintf(command, sizeof command, "rm -rf %s", f->directory);
    ck_assert_int_eq(system(command), 0);
}
