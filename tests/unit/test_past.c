/* What lies below the ring: chunks of the log, how they are found, and what is known to be gone. */
#include "portal-gateway/core/past.h"
#include "shared/compiler.h"
#include "shared/mem.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct past past;

static void set_up(void)
{
    past_init(&past);
}

static void tear_down(void)
{
    past_finish(&past);
}

static struct record *event(uint64_t seq, size_t bytes)
{
    char *body = xcalloc(bytes + 256, 1);
    struct err err;
    int n = snprintf(body, 256, "{\"type\":\"x\",\"tenantId\":\"t\",\"epoch\":\"e\",\"seq\":%d,\"data\":\"",
                     (int)seq);
    memset(body + n, 'x', bytes);
    memcpy(body + n + bytes, "\"}", 3);
    struct record *r = record_create(view_of(body), &err);
    ck_assert_ptr_nonnull(r);
    free(body);
    return r;
}

static struct record *events(uint64_t from, uint64_t to, size_t bytes)
{
    struct record *first = NULL, **tail = &first;
    for (uint64_t seq = from; seq <= to; seq++, tail = &(*tail)->next)
        *tail = event(seq, bytes);
    return first;
}

static void ask(uint64_t after)
{
    past.asking = true;
    past.asked_after = (struct position){"e", after};
}

static void answer(uint64_t after, bool complete, struct record *records, const char *epoch, int64_t now)
{
    struct replay r = {.after = {"e", after}, .head = {"", 1000}, .complete = complete, .records = records};
    snprintf(r.head.epoch, sizeof r.head.epoch, "%s", epoch);
    past_take(&past, &r, now);
    ck_assert_ptr_null(r.records);
    ck_assert(!past.asking);
}

static void read_from(uint64_t after, uint64_t to, size_t bytes, int64_t now)
{
    ask(after);
    answer(after, true, events(after + 1, to, bytes), "e", now);
}

static const struct chunk *find(uint64_t seq, int64_t now)
{
    return past_find(&past, &(struct position){"e", seq}, now);
}

static bool is_gone(const char *epoch, uint64_t seq)
{
    struct position at = {"", seq};
    snprintf(at.epoch, sizeof at.epoch, "%s", epoch);
    return past_is_gone(&past, &at);
}

START_TEST(a_chunk_is_found_by_what_it_follows_on)
{
    read_from(10, 20, 10, 0);
    read_from(30, 35, 10, 0);
    ck_assert_ptr_null(find(9, 0));
    ck_assert_ptr_null(find(20, 0)); /* the last one is heard: nothing follows here */
    ck_assert_ptr_null(find(29, 0));
    ck_assert_ptr_null(find(35, 0));
    ck_assert_ptr_null(past_find(&past, &(struct position){"f", 12}, 0));
    for (uint64_t seq = 10; seq < 20; seq++) {
        const struct chunk *c = find(seq, 0);
        ck_assert_ptr_nonnull(c);
        ck_assert_uint_eq(c->entries[chunk_index(c, seq)].at.seq, seq + 1);
    }
    ck_assert_uint_eq(chunk_index(find(12, 0), 3), 0);
    ck_assert_uint_eq(chunk_index(find(12, 0), 20), 10);
    ck_assert_uint_eq(find(30, 0)->count, 5);
}
END_TEST

START_TEST(what_is_out_of_order_is_left_out)
{
    struct record *r = events(11, 12, 10);
    r->next->next = events(12, 12, 10);
    r->next->next->next = events(5, 5, 10);
    r->next->next->next->next = events(14, 14, 10);
    ask(10);
    answer(10, true, r, "e", 0);
    const struct chunk *c = find(10, 0);
    ck_assert_uint_eq(c->count, 3);
    ck_assert_uint_eq(c->entries[1].at.seq, 12);
    ck_assert_uint_eq(c->entries[2].at.seq, 14);
    ck_assert_str_eq(c->entries[2].at.epoch, "e");
}
END_TEST

