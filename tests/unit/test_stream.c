/* A tenant's stream: order, repeats, holes, lost tails, other histories; by table and against a model. */
#include "portal-gateway/core/stream.h"
#include "tests/unit/dice.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct record *event(const char *epoch, uint64_t seq)
{
    char body[160];
    struct err err = {0};
    int n = snprintf(body, sizeof body,
                     "{\"type\":\"x\",\"tenantId\":\"t\",\"epoch\":\"%s\",\"seq\":%llu,\"data\":1}", epoch,
                     (unsigned long long)seq);
    struct record *r = record_create((struct view){body, (size_t)n}, &err);
    ck_assert_msg(r != NULL, "%s", err.text);
    return r;
}

static struct record *latest(const char *key, uint64_t rev)
{
    char body[160];
    struct err err = {0};
    int n = snprintf(body, sizeof body,
                     "{\"type\":\"m\",\"tenantId\":\"t\",\"class\":\"latest\",\"key\":\"%s\",\"rev\":%llu}",
                     key, (unsigned long long)rev);
    struct record *r = record_create((struct view){body, (size_t)n}, &err);
    ck_assert_msg(r != NULL, "%s", err.text);
    return r;
}

static void place(struct stream *s, const char *epoch, uint64_t seq)
{
    struct position head = {"", seq}, asked = s->at;
    snprintf(head.epoch, sizeof head.epoch, "%s", epoch);
    ck_assert_int_eq(stream_on_head(s, &head, &asked, 0), STREAM_PLACED);
}

/* What stands in the ring: seq of an event, "m<rev>" of a latest one, "R" a resync, "-" a dead entry. */
static const char *shown(const struct stream *s)
{
    static char text[512];
    size_t n = 0;
    text[0] = 0;
    for (uint64_t p = s->ring.first; p < s->ring.head && n < sizeof text - 24; p++) {
        const struct entry *e = ring_at(&s->ring, p);
        const char *sep = n ? " " : "";
        if (e->dead)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s-", sep);
        else if (!e->record)
            n += (size_t)snprintf(text + n, sizeof text - n, "%sR", sep);
        else if (e->record->event.class == EVENT_LATEST)
            n += (size_t)snprintf(text + n, sizeof text - n, "%sm%d", sep, (int)e->record->event.rev);
        else
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%d", sep, (int)e->record->event.seq);
    }
    return text;
}

static struct stream made(void)
{
    struct stream s;
    stream_init(&s, 1 << 16, SIZE_MAX);
    return s;
}

START_TEST(delivers_in_sequence_each_once)
{
    static const struct {
        uint64_t seq;
        enum stream_verdict verdict;
        const char *shown;
    } rows[] = {
        {10, STREAM_REPEAT, ""},
        {11, STREAM_APPENDED, "11"},
        {11, STREAM_REPEAT, "11"},
        {13, STREAM_EARLY, "11"},
        {13, STREAM_REPEAT, "11"},
        {15, STREAM_EARLY, "11"},
        {14, STREAM_EARLY, "11"},
        {12, STREAM_APPENDED, "11 12 13 14 15"},
        {14, STREAM_REPEAT, "11 12 13 14 15"},
        {16, STREAM_APPENDED, "11 12 13 14 15 16"},
    };
    struct stream s = made();
    place(&s, "e", 10);
    for (size_t i = 0; i < countof(rows); i++) {
        ck_assert_int_eq(stream_offer(&s, event("e", rows[i].seq), 0), rows[i].verdict);
        ck_assert_str_eq(shown(&s), rows[i].shown);
    }
    ck_assert_int_eq(s.ask_at_ms, 0);
    stream_finish(&s);
}
END_TEST

