/* Rooms: both indexes against a plain model, through random joins and leaves. */
#include "portal-gateway/core/room.h"
#include "tests/unit/dice.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = 23, ROOMS = 17, STEPS = 40000 };

struct model {
    struct room_index index;
    struct member members[MEMBERS];
    bool in[ROOMS][MEMBERS];
};

static struct view name_of(int room, char out[16])
{
    int n = snprintf(out, 16, "room-%d", room);
    return (struct view){out, (size_t)n};
}

static void check_room(struct model *m, int number)
{
    char text[16];
    struct room *room = room_find(&m->index, name_of(number, text));
    size_t expected = 0;
    for (int i = 0; i < MEMBERS; i++)
        expected += m->in[number][i];
    ck_assert_int_eq(room != NULL, expected > 0); /* nobody holds empty rooms here */
    ck_assert_uint_eq(room ? room->count : 0, expected);
    for (size_t i = 0; room && i < room->count; i++) {
        struct member *member = room->slots[i].member;
        ck_assert(m->in[number][member - m->members]);
        ck_assert_ptr_eq(member->rooms[room->slots[i].at].room, room);
        ck_assert_uint_eq(member->rooms[room->slots[i].at].slot, i);
    }
}

static void check_member(struct model *m, int number)
{
    unsigned expected = 0;
    for (int i = 0; i < ROOMS; i++)
        expected += m->in[i][number];
    ck_assert_uint_eq(m->members[number].count, expected);
}

static void step(struct model *m)
{
    char text[16];
    int room_number = dice(ROOMS), member = dice(MEMBERS);
    bool was_in = m->in[room_number][member];
    struct room *room = room_get(&m->index, name_of(room_number, text));
    ck_assert_int_eq(room_has(room, &m->members[member]), was_in);
    if (dice(50) == 0) {
        member_finish(&m->members[member]);
        for (int i = 0; i < ROOMS; i++)
            m->in[i][member] = false;
    } else if (dice(2)) {
        ck_assert_int_eq(room_join(room, &m->members[member], &(struct since){0}, false), !was_in);
        m->in[room_number][member] = true;
    } else {
        ck_assert_int_eq(room_leave(room, &m->members[member]), was_in);
        m->in[room_number][member] = false;
    }
    room_unref(room);
    check_room(m, room_number);
    check_member(m, member);
}

START_TEST(both_indexes_agree_with_a_model)
{
    static struct model m;
    dice_seed(7);
    memset(&m, 0, sizeof m);
    room_index_init(&m.index);
    for (int i = 0; i < STEPS; i++)
        step(&m);
    for (int i = 0; i < ROOMS; i++)
        check_room(&m, i);
    for (int i = 0; i < MEMBERS; i++)
        member_finish(&m.members[i]);
    ck_assert_uint_eq(m.index.by_name.count, 0);
    room_index_finish(&m.index);
}
END_TEST

START_TEST(a_room_lives_while_somebody_refers_to_it)
{
    struct room_index index;
    struct member m;
    room_index_init(&index);
    member_init(&m);
    struct room *room = room_get(&index, VIEW("a"));
    ck_assert_ptr_eq(room, room_get(&index, VIEW("a")));
    room_unref(room);
    room_join(room, &m, &(struct since){0}, false);
    room_leave(room, &m);
    member_finish(&m);
    ck_assert_ptr_eq(room_find(&index, VIEW("a")), room);
    room_unref(room);
    ck_assert_ptr_null(room_find(&index, VIEW("a")));
    room_index_finish(&index);
}
END_TEST

START_TEST(tenants_do_not_share_rooms)
{
    struct room_index one, other;
    struct member m;
    room_index_init(&one);
    room_index_init(&other);
    member_init(&m);
    struct room *a = room_get(&one, VIEW("user:u1")), *b = room_get(&other, VIEW("user:u1"));
    ck_assert_ptr_ne(a, b);
    room_join(a, &m, &(struct since){0}, false);
    ck_assert(!room_has(b, &m));
    member_finish(&m);
    room_unref(a);
    room_unref(b);
    room_index_finish(&one);
    room_index_finish(&other);
}
END_TEST

Suite *suite_room(void)
{
    Suite *s = suite_create("room");
    TCase *t = tcase_create("rooms");
    tcase_add_test(t, both_indexes_agree_with_a_model);
    tcase_add_test(t, a_room_lives_while_somebody_refers_to_it);
    tcase_add_test(t, tenants_do_not_share_rooms);
    suite_add_tcase(s, t);
    return s;
}
