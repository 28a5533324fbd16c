/* Copies of a store that is written to meanwhile, and files that were changed. */
#include "portalctl/backup_contents.h"
#include "shared/mem.h"
#include "tests/unit/copies_stage.h"
#include "tests/unit/suites.h"
#include <stdlib.h>
#include <string.h>

enum { WRITES = 60 };

START_TEST(a_copy_of_a_busy_store_is_the_state_of_one_moment)
{
    struct copied copied;
    struct err err = {0};
    copies_seed(_i);
    copies_write_much(30);
    ck_assert_msg(copies_copy(copies_busy_store(WRITES, 0, -1), &copied, &err), "%s", err.text);
    ck_assert_int_lt(copies_writes_left(), WRITES / 2);
    ck_assert_msg(copies_bring(copied.file, copies_to.writer, &err), "%s", err.text);
    ck_assert_uint_eq(copied.count, 2);
    for (size_t i = 0; i < copied.count; i++) {
        struct head head;
        copies_check_restored(copied.tenants[i], &copied.heads[i]);
        ck_assert(copies_to.reader->ops->head(copies_to.reader, copied.tenants[i], &head, NULL));
        ck_assert_uint_eq(head.published, head.n);
    }
    fclose(copied.file);
}
END_TEST

START_TEST(a_log_that_is_trimmed_under_the_copy_is_noticed)
{
    struct copied copied;
    struct err err = {0};
    copies_seed(7);
    copies_write_much(30);
    ck_assert(
        !copies_copy(copies_busy_store(5, 3, -1), &copied, &err)); /* between the first head and the last */
    ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(err.text, "trimmed"));
    fclose(copied.file);
}
END_TEST

START_TEST(a_store_that_goes_away_is_no_backup)
{
    struct copied copied;
    struct err err = {0};
    copies_seed(8);
    copies_write_much(30);
    struct backup_contents contents;
    int reads = 0;
    for (;; reads++) {
        bool ok = copies_copy(copies_busy_store(0, 0, reads), &copied, &err);
        ck_assert_int_eq(ok, backup_contents_read(copied.file, &contents, &err));
        fclose(copied.file);
        if (ok)
            break;
        ck_assert_int_lt(reads, 500);
    }
    ck_assert_int_gt(reads, 20);
    ck_assert_uint_eq(contents.tenant_count, 2);
    backup_contents_free(&contents);
}
END_TEST

/* --- the file --------------------------------------------------------------------------------------------
 */

static bool holds(const char *bytes, size_t n, struct err *err)
{
    struct backup_contents contents;
    FILE *file = tmpfile();
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    bool ok = backup_contents_read(file, &contents, err);
    if (ok)
        backup_contents_free(&contents);
    fclose(file);
    return ok;
}

static char *bytes_of(FILE *file, size_t *n)
{
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    char *bytes = xcalloc(*n + 1, 1);
    ck_assert_uint_eq(fread(bytes, 1, *n, file), *n);
    return bytes;
}

START_TEST(a_file_that_lacks_or_changed_one_byte_is_refused)
{
    struct copied copied;
    struct err err = {0};
    size_t n;
    struct quarantined row = {QUARANTINE_NO_TENANT, VIEW("200000000000001"), {"\0\xff bytes\n", 9}, 1};
    copies_seed(12);
    copies_write_much(3);
    copies_put_channel(copies_from.writer, "t_a");
    ck_assert(copies_from.writer->ops->quarantine(copies_from.writer, &row, 1, NULL));
    ck_assert(copies_copy(copies_from.reader, &copied, &err));
    char *bytes = bytes_of(copied.file, &n);
    ck_assert_msg(holds(bytes, n, &err), "%s", err.text);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(!holds(bytes, i, &err), "cut at %zu of %zu", i, n);
        bytes[i] ^= 1;
        ck_assert_msg(!holds(bytes, n, &err), "byte %zu of %zu changed", i, n);
        bytes[i] ^= 1;
    }
    free(bytes);
    fclose(copied.file);
}
END_TEST

static bool on_quarantined(void *ctx, const char *digest, const struct quarantined *row)
{
    (void)digest;
    ck_assert_str_eq(row->reason, "unreadable");
    ck_assert_uint_eq(row->bytes.n, 9);
    ck_assert_mem_eq(row->bytes.p, "\0\xff bytes\n", 9);
    ck_assert_int_eq(row->at_wall_ms, 1789200000001);
    *(int *)ctx += 1;
    return true;
}

START_TEST(the_quarantine_comes_along_byte_for_byte)
{
    struct copied copied;
    struct err err = {0};
    struct quarantined row = {"unreadable", VIEW(""), {"\0\xff bytes\n", 9}, 1789200000001};
    int count = 0;
    ck_assert(copies_from.writer->ops->quarantine(copies_from.writer, &row, 1, NULL));
    ck_assert(copies_copy(copies_from.reader, &copied, &err));
    ck_assert_msg(copies_bring(copied.file, copies_to.writer, &err), "%s", err.text);
    ck_assert(
        copies_to.reader->ops->quarantine_scan(copies_to.reader, VIEW(""), 10, on_quarantined, &count, NULL));
    ck_assert_int_eq(count, 1);
    fclose(copied.file);
}
END_TEST

Suite *suite_backup(void)
{
    Suite *s = suite_create("backup");
    TCase *t = tcase_create("backup");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, copies_open, copies_close);
    tcase_add_loop_test(t, a_copy_of_a_busy_store_is_the_state_of_one_moment, 1, 25);
    tcase_add_test(t, a_log_that_is_trimmed_under_the_copy_is_noticed);
    tcase_add_test(t, a_store_that_goes_away_is_no_backup);
    tcase_add_test(t, a_file_that_lacks_or_changed_one_byte_is_refused);
    tcase_add_test(t, the_quarantine_comes_along_byte_for_byte);
    suite_add_tcase(s, t);
    t = tcase_create("mongo");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, copies_open_mongo, copies_close);
    tcase_add_loop_test(t, a_copy_of_a_busy_store_is_the_state_of_one_moment, 1, 4);
    tcase_add_test(t, a_log_that_is_trimmed_under_the_copy_is_noticed);
    tcase_add_test(t, the_quarantine_comes_along_byte_for_byte);
    suite_add_tcase(s, t);
    return s;
}
