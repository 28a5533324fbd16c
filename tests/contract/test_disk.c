/* An embedded store whose disk cannot be read: UNAVAILABLE at every call that needs it, whatever SQLite takes
 * it for, and well again when the disk is. Only what is damaged on a disk that reads is INTERNAL. */
#include "state-manager/store/open.h"
#include "tests/contract/failing_disk.h"
#include "tests/contract/store_fixture.h"
#include "tests/unit/suites.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The database is larger than what a connection reads to know its tables. */
enum { BIG = 3000, DOCS = 200, PUBLISHED = DOCS / 2, PAGE = 4096, SOUND_PAGES = 100 };

static const int causes[] = {EIO, ENXIO};

static void fill(int from, int count)
{
    char doc[BIG], key[16];
    memset(doc, 'x', sizeof doc);
    for (int i = from; i < from + count; i++) {
        snprintf(key, sizeof key, "m%d", i);
        struct change change = {
            DOC_MESSAGE, view_of(key), {.parent = VIEW("c1"), .rank = i}, {doc, sizeof doc}};
        store_put("t1", &change, 1);
    }
}

static void setup(void)
{
    stores.kind = STORE_SQLITE;
    store_fixture_open(&stores);
    struct channel channel = {"100", "t1", "+1 555", "secret"};
    struct quarantined row = {QUARANTINE_NO_TENANT, VIEW("200"), VIEW("bytes"), 1};
    CK_STORE(stores.writer, channel_put, &channel);
    CK_STORE(stores.writer, quarantine, &row, 1);
    fill(0, DOCS);
}

static void teardown(void)
{
    failing_disk(0, 0);
    store_fixture_close(&stores);
}

/* --- every call there is ---------------------------------------------------------------------------------
 */

static bool any_log(void *ctx, const struct log_entry *entry)
{
    (void)ctx, (void)entry;
    return true;
}

static bool any_doc(void *ctx, const struct listed *row)
{
    (void)ctx, (void)row;
    return true;
}

static bool any_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    (void)ctx, (void)tenant_id, (void)head;
    return true;
}

static bool any_channel(void *ctx, const struct channel *channel)
{
    (void)ctx, (void)channel;
    return true;
}

static bool any_change(void *ctx, const struct change *change)
{
    (void)ctx, (void)change;
    return true;
}

static bool any_quarantined(void *ctx, const char *digest, const struct quarantined *row)
{
    (void)ctx, (void)digest, (void)row;
    return true;
}

static void any_found(void *ctx, size_t index, struct view doc)
{
    (void)ctx, (void)index, (void)doc;
}

static bool try_head(struct store *s, struct err *err)
{
    struct head head;
    return s->ops->head(s, "t1", &head, err);
}

static bool try_get(struct store *s, struct err *err)
{
    struct buf doc;
    bool found;
    buf_init(&doc, DOC_MAX);
    bool ok = s->ops->get(s, "t1", DOC_MESSAGE, VIEW("m1"), &doc, &found, err);
    buf_free(&doc);
    return ok;
}

static bool try_get_many(struct store *s, struct err *err)
{
    static const struct wanted wanted[] = {{DOC_MESSAGE, VIEW("m1")}, {DOC_CONVERSATION, VIEW("c1")}};
    return s->ops->get_many(s, "t1", wanted, countof(wanted), any_found, NULL, err);
}

static bool try_list(struct store *s, struct err *err)
{
    struct page page = {.parent = VIEW("c1"), .limit = 100};
    return s->ops->list(s, "t1", DOC_MESSAGE, &page, any_doc, NULL, err);
}

static bool try_scan(struct store *s, struct err *err)
{
    return s->ops->scan(s, "t1", DOC_MESSAGE, VIEW(""), 100, any_change, NULL, err);
}

static bool try_tenants(struct store *s, struct err *err)
{
    return s->ops->tenants(s, VIEW(""), 100, any_tenant, NULL, err);
}

static bool try_read_log(struct store *s, struct err *err)
{
    return s->ops->read_log(s, "t1", LOG_BY_ENTRY, 0, true, any_log, NULL, err);
}

static bool try_read_log_by_seq(struct store *s, struct err *err)
{
    return s->ops->read_log(s, "t1", LOG_BY_SEQ, 0, false, any_log, NULL, err);
}

static bool try_unpublished(struct store *s, struct err *err)
{
    return s->ops->unpublished(s, any_tenant, NULL, err);
}

static bool try_channel_get(struct store *s, struct err *err)
{
    struct channel channel;
    bool found;
    return s->ops->channel_get(s, VIEW("100"), &channel, &found, err);
}

static bool try_channels(struct store *s, struct err *err)
{
    return s->ops->channels(s, VIEW(""), 100, any_channel, NULL, err);
}

static bool try_waiting_channel(struct store *s, struct err *err)
{
    char channel[CHANNEL_ID_SIZE];
    bool found;
    return s->ops->waiting_channel(s, VIEW(""), channel, &found, err);
}