START_TEST(what_was_not_asked_is_not_taken)
{
    answer(10, true, events(11, 12, 10), "e", 0); /* nothing was */
    ck_assert_ptr_null(find(10, 0));
    ask(20);
    answer(10, true, events(11, 12, 10), "e", 100); /* something else was */
    ck_assert_ptr_null(find(10, 100));
    ck_assert_int_eq(past.retry_at_ms, 100 + PAST_RETRY_MS);
    ask(20);
    past_take(&past, NULL, 1000); /* failed */
    ck_assert(!past.asking);
    ck_assert_int_eq(past.retry_at_ms, 1000 + PAST_RETRY_MS);
    ck_assert(!is_gone("e", 20));
}
END_TEST

START_TEST(an_answer_with_nothing_is_not_asked_for_at_once)
{
    ask(20);
    answer(20, true, NULL, "e", 1000);
    ck_assert(list_empty(&past.chunks));
    ck_assert_int_eq(past.retry_at_ms, 1000 + PAST_RETRY_MS);
    ck_assert(!is_gone("e", 20));
}
END_TEST

START_TEST(what_is_gone_is_known)
{
    ask(10);
    answer(10, false, events(40, 45, 10), "e", 0); /* up to 39 it is */
    ck_assert(is_gone("e", 10) && is_gone("e", 38));
    ck_assert(!is_gone("e", 39));
    ck_assert(!is_gone("f", 10));
    ck_assert(!is_gone("", 0));
    ck_assert_ptr_null(find(38, 0));
    ck_assert_uint_eq(find(39, 0)->count, 6);
    ask(50);
    answer(50, false, NULL, "e", 0); /* nothing is left up to the head */
    ck_assert(is_gone("e", 999));
    ck_assert(!is_gone("e", 1000));
    ask(1000);
    answer(1000, false, NULL, "f", 0); /* the whole history is */
    ck_assert(is_gone("e", UINT64_MAX - 1));
    ck_assert(!is_gone("f", 0));
}
END_TEST

START_TEST(the_oldest_make_place)
{
    size_t each = PAST_KEEP_BYTES / 8; /* a body and its frame: four of them are about all that is kept */
    for (uint64_t i = 0; i < 12; i++) {
        read_from(i * 10, i * 10 + 1, each, 0);
        ck_assert_ptr_nonnull(find(i * 10, 0)); /* the newest stays, whatever its size */
        size_t bytes = 0;
        list_foreach(node, &past.chunks) bytes += container_of(node, struct chunk, node)->bytes;
        ck_assert_uint_eq(bytes, past.bytes);
        ck_assert_uint_le(past.bytes - find(i * 10, 0)->bytes, PAST_KEEP_BYTES);
    }
    ck_assert_ptr_null(find(0, 0));
    ck_assert_ptr_nonnull(find(100, 0));
    read_from(500, 501, 4 * PAST_KEEP_BYTES / 8 * 7 / 4, 0); /* less than a body may have */
    ck_assert_ptr_nonnull(find(500, 0));
    read_from(600, 601, 10, 0);
    ck_assert_ptr_null(find(500, 0)); /* over the bound by itself */
    ck_assert_ptr_nonnull(find(600, 0));
}
END_TEST

START_TEST(what_nobody_reads_in_is_forgotten)
{
    read_from(10, 20, 10, 0);
    read_from(30, 40, 10, 0);
    ck_assert_ptr_nonnull(find(12, 4000)); /* somebody does */
    past_forget_old(&past, PAST_KEEP_MS);
    ck_assert_ptr_nonnull(find(12, 4000));
    past_forget_old(&past, PAST_KEEP_MS + 1);
    ck_assert_ptr_null(find(32, 4000));
    ck_assert_ptr_nonnull(find(12, 4000));
    past_forget_old(&past, 4000 + PAST_KEEP_MS + 1);
    ck_assert(list_empty(&past.chunks));
    ck_assert_uint_eq(past.bytes, 0);
}
END_TEST

Suite *suite_past(void)
{
    Suite *s = suite_create("past");
    TCase *t = tcase_create("past");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_chunk_is_found_by_what_it_follows_on);
    tcase_add_test(t, what_is_out_of_order_is_left_out);
    tcase_add_test(t, what_was_not_asked_is_not_taken);
    tcase_add_test(t, an_answer_with_nothing_is_not_asked_for_at_once);
    tcase_add_test(t, what_is_gone_is_known);
    tcase_add_test(t, the_oldest_make_place);
    tcase_add_test(t, what_nobody_reads_in_is_forgotten);
    suite_add_tcase(s, t);
    return s;
}
