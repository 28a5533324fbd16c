/* The library-free base: views, buffers, map, mailbox, clock, origins. */
#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/mailbox.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "shared/origin.h"
#include "shared/view.h"
#include "tests/unit/suites.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(view_reads_numbers_strictly)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
    } rows[] = {{"0", 9, true},
                {"42", 100, true},
                {"101", 100, false},
                {"", 9, false},
                {"-1", 9, false},
                {"1 ", 9, false},
                {"0x1", 9, false},
                {"5", 3, false},
                {"18446744073709551615", UINT64_MAX, true},
                {"18446744073709551616", UINT64_MAX, false}};
    for (size_t i = 0; i < countof(rows); i++) {
        uint64_t value;
        ck_assert_msg(view_u64(view_of(rows[i].text), rows[i].max, &value) == rows[i].ok, "%s", rows[i].text);
    }
}
END_TEST

START_TEST(view_knows_utf8)
{
    static const char *const good[] = {
        "", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "a\xff"};
    for (size_t i = 0; i < countof(good); i++)
        ck_assert_msg(view_is_utf8(view_of(good[i])), "good %zu", i);
    for (size_t i = 0; i < countof(bad); i++)
        ck_assert_msg(!view_is_utf8(view_of(bad[i])), "bad %zu", i);
}
END_TEST

START_TEST(view_splits_and_copies)
{
    struct view rest = VIEW("a,,b"), part;
    ck_assert(view_split(&rest, ',', &part) && view_is(part, "a"));
    ck_assert(view_split(&rest, ',', &part) && view_is(part, ""));
    ck_assert(view_split(&rest, ',', &part) && view_is(part, "b"));
    ck_assert(!view_split(&rest, ',', &part));
    char room[4];
    ck_assert(view_copy(VIEW("abc"), room, sizeof room));
    ck_assert(!view_copy(VIEW("abcd"), room, sizeof room));
    ck_assert(!view_copy(VIEW("a\0b"), room, sizeof room));
}
END_TEST

START_TEST(buf_keeps_its_maximum)
{
    struct buf b;
    buf_init(&b, 10);
    ck_assert(buf_add_text(&b, "12345678"));
    ck_assert(!buf_addf(&b, "%s", "9012"));
    ck_assert(b.overflow);
    ck_assert_uint_eq(b.len, 8);
    ck_assert(!buf_add_char(&b, 'x')); /* once over, nothing more gets in: no holes */
    buf_clear(&b);
    ck_assert(buf_addf(&b, "%d", 1234567890));
    ck_assert_str_eq(b.data, "1234567890");
    buf_consume(&b, 3);
    ck_assert_str_eq(b.data, "4567890");
    buf_free(&b);
    size_t n;
    char *empty = buf_detach(&b, &n);
    ck_assert_str_eq(empty, "");
    free(empty);
}
END_TEST

START_TEST(map_agrees_with_a_model)
{
    enum { KEYS = 500, STEPS = 20000 };
    static int values[KEYS];
    static bool model[KEYS];
    struct map m;
    map_init(&m);
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        int k = rand() % KEYS;
        char key[16];
        snprintf(key, sizeof key, "key-%d", k);
        if (rand() % 2) {
            ck_assert_ptr_eq(map_put(&m, view_of(key), &values[k]), model[k] ? &values[k] : NULL);
            model[k] = true;
        } else {
            ck_assert_ptr_eq(map_remove(&m, view_of(key)), model[k] ? &values[k] : NULL);
            model[k] = false;
        }
    }
    size_t live = 0, walked = 0;
    for (int k = 0; k < KEYS; k++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", k);
        ck_assert_ptr_eq(map_get(&m, view_of(key)), model[k] ? &values[k] : NULL);
        live += model[k];
    }
    void *value;
    for (size_t at = 0; map_next(&m, &at, NULL, &value);)
        walked++;
    ck_assert_uint_eq(live, m.count);
    ck_assert_uint_eq(live, walked);
    map_free(&m);
}
END_TEST

struct note {
    struct letter letter;
    int lane, number;
};

static struct note *note_of(struct letter *l)
{
    return container_of(l, struct note, letter);
}

static void free_note(struct letter *l)
{
    free(note_of(l));
}

static bool send_note(struct mailbox *m, int lane, int number)
{
    struct note *note = xcalloc(1, sizeof *note);
    note->lane = lane;
    note->number = number;
    if (mailbox_push(m, (uint64_t)lane, &note->letter))
        return true;
    free(note);
    return false;
}

START_TEST(mailbox_is_fair_and_bounded)
{
    struct mailbox *m = mailbox_create(20, NULL, NULL);
    int taken = 0;
    for (int i = 0; i < 100; i++)
        taken += send_note(m, 1, i);
    ck_assert_int_eq(taken, 10); /* a flood fills half at most */
    for (int i = 0; i < 3; i++)
        ck_assert(send_note(m, 2, i));
    struct letter *l = mailbox_drain(m, 6);
    int from_quiet = 0, last[3] = {-1, -1, -1};
    for (struct letter *next; l; l = next) {
        next = l->next;
        from_quiet += note_of(l)->lane == 2;
        ck_assert_int_gt(note_of(l)->number, last[note_of(l)->lane]); /* in order within a lane */
        last[note_of(l)->lane] = note_of(l)->number;
        free_note(l);
    }
    ck_assert_int_eq(from_quiet, 3); /* the quiet one did not wait behind the flood */
    mailbox_destroy(m, free_note);
}
END_TEST