static bool try_waiting(struct store *s, struct err *err)
{
    return s->ops->waiting(s, VIEW("200"), 100, any_quarantined, NULL, err);
}

static bool try_quarantine_scan(struct store *s, struct err *err)
{
    return s->ops->quarantine_scan(s, VIEW(""), 100, any_quarantined, NULL, err);
}

static bool try_commit(struct store *s, struct err *err)
{
    struct entry e = store_entry("t2", 1, "[]", 1, 0), *group = &e;
    return s->ops->commit(s, &group, 1, err);
}

static bool try_mark(struct store *s, struct err *err)
{
    struct mark mark = {"t1", PUBLISHED, 0};
    return s->ops->mark(s, &mark, 1, err);
}

static bool try_mark_nothing(struct store *s, struct err *err)
{
    return s->ops->mark(s, NULL, 0, err);
}

static bool try_channel_put(struct store *s, struct err *err)
{
    struct channel channel = {"300", "t1", "+1 555", "secret"};
    return s->ops->channel_put(s, &channel, err);
}

static bool try_channel_delete(struct store *s, struct err *err)
{
    bool found;
    return s->ops->channel_delete(s, VIEW("300"), &found, err);
}

static bool try_quarantine(struct store *s, struct err *err)
{
    struct quarantined row = {"refused", VIEW("200"), VIEW("others"), 1};
    return s->ops->quarantine(s, &row, 1, err);
}

static bool try_quarantine_drop(struct store *s, struct err *err)
{
    const char *digest = "q_none";
    return s->ops->quarantine_drop(s, &digest, 1, err);
}

static bool try_trim_log(struct store *s, struct err *err)
{
    struct trim trim = {"t1", INT64_MAX, 0, 1};
    size_t removed;
    return s->ops->trim_log(s, &trim, &removed, err);
}

static bool try_expire(struct store *s, struct err *err)
{
    size_t removed;
    return s->ops->expire(s, DOC_RAW, 1, 10, &removed, err);
}

static bool try_keep_newest(struct store *s, struct err *err)
{
    size_t removed;
    return s->ops->keep_newest(s, "t1", DOC_RAW, 1, 10, &removed, err);
}

static bool try_quarantine_expire(struct store *s, struct err *err)
{
    size_t removed;
    return s->ops->quarantine_expire(s, 1, 10, &removed, err);
}

static bool try_adopt(struct store *s, struct err *err)
{
    struct head head = {.epoch = "e9", .n = 5, .seq = 5, .published = 5};
    bool taken;
    return s->ops->adopt(s, "t3", &head, &taken, err);
}

struct call {
    const char *name;
    bool (*run)(struct store *s, struct err *err);
};

#define CALL(name)        \
    {                     \
#name, try_##name \
    }
static const struct call reads[] = {CALL(head),        CALL(get),
                                    CALL(get_many),    CALL(list),
                                    CALL(scan),        CALL(tenants),
                                    CALL(read_log),    CALL(read_log_by_seq),
                                    CALL(unpublished), CALL(channel_get),
                                    CALL(channels),    CALL(waiting_channel),
                                    CALL(waiting),     CALL(quarantine_scan)};
static const struct call writes[] = {CALL(commit),          CALL(mark),           CALL(mark_nothing),
                                     CALL(channel_put),     CALL(channel_delete), CALL(quarantine),
                                     CALL(quarantine_drop), CALL(trim_log),       CALL(expire),
                                     CALL(keep_newest),     CALL(adopt),          CALL(quarantine_expire)};

static void check_refused(const struct call *call, struct store *s)
{
    struct err err = {0};
    ck_assert_msg(!call->run(s, &err), "%s: the disk does not read, and it works", call->name);
    ck_assert_msg(err.code == ERR_UNAVAILABLE, "%s: %s: %s", call->name, err_code_name(err.code), err.text);
    ck_assert_msg(!strstr(err.text, "malformed") && !strstr(err.text, "damaged"), "%s: %s", call->name,
                  err.text);
}

static void check_works(const struct call *call, struct store *s)
{
    struct err err = {0};
    ck_assert_msg(call->run(s, &err), "%s, well again: %s", call->name, err.text);
}

START_TEST(what_is_read_is_away_while_the_disk_is)
{
    for (size_t i = 0; i < countof(reads); i++)
        for (size_t k = 0; k < countof(causes); k++) {
            store_fixture_reopen(&stores);
            failing_disk(causes[k], 0);
            check_refused(&reads[i], stores.reader); /* which knows no tables yet */
            failing_disk(0, 0);
            check_works(&reads[i], stores.reader);
            fill(0, 1); /* what the reader has in mind is stale */
            failing_disk(causes[k], 0);
            check_refused(&reads[i], stores.reader);
            check_refused(&reads[i], stores.reader);
            failing_disk(0, 0);
            check_works(&reads[i], stores.reader);
        }
}
END_TEST