START_TEST(what_comes_before_the_place_is_known_waits_for_it)
{
    struct stream s = made();
    ck_assert_int_eq(stream_offer(&s, event("e", 12), 0), STREAM_EARLY);
    ck_assert_int_eq(stream_offer(&s, event("e", 9), 0), STREAM_EARLY);
    ck_assert_int_eq(stream_offer(&s, event("old", 13), 0), STREAM_EARLY);
    ck_assert_int_eq(stream_offer(&s, event("e", 11), 0), STREAM_EARLY);
    place(&s, "e", 10);
    ck_assert_str_eq(shown(&s), "11 12");
    ck_assert_uint_eq(s.early_count, 0);
    ck_assert_uint_eq(s.early_bytes, 0);
    stream_finish(&s);
}
END_TEST

START_TEST(a_tenant_without_history_begins_with_any_epoch)
{
    struct stream s = made();
    place(&s, "", 0);
    ck_assert_int_eq(stream_offer(&s, event("e", 2), 100), STREAM_EARLY);
    ck_assert_int_eq(stream_offer(&s, event("e", 1), 100), STREAM_APPENDED);
    ck_assert_str_eq(shown(&s), "1 2");
    stream_finish(&s);

    s = made(); /* the first event is lost; the head tells */
    place(&s, "", 0);
    struct position head = {"e", 1}, asked = s.at, after;
    ck_assert_int_eq(stream_on_head(&s, &head, &asked, 1000), STREAM_SAME);
    ck_assert(stream_ask(&s, 1000 + STREAM_HOLE_MS, &after));
    ck_assert_str_eq(after.epoch, "e");
    ck_assert_uint_eq(after.seq, 0);
    stream_finish(&s);
}
END_TEST

static struct replay answer(const struct position *after, uint64_t head, bool complete, uint64_t from,
                            uint64_t to)
{
    struct replay a = {.after = *after, .head = {"e", head}, .complete = complete};
    struct record **tail = &a.records;
    for (uint64_t seq = from; seq <= to && from; seq++, tail = &(*tail)->next)
        *tail = event("e", seq);
    return a;
}

START_TEST(a_hole_waits_and_is_then_fetched_in_pieces)
{
    struct stream s = made();
    struct position after;
    place(&s, "e", 10);
    stream_offer(&s, event("e", 15), 1000);
    ck_assert(!stream_ask(&s, 1000 + STREAM_HOLE_MS - 1, &after));
    ck_assert(stream_ask(&s, 1000 + STREAM_HOLE_MS, &after));
    ck_assert_uint_eq(after.seq, 10);
    ck_assert(!stream_ask(&s, 5000, &after)); /* one at a time */
    struct replay a = answer(&after, 16, true, 11, 12);
    ck_assert_int_eq(stream_on_replay(&s, &a, 5000), STREAM_APPENDED);
    ck_assert_str_eq(shown(&s), "11 12");
    ck_assert(stream_ask(&s, 5000, &after)); /* the rest at once */
    ck_assert_uint_eq(after.seq, 12);
    a = answer(&after, 16, true, 13, 16);
    ck_assert_int_eq(stream_on_replay(&s, &a, 5000), STREAM_APPENDED);
    ck_assert_str_eq(shown(&s), "11 12 13 14 15 16");
    ck_assert(!stream_ask(&s, 99999, &after));
    stream_finish(&s);
}
END_TEST

START_TEST(a_failed_replay_is_tried_again_later_and_later)
{
    struct stream s = made();
    struct position after;
    int64_t now = 0, waits[8];
    place(&s, "e", 10);
    stream_offer(&s, event("e", 12), 0);
    for (size_t i = 0; i < countof(waits); i++) {
        int64_t since = now;
        while (!stream_ask(&s, now, &after))
            now += 10;
        waits[i] = now - since;
        stream_on_replay_failed(&s, now);
    }
    ck_assert_int_eq(waits[0], STREAM_HOLE_MS);
    for (size_t i = 1; i < countof(waits); i++)
        ck_assert_int_ge(waits[i], waits[i - 1]);
    ck_assert_int_eq(waits[7], STREAM_RETRY_MOST_MS);
    stream_offer(&s, event("e", 11), now); /* it came after all */
    ck_assert_str_eq(shown(&s), "11 12");
    ck_assert(!stream_ask(&s, now + 100000, &after));
    stream_finish(&s);
}
END_TEST

