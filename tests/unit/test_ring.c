/* The ring of recent events: what it still covers and where that begins, against a naive model. */
#include "portal-gateway/core/ring.h"
#include "tests/unit/dice.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

enum { SEEDS = 30, STEPS = 400, RING_EVENTS = 12, PLACES_MOST = STEPS };

/* All that was ever put in, by place. */
static struct model {
    struct {
        struct position at;
        bool has_seq;
    } entries[PLACES_MOST];
    uint64_t head, first; /* `first` as the ring says: how much it keeps is its own business */
    uint64_t joint;
    struct position begin; /* of this history */
    struct position at;
} model;

static struct ring ring;

static struct record *record_at(const struct position *at, bool has_seq)
{
    char body[160];
    struct err err;
    int n = has_seq ? snprintf(body, sizeof body,
                               "{\"type\":\"x\",\"tenantId\":\"t\",\"epoch\":\"%s\",\"seq\":%d}", at->epoch,
                               (int)at->seq)
                    : snprintf(body, sizeof body, "{\"type\":\"x\",\"tenantId\":\"t\"}");
    struct record *r = record_create((struct view){body, (size_t)n}, &err);
    ck_assert_ptr_nonnull(r);
    return r;
}

static void note(bool has_seq)
{
    model.entries[model.head].at = model.at;
    model.entries[model.head++].has_seq = has_seq;
}

static void append(bool has_seq)
{
    model.at.seq += has_seq;
    note(has_seq);
    ring_append(&ring, record_at(&model.at, has_seq), &model.at);
}

/* Another history, or the same one further on or back. */
static void jump(void)
{
    if (dice(2))
        model.at.epoch[0] = (char)('a' + dice(3));
    model.at.seq = (uint64_t)dice(60);
    model.begin = model.at;
    note(false);
    model.joint = model.head;
    ring_append_resync(&ring, "history_replaced", &model.at);
}

static uint64_t oldest(void)
{
    return ring.first > model.joint ? ring.first : model.joint;
}

/* Whether every event of this history behind that one is in the ring. */
static bool is_covered(const struct position *at)
{
    if (strcmp(at->epoch, model.at.epoch) != 0 || at->seq < model.begin.seq)
        return false;
    for (uint64_t seq = at->seq + 1; seq <= model.at.seq; seq++) {
        bool found = false;
        for (uint64_t place = oldest(); place < ring.head; place++)
            found |= model.entries[place].has_seq && model.entries[place].at.seq == seq;
        if (!found)
            return false;
    }
    return true;
}

/* How far somebody is who stands before that place. */
static struct position before(uint64_t place)
{
    return place > model.joint ? model.entries[place - 1].at : model.begin;
}

static void check(void)
{
    ck_assert_uint_eq(ring.head, model.head);
    for (uint64_t seq = 0; seq < model.at.seq + 3; seq++) {
        struct position at = {.seq = seq};
        uint64_t place = UINT64_MAX;
        at.epoch[0] = dice(6) ? model.at.epoch[0] : (char)('a' + dice(3));
        bool covers = ring_covers(&ring, &at, &place);
        ck_assert_msg(covers == is_covered(&at), "seed state at %s-%d of %s-%d", at.epoch, (int)seq,
                      model.at.epoch, (int)model.at.seq);
        if (!covers)
            continue;
        ck_assert(place >= oldest() && place <= ring.head);
        ck_assert(place == oldest() || model.entries[place - 1].at.seq <= seq);
        ck_assert(place == ring.head || model.entries[place].at.seq > seq);
    }
    for (uint64_t place = oldest(); place <= ring.head; place++) {
        struct position got = ring_before(&ring, place), wanted = before(place);
        ck_assert_str_eq(got.epoch, wanted.epoch);
        ck_assert_uint_eq(got.seq, wanted.seq);
    }
}

START_TEST(covers_what_is_there)
{
    dice_seed(_i);
    memset(&model, 0, sizeof model);
    ring_init(&ring, RING_EVENTS, _i % 2 ? SIZE_MAX : 4000);
    model.at = model.begin = (struct position){"a", (uint64_t)dice(20)};
    ring_place(&ring, &model.at);
    for (int i = 0; i < STEPS; i++) {
        int what = dice(40);
        if (what == 0)
            jump();
        else if (what == 1)
            ring_drop_before(&ring, ring.first + (uint64_t)dice(RING_EVENTS));
        else if (what < 10 && ring.first < ring.head)
            ring_kill(&ring, ring.first + (uint64_t)dice((int)(ring.head - ring.first)));
        append(dice(4) != 0);
        check();
        ck_assert_uint_le(ring.head - ring.first, RING_EVENTS);
        if (model.head + 2 >= PLACES_MOST)
            break;
    }
    ring_finish(&ring);
}
END_TEST

START_TEST(keeps_what_nobody_was_told_of)
{
    ring_init(&ring, 4, SIZE_MAX);
    model = (struct model){.at = {"a", 0}};
    for (int i = 0; i < 6; i++)
        append(true);
    ck_assert_uint_eq(ring.first, 2);
    ring.kept = 4;
    for (int i = 0; i < 30; i++)
        append(true);
    ck_assert_uint_eq(ring.first, 4);
    for (uint64_t place = ring.first; place < ring.head; place++)
        ck_assert_uint_eq(ring_at(&ring, place)->at.seq, place + 1);
    ring.kept = ring.head;
    append(true);
    ck_assert_uint_eq(ring.head - ring.first, 4);
    ring_finish(&ring);
}
END_TEST

Suite *suite_ring(void)
{
    Suite *s = suite_create("ring");
    TCase *t = tcase_create("ring");
    tcase_add_loop_test(t, covers_what_is_there, 0, SEEDS);
    tcase_add_test(t, keeps_what_nobody_was_told_of);
    suite_add_tcase(s, t);
    return s;
}