/* Also what could be written without reading: nobody could read it. */
START_TEST(nothing_is_written_while_the_disk_cannot_be_read)
{
    for (size_t i = 0; i < countof(writes); i++)
        for (size_t k = 0; k < countof(causes); k++) {
            check_works(&writes[i], stores.writer);
            failing_disk(causes[k], 0);
            check_refused(&writes[i], stores.writer);
            check_refused(&writes[i], stores.writer);
            failing_disk(0, 0);
            check_works(&writes[i], stores.writer);
        }
}
END_TEST

START_TEST(a_disk_that_cannot_be_read_is_not_opened_and_not_called_damaged)
{
    static const struct {
        enum store_mode mode;
        long from;
    } rows[] = {{STORE_WRITER, 0}, {STORE_READER, 0}, {STORE_WRITER, SOUND_PAGES * PAGE}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        store_fixture_reopen(&stores); /* the log is in the database now */
        store_close(stores.writer);
        failing_disk(EIO, rows[i].from);
        ck_assert_ptr_null(store_open(stores.url, rows[i].mode, &err));
        ck_assert_msg(err.code == ERR_UNAVAILABLE, "%zu: %s", i, err.text);
        failing_disk(0, 0);
        stores.writer = store_open(stores.url, STORE_WRITER, &err);
        ck_assert_msg(stores.writer != NULL, "%s", err.text);
    }
}
END_TEST

/* All but the first ones, which say what tables there are. */
static void overwrite_pages(void)
{
    char name[128], rubbish[PAGE];
    memset(rubbish, 'z', sizeof rubbish);
    snprintf(name, sizeof name, "%s/test.db", stores.directory);
    FILE *file = fopen(name, "r+");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    for (long at = SOUND_PAGES * PAGE; at < size; at += PAGE) {
        ck_assert_int_eq(fseek(file, at, SEEK_SET), 0);
        ck_assert_uint_eq(fwrite(rubbish, 1, sizeof rubbish, file), sizeof rubbish);
    }
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(what_is_damaged_is_internal_also_behind_a_disk_that_could_not_be_read)
{
    struct err err = {0};
    store_fixture_reopen(&stores); /* the log is in the database now */
    failing_disk(EIO, 0);
    ck_assert(!try_read_log(stores.reader, &err));
    overwrite_pages();
    ck_assert(!try_read_log(stores.reader, &err));
    ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
    failing_disk(0, 0);
    ck_assert(!try_read_log(stores.reader, NULL)); /* either: nobody has looked at a disk that reads yet */
    ck_assert(!try_read_log(stores.reader, &err));
    ck_assert_msg(err.code == ERR_INTERNAL, "%s: %s", err_code_name(err.code), err.text);
}
END_TEST

static void check_internal(const struct call *call)
{
    struct err err = {0};
    ck_assert_msg(!call->run(stores.writer, &err), "%s works on a damaged store", call->name);
    ck_assert_msg(err.code == ERR_INTERNAL, "%s: %s: %s", call->name, err_code_name(err.code), err.text);
}

/* More than a writer keeps in memory, so that it has to look. */
static void fill_over_the_cache(void)
{
    enum { HUGE_DOCS = 12, HUGE = 3 << 20 };
    char *doc = malloc(HUGE), key[16];
    ck_assert_ptr_nonnull(doc);
    memset(doc, 'y', HUGE);
    for (int i = 0; i < HUGE_DOCS; i++) {
        snprintf(key, sizeof key, "huge%d", i);
        struct change change = {DOC_MESSAGE, view_of(key), {.parent = VIEW("c2"), .rank = i}, {doc, HUGE}};
        store_put("t1", &change, 1);
    }
    free(doc);
}

START_TEST(a_damaged_store_is_not_written_and_said_to_be_damaged_unless_it_cannot_be_read)
{
    static const struct call write = CALL(commit), read = CALL(scan);
    fill_over_the_cache();
    store_fixture_reopen(&stores);
    overwrite_pages();
    check_internal(&read);
    check_internal(&write); /* looks a second time */
    check_internal(&write);
    failing_disk(EIO, 0);
    check_refused(&write, stores.writer);
    failing_disk(0, 0);
    check_internal(&write);
}
END_TEST

Suite *suite_disk(void)
{
    Suite *s = suite_create("disk");
    TCase *t = tcase_create("disk");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, what_is_read_is_away_while_the_disk_is);
    tcase_add_test(t, nothing_is_written_while_the_disk_cannot_be_read);
    tcase_add_test(t, a_disk_that_cannot_be_read_is_not_opened_and_not_called_damaged);
    tcase_add_test(t, what_is_damaged_is_internal_also_behind_a_disk_that_could_not_be_read);
    tcase_add_test(t, a_damaged_store_is_not_written_and_said_to_be_damaged_unless_it_cannot_be_read);
    suite_add_tcase(s, t);
    return s;
}