START_TEST(what_the_log_has_no_more_is_announced)
{
    struct stream s = made();
    struct position after;
    place(&s, "e", 10);
    stream_offer(&s, event("e", 20), 0);
    ck_assert(stream_ask(&s, STREAM_HOLE_MS, &after));
    struct replay a = answer(&after, 20, false, 15, 19);
    ck_assert_int_eq(stream_on_replay(&s, &a, 300), STREAM_APPENDED);
    ck_assert_str_eq(shown(&s), "R 15 16 17 18 19 20");
    ck_assert_uint_eq(ring_at(&s.ring, 0)->at.seq, 14);
    stream_finish(&s);
}
END_TEST

START_TEST(an_answer_to_an_older_question_changes_nothing)
{
    struct stream s = made();
    struct position after;
    place(&s, "e", 10);
    stream_offer(&s, event("e", 12), 0);
    ck_assert(stream_ask(&s, STREAM_HOLE_MS, &after));
    struct position older = {"e", 3};
    struct replay a = answer(&older, 12, false, 9, 9);
    ck_assert_int_eq(stream_on_replay(&s, &a, 300), STREAM_REPEAT);
    ck_assert_str_eq(shown(&s), "");
    ck_assert(s.asking);
    stream_finish(&s);
}
END_TEST

static const struct {
    const char *what, *at_epoch;
    uint64_t at_seq;
    const char *asked_epoch;
    uint64_t asked_seq;
    const char *head_epoch;
    uint64_t head_seq;
    enum stream_move move;
    const char *shown;
} head_rows[] = {
    {"nothing new", "e", 10, "e", 10, "e", 10, STREAM_SAME, ""},
    {"events went by meanwhile", "e", 10, "e", 7, "e", 8, STREAM_SAME, ""},
    {"a lost tail", "e", 10, "e", 10, "e", 12, STREAM_SAME, ""},
    {"a head behind what was delivered", "e", 10, "e", 10, "e", 9, STREAM_RESET, "R"},
    {"another epoch", "e", 10, "e", 10, "f", 3, STREAM_RESET, "R"},
    {"a store that was wiped", "e", 10, "e", 10, "", 0, STREAM_RESET, "R"},
    {"an answer from before an epoch that we have", "f", 1, "e", 10, "e", 11, STREAM_SAME, ""},
    {"an answer from before the first event", "e", 1, "", 0, "", 0, STREAM_SAME, ""},
    {"the first event", "", 0, "", 0, "e", 1, STREAM_SAME, ""},
};

START_TEST(a_head_is_judged_by_what_was_known_when_it_was_asked_for)
{
    struct stream s = made();
    struct position asked = {"", head_rows[_i].asked_seq}, head = {"", head_rows[_i].head_seq};
    snprintf(asked.epoch, sizeof asked.epoch, "%s", head_rows[_i].asked_epoch);
    snprintf(head.epoch, sizeof head.epoch, "%s", head_rows[_i].head_epoch);
    place(&s, head_rows[_i].at_epoch, head_rows[_i].at_seq);
    ck_assert_msg(stream_on_head(&s, &head, &asked, 5) == head_rows[_i].move, "%s", head_rows[_i].what);
    ck_assert_str_eq(shown(&s), head_rows[_i].shown);
    if (head_rows[_i].move == STREAM_RESET) {
        ck_assert_str_eq(s.at.epoch, head.epoch);
        ck_assert_uint_eq(s.at.seq, head.seq);
    }
    stream_finish(&s);
}
END_TEST

START_TEST(an_event_of_another_epoch_asks_for_the_head)
{
    struct stream s = made();
    place(&s, "e", 10);
    ck_assert_int_eq(stream_offer(&s, event("f", 11), 0), STREAM_STRANGE);
    ck_assert_str_eq(shown(&s), "");
    ck_assert_uint_eq(s.head, 10);
    stream_finish(&s);
}
END_TEST

