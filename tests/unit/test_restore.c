/* Restores that are interrupted, taken up again, refused. */
#include "portalctl/restore_mark.h"
#include "shared/mem.h"
#include "tests/unit/copies_stage.h"
#include "tests/unit/suites.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { WRITES = 60 };

/* Fails the n-th write of the restore, and all after it: as if killed there. */
static struct {
    const struct store_ops *real;
    struct store_ops ops;
    int writes_left;
} failing;

static bool may_write(struct err *err)
{
    return failing.writes_left-- > 0 || err_set(err, ERR_UNAVAILABLE, "killed");
}

/* No kind of store may be given an entry that it cannot keep: too large, or with two versions of a document.
 */
static void check_entry(const struct entry *e)
{
    size_t bytes = 0;
    ck_assert_uint_le(e->change_count, ENTRY_COMMANDS_MAX + 1);
    for (size_t i = 0; i < e->change_count; i++) {
        bytes += e->changes[i].doc.n;
        for (size_t k = 0; k < i; k++)
            ck_assert(e->changes[i].kind != e->changes[k].kind ||
                      !view_eq(e->changes[i].key, e->changes[k].key));
    }
    ck_assert_uint_le(bytes, ENTRY_BYTES_MAX);
    ck_assert_str_eq(e->events.p, "[]");
}

static bool failing_commit(struct store *s, struct entry **entries, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        check_entry(entries[i]);
    return may_write(err) && failing.real->commit(s, entries, count, err);
}

static bool failing_adopt(struct store *s, const char *tenant_id, const struct head *at, bool *taken,
                          struct err *err)
{
    return may_write(err) && failing.real->adopt(s, tenant_id, at, taken, err);
}

static bool failing_mark(struct store *s, const struct mark *marks, size_t count, struct err *err)
{
    return may_write(err) && failing.real->mark(s, marks, count, err);
}

static bool failing_channel_put(struct store *s, const struct channel *channel, struct err *err)
{
    return may_write(err) && failing.real->channel_put(s, channel, err);
}

static void fail_after(int writes)
{
    failing.real = copies_to.writer->ops;
    failing.ops = *failing.real;
    failing.ops.commit = failing_commit;
    failing.ops.adopt = failing_adopt;
    failing.ops.mark = failing_mark;
    failing.ops.channel_put = failing_channel_put;
    failing.writes_left = writes;
    copies_to.writer->ops = &failing.ops;
}

static void check_mark(const char *tenant_id, bool unfinished)
{
    struct restore_mark mark;
    ck_assert(restore_mark_read(copies_to.reader, tenant_id, &mark, NULL));
    ck_assert(mark.found && mark.unfinished == unfinished);
}

START_TEST(a_restore_that_was_killed_anywhere_is_taken_up_again)
{
    struct copied copied;
    struct err err = {0};
    bool whole = false;
    copies_seed(9);
    copies_write_much(60);
    copies_put_channel(copies_from.writer, "t_a");
    ck_assert(copies_copy(copies_busy_store(WRITES, 0, -1), &copied, &err));
    int step = copies_to.kind == STORE_MONGO ? 5 : 1; /* it takes its time */
    for (int writes = 0; !whole; writes += step) {
        ck_assert_int_lt(writes, 100);
        fail_after(writes);
        whole = copies_bring(copied.file, copies_to.writer, &err);
        copies_to.writer->ops = failing.real;
        if (!whole && writes > 1) {
            struct copied in_part;
            ck_assert_msg(copies_copy(copies_to.reader, &in_part, &err) || strstr(err.text, "in part"), "%s",
                          err.text);
            fclose(in_part.file);
        }
        if (!whole)
            ck_assert_msg(copies_bring(copied.file, copies_to.writer, &err), "after %d writes: %s", writes,
                          err.text);
        for (size_t i = 0; i < copied.count; i++) {
            copies_check_restored(copied.tenants[i], &copied.heads[i]);
            check_mark(copied.tenants[i], false);
        }
        struct channel channel;
        bool found;
        ck_assert(copies_to.reader->ops->channel_get(copies_to.reader, VIEW("200000000000001"), &channel,
                                                     &found, NULL));
        ck_assert(found);
        ck_assert_str_eq(channel.access_token, "token");
        ck_assert(!copies_bring(copied.file, copies_to.writer, &err)); /* nothing is left to do */
        ck_assert_int_eq(err.code, ERR_CONFLICT);
        store_fixture_close(&copies_to);
        store_fixture_open(&copies_to);
    }
    fclose(copied.file);
}
END_TEST