START_TEST(mailbox_fd_tells_whether_there_is_mail)
{
    struct mailbox *m = mailbox_create(8, NULL, NULL);
    struct pollfd p = {.fd = mailbox_fd(m), .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    ck_assert(send_note(m, 1, 1) && send_note(m, 1, 2));
    ck_assert_int_eq(poll(&p, 1, 0), 1);
    free_note(mailbox_drain(m, 1));
    ck_assert_int_eq(poll(&p, 1, 0), 1);
    free_note(mailbox_drain(m, 1));
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    mailbox_close(m);
    ck_assert(!send_note(m, 1, 3));
    mailbox_destroy(m, free_note);
}
END_TEST

enum { PER_THREAD = 20000, THREADS = 3 };

static void *push_many(void *m)
{
    static int lane;
    int mine = __atomic_add_fetch(&lane, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < PER_THREAD; i++) {
        struct note *note = xcalloc(1, sizeof *note);
        note->number = i;
        note->lane = mine;
        while (!mailbox_push_wait(m, (uint64_t)mine, &note->letter, 1000))
            ;
    }
    return NULL;
}

START_TEST(mailbox_loses_nothing_between_threads)
{
    struct mailbox *m = mailbox_create(64, NULL, NULL);
    pthread_t threads[THREADS];
    int next_number[THREADS + 1] = {0}, total = 0;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, push_many, m);
    while (total < PER_THREAD * THREADS && mailbox_wait(m, 2000))
        for (struct letter *l = mailbox_drain(m, 16), *next; l; l = next) {
            next = l->next;
            ck_assert_int_eq(note_of(l)->number, next_number[note_of(l)->lane]++);
            total++;
            free_note(l);
        }
    ck_assert_int_eq(total, PER_THREAD * THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    mailbox_destroy(m, free_note);
}
END_TEST

START_TEST(clock_writes_and_reads_dates)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{0, "1970-01-01T00:00:00.000Z"},
                {1789200000123, "2026-09-12T08:00:00.123Z"},
                {INT64_MAX, "9999-12-31T23:59:59.999Z"}};
    for (size_t i = 0; i < countof(rows); i++) {
        char text[CLOCK_ISO_SIZE];
        int64_t back;
        clock_iso(rows[i].ms, text);
        ck_assert_str_eq(text, rows[i].text);
        ck_assert(clock_parse_iso(text, &back));
        ck_assert(i == 2 || back == rows[i].ms);
    }
    int64_t ignored;
    ck_assert(!clock_parse_iso("2026-09-12 08:00:00.123Z", &ignored));
    ck_assert(!clock_parse_iso("2026-09-12T08:00:00.1234", &ignored));
}
END_TEST

START_TEST(origin_is_compared_whole)
{
    static const char list[] = "http://localhost:3012, https://*.vercel.app,https://portal.example";
    static const struct {
        const char *origin;
        bool ok;
    } rows[] = {{"http://localhost:3012", true},
                {"http://localhost:30123", false},
                {"https://localhost:3012", false},
                {"https://your-app.vercel.app", true},
                {"https://a.b.vercel.app", false},
                {"https://.vercel.app", false},
                {"https://evil.example/.vercel.app", false},
                {"https://evilvercel.app", false},
                {"https://x.vercel.app.evil.example", false},
                {"https://portal.example.evil.example", false},
                {"https://portal.example", true},
                {"null", false},
                {"", false}};
    for (size_t i = 0; i < countof(rows); i++)
        ck_assert_msg(origin_allowed(list, view_of(rows[i].origin)) == rows[i].ok, "%s", rows[i].origin);
    ck_assert(origin_is_own(VIEW("https://portal.example:8443"), VIEW("portal.example:8443")));
    ck_assert(!origin_is_own(VIEW("https://portal.example"), VIEW("portal.example:8443")));
    ck_assert(!origin_is_own(VIEW("http://"), VIEW("")));
}
END_TEST

Suite *suite_base(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("base");
    tcase_add_test(t, view_reads_numbers_strictly);
    tcase_add_test(t, view_knows_utf8);
    tcase_add_test(t, view_splits_and_copies);
    tcase_add_test(t, buf_keeps_its_maximum);
    tcase_add_test(t, map_agrees_with_a_model);
    tcase_add_test(t, mailbox_is_fair_and_bounded);
    tcase_add_test(t, mailbox_fd_tells_whether_there_is_mail);
    tcase_add_test(t, mailbox_loses_nothing_between_threads);
    tcase_add_test(t, clock_writes_and_reads_dates);
    tcase_add_test(t, origin_is_compared_whole);
    suite_add_tcase(s, t);
    return s;
}