START_TEST(a_newer_latest_value_takes_the_place_of_the_older_one)
{
    struct stream s = made();
    place(&s, "e", 10);
    ck_assert_int_eq(stream_offer(&s, latest("a", 1), 0), STREAM_APPENDED);
    ck_assert_int_eq(stream_offer(&s, latest("b", 5), 0), STREAM_APPENDED);
    stream_offer(&s, event("e", 11), 0);
    ck_assert_int_eq(stream_offer(&s, latest("a", 3), 0), STREAM_APPENDED);
    ck_assert_int_eq(stream_offer(&s, latest("a", 2), 0), STREAM_REPEAT);
    ck_assert_int_eq(stream_offer(&s, latest("a", 3), 0), STREAM_REPEAT);
    ck_assert_str_eq(shown(&s), "- m5 11 m3");
    size_t at = 0, count = 0;
    struct latest_value *value;
    for (; latest_next(&s.latest, &at, &value); count++)
        ck_assert_uint_eq(value->record->event.rev, strcmp(value->record->event.key, "a") == 0 ? 3 : 5);
    ck_assert_uint_eq(count, 2);
    stream_finish(&s);
}
END_TEST

START_TEST(early_events_are_bounded)
{
    struct stream s = made();
    place(&s, "e", 0);
    for (uint64_t seq = 5000; seq > 1; seq--)
        stream_offer(&s, event("e", seq), 0);
    ck_assert_uint_eq(s.early_count, STREAM_EARLY_MAX);
    ck_assert_uint_eq(s.head, 5000); /* what was let go is still known to be missing */
    stream_finish(&s);
}
END_TEST

/* --- against a model --- */

enum { STEPS = 4000, FLIGHT_MAX = 64, REPLAY_MAX = 7 };

/* The log, the network between, and a reader that checks what it is given. */
struct world {
    struct stream s;
    struct position log; /* epoch and head of the log */
    uint64_t trimmed;    /* events up to that are gone */
    unsigned epochs, resets_allowed;
    struct record *flight[FLIGHT_MAX];
    size_t in_flight;
    bool heads_asked;
    struct position heads_at, heads_answer; /* an answer is made when the question is asked, and read later */
    int64_t now;
    uint64_t read; /* place in the ring */
    struct position reader;
    unsigned resyncs;
};

static void read_ring(struct world *w)
{
    for (; w->read < w->s.ring.head; w->read++) {
        const struct entry *e = ring_at(&w->s.ring, w->read);
        if (!e->record) {
            w->resyncs++;
            ck_assert_uint_le(w->resyncs, w->resets_allowed);
        } else {
            const struct event *event = &e->record->event;
            ck_assert(!*w->reader.epoch || strcmp(w->reader.epoch, event->epoch) == 0);
            ck_assert_uint_eq(event->seq, w->reader.seq + 1);
        }
        w->reader = e->at;
    }
}

static void publish(struct world *w)
{
    if (!*w->log.epoch)
        snprintf(w->log.epoch, sizeof w->log.epoch, "e%u", ++w->epochs);
    w->log.seq++;
    if (w->in_flight < FLIGHT_MAX && dice(8)) /* else it is lost */
        w->flight[w->in_flight++] = event(w->log.epoch, w->log.seq);
}

static void deliver(struct world *w, bool near)
{
    if (!w->in_flight)
        return;
    size_t i = near ? 0 : (size_t)dice((int)w->in_flight);
    struct record *r = w->flight[i];
    if (dice(10) == 0) {
        stream_offer(&w->s, record_copy(r), w->now); /* and stays: a repeat */
    } else {
        memmove(w->flight + i, w->flight + i + 1, (--w->in_flight - i) * sizeof r);
        stream_offer(&w->s, r, w->now);
    }
}