static void write_large(const char *tenant_id, int n, size_t bytes)
{
    char key[16], *doc = xcalloc(1, bytes + 1);
    memset(doc, 'x', bytes);
    doc[0] = doc[bytes - 1] = '"';
    snprintf(key, sizeof key, "large-%d", n);
    struct change change = {.kind = DOC_RAW, .key = view_of(key), .place.rank = n, .doc = {doc, bytes}};
    struct entry e = store_entry(tenant_id, (uint64_t)n, "[]", 1, 0);
    struct entry *one = &e;
    e.changes = &change;
    e.change_count = 1;
    ck_assert(copies_from.writer->ops->commit(copies_from.writer, &one, 1, NULL) && e.result == COMMIT_DONE);
    free(doc);
}

START_TEST(documents_come_in_entries_that_every_store_takes)
{
    static const size_t sizes[] = {3 << 20, 3 << 20, DOC_MAX, 10, 3 << 20, DOC_MAX};
    struct copied copied;
    struct err err = {0};
    struct map docs;
    int n = 0;
    for (; n < (int)countof(sizes); n++)
        write_large("t_a", n + 1, sizes[n]);
    for (; n < ENTRY_COMMANDS_MAX + 50; n++)
        write_large("t_a", n + 1, 10);
    ck_assert_msg(copies_copy(copies_from.reader, &copied, &err), "%s", err.text);
    fail_after(INT_MAX);
    ck_assert_msg(copies_bring(copied.file, copies_to.writer, &err), "%s", err.text);
    ck_assert_int_le(INT_MAX - failing.writes_left, 12); /* together, not one by one */
    copies_to.writer->ops = failing.real;
    copies_read(copies_to.reader, "t_a", &docs);
    ck_assert_uint_eq(docs.count, (size_t)n);
    copies_forget(&docs);
    fclose(copied.file);
}
END_TEST

START_TEST(a_half_restored_tenant_is_known_for_it)
{
    struct copied copied, other;
    struct err err = {0};
    copies_seed(10);
    copies_write_much(40);
    ck_assert(copies_copy(copies_from.reader, &copied, &err) &&
              copies_copy(copies_from.reader, &other, &err));
    fail_after(2); /* adopt, the first entry */
    ck_assert(!copies_bring(copied.file, copies_to.writer, &err));
    copies_to.writer->ops = failing.real;
    check_mark("t_a", true);
    ck_assert(!copies_copy(copies_to.reader, &(struct copied){0}, &err) && strstr(err.text, "in part"));
    ck_assert(!copies_bring(other.file, copies_to.writer, &err)); /* only the same file goes on */
    ck_assert_int_eq(err.code, ERR_CONFLICT);
    struct head head;
    ck_assert(copies_to.writer->ops->head(copies_to.writer, "t_a", &head, NULL));
    struct entry e = store_entry("t_a", head.n + 1, "[{\"seq\":1}]", head.seq + 1, head.seq + 1);
    struct entry *one = &e;
    e.epoch = head.epoch;
    ck_assert(copies_to.writer->ops->commit(copies_to.writer, &one, 1, NULL) && e.result == COMMIT_DONE);
    ck_assert(!copies_bring(copied.file, copies_to.writer, &err)); /* somebody has used it meanwhile */
    ck_assert_int_eq(err.code, ERR_CONFLICT);
    fclose(copied.file);
    fclose(other.file);
}
END_TEST

START_TEST(somebody_else_s_channel_stays_his)
{
    struct copied copied;
    struct err err = {0};
    struct head head;
    copies_seed(11);
    copies_write_much(10);
    copies_put_channel(copies_from.writer, "t_a");
    copies_put_channel(copies_to.writer, "t_other");
    ck_assert(copies_copy(copies_from.reader, &copied, &err));
    ck_assert(!copies_bring(copied.file, copies_to.writer, &err));
    ck_assert_int_eq(err.code, ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.text, "t_other"));
    ck_assert(copies_to.reader->ops->head(copies_to.reader, "t_a", &head, NULL));
    ck_assert_str_eq(head.epoch, ""); /* nothing was written */
    fclose(copied.file);
}
END_TEST

Suite *suite_restore(void)
{
    Suite *s = suite_create("restore");
    TCase *t = tcase_create("restore");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, copies_open, copies_close);
    tcase_add_test(t, a_restore_that_was_killed_anywhere_is_taken_up_again);
    tcase_add_test(t, documents_come_in_entries_that_every_store_takes);
    tcase_add_test(t, a_half_restored_tenant_is_known_for_it);
    tcase_add_test(t, somebody_else_s_channel_stays_his);
    suite_add_tcase(s, t);
    t = tcase_create("mongo");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, copies_open_mongo, copies_close);
    tcase_add_test(t, a_restore_that_was_killed_anywhere_is_taken_up_again);
    tcase_add_test(t, documents_come_in_entries_that_every_store_takes);
    tcase_add_test(t, a_half_restored_tenant_is_known_for_it);
    suite_add_tcase(s, t);
    return s;
}