static void heads(struct world *w)
{
    if (!w->heads_asked) {
        w->heads_at = w->s.at;
        w->heads_answer = w->log;
    } else {
        stream_on_head(&w->s, &w->heads_answer, &w->heads_at, w->now);
    }
    w->heads_asked = !w->heads_asked;
}

static void replay(struct world *w, bool reliable)
{
    struct position after;
    if (!stream_ask(&w->s, w->now, &after))
        return;
    if (!reliable && dice(3) == 0) {
        stream_on_replay_failed(&w->s, w->now);
        return;
    }
    bool same = strcmp(after.epoch, w->log.epoch) == 0;
    struct replay a = {.after = after, .head = w->log, .complete = same && after.seq >= w->trimmed};
    struct record **tail = &a.records;
    uint64_t from = after.seq > w->trimmed ? after.seq : w->trimmed;
    for (uint64_t seq = from + 1; same && seq <= w->log.seq && seq <= from + REPLAY_MAX;
         seq++, tail = &(*tail)->next)
        *tail = event(w->log.epoch, seq);
    stream_on_replay(&w->s, &a, w->now);
}

static void disaster(struct world *w)
{
    w->resets_allowed++;
    if (dice(2)) { /* restored from a backup: another epoch */
        w->log = (struct position){"", (uint64_t)dice(5)};
        snprintf(w->log.epoch, sizeof w->log.epoch, "e%u", ++w->epochs);
        w->trimmed = 0;
    } else {
        w->trimmed = w->log.seq; /* retention has eaten all of it */
    }
}

static void step(struct world *w)
{
    int chance = dice(100);
    w->now += dice(30);
    if (chance < 35)
        publish(w);
    else if (chance < 80)
        deliver(w, dice(2));
    else if (chance < 90)
        heads(w);
    else if (chance < 99 || dice(4))
        replay(w, false);
    else
        disaster(w);
    read_ring(w);
}

/* Once nothing happens any more, everything that exists has been read, or a resync said so. */
static void settle(struct world *w)
{
    while (w->in_flight) {
        deliver(w, true);
        read_ring(w);
    }
    for (int i = 0; i < 2000; i++) {
        w->now += 100;
        replay(w, true);
        heads(w);
        read_ring(w);
    }
    ck_assert_str_eq(w->reader.epoch, w->log.epoch);
    ck_assert_uint_eq(w->reader.seq, w->log.seq);
    ck_assert_uint_eq(w->s.early_count, 0);
}

START_TEST(any_order_of_happenings_reads_like_the_log)
{
    static struct world w;
    dice_seed(_i);
    memset(&w, 0, sizeof w);
    w.s = made();
    place(&w.s, "", 0);
    for (int i = 0; i < STEPS; i++)
        step(&w);
    settle(&w);
    stream_finish(&w.s);
}
END_TEST

Suite *suite_stream(void)
{
    Suite *s = suite_create("stream");
    TCase *t = tcase_create("stream");
    tcase_add_test(t, delivers_in_sequence_each_once);
    tcase_add_test(t, what_comes_before_the_place_is_known_waits_for_it);
    tcase_add_test(t, a_tenant_without_history_begins_with_any_epoch);
    tcase_add_test(t, a_hole_waits_and_is_then_fetched_in_pieces);
    tcase_add_test(t, a_failed_replay_is_tried_again_later_and_later);
    tcase_add_test(t, what_the_log_has_no_more_is_announced);
    tcase_add_test(t, an_answer_to_an_older_question_changes_nothing);
    tcase_add_loop_test(t, a_head_is_judged_by_what_was_known_when_it_was_asked_for, 0,
                        (int)countof(head_rows));
    tcase_add_test(t, an_event_of_another_epoch_asks_for_the_head);
    tcase_add_test(t, a_newer_latest_value_takes_the_place_of_the_older_one);
    tcase_add_test(t, early_events_are_bounded);
    tcase_add_loop_test(t, any_order_of_happenings_reads_like_the_log, 0, 40);
    suite_add_tcase(s, t);
    return s;
}
