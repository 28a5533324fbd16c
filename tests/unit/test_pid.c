/* The private id of a session: it comes through whole, and nothing else does. */
#include "portal-gateway/core/pid.h"
#include "shared/compiler.h"
#include "shared/mem.h"
#include "tests/unit/dice.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct peer_keys keys;
static struct claims claims;
static const struct pid written = {"AbCdEfGhIjKlMnOpQr_-", {"e1", 4711}, 1795269600000};
static char text[PID_SIZE];

/* "red blue" */
static void name(struct token_list *list, char *names)
{
    list->count = 0;
    for (char *end; *names; names = end + 1) {
        end = strchr(names, ' ');
        list->items[list->count++] = names;
        if (!end)
            return;
        *end = 0;
    }
}

/* Claims whose lists point into it. */
struct person {
    char roles[64], teams[64], rooms[64];
    struct claims claims;
};

static const struct claims *person(struct person *p, const char *const words[5])
{
    p->claims = (struct claims){.jti = ""};
    snprintf(p->claims.tenant_id, sizeof p->claims.tenant_id, "%s", words[0]);
    snprintf(p->claims.sub, sizeof p->claims.sub, "%s", words[1]);
    snprintf(p->roles, sizeof p->roles, "%s", words[2]);
    snprintf(p->teams, sizeof p->teams, "%s", words[3]);
    snprintf(p->rooms, sizeof p->rooms, "%s", words[4]);
    name(&p->claims.roles, p->roles);
    name(&p->claims.teams, p->teams);
    name(&p->claims.rooms, p->rooms);
    return &p->claims;
}

static void set_up(void)
{
    static struct person somebody;
    static const char *const words[] = {"t1", "u1", "agent", "red blue", "vip a b"};
    peer_keys_derive(&keys, "the secret of these gateways", "");
    claims = *person(&somebody, words);
    pid_write(&keys, &claims, &written, text);
}

static bool is_read(const char *pid)
{
    struct pid read;
    return pid_read(&keys, &claims, view_of(pid), &read);
}

START_TEST(comes_through_whole)
{
    struct pid read;
    ck_assert(pid_read(&keys, &claims, view_of(text), &read));
    ck_assert_str_eq(read.id, written.id);
    ck_assert_str_eq(read.base.epoch, written.base.epoch);
    ck_assert_uint_eq(read.base.seq, written.base.seq);
    ck_assert_int_eq(read.issued_ms, written.issued_ms);
    ck_assert_ptr_null(strstr(text, "t1"));
    ck_assert_ptr_null(strstr(text, "u1"));
}
END_TEST

START_TEST(the_greatest_has_its_place)
{
    static char long_name[TOKEN_NAME_MAX + 1];
    struct pid read, most = {"AbCdEfGhIjKlMnOpQr_-", {"0123456789abcdef", INT64_MAX}, INT64_MAX};
    memset(long_name, 'n', TOKEN_NAME_MAX);
    memset(claims.tenant_id, 't', TENANT_ID_MAX);
    memset(claims.sub, 's', TOKEN_NAME_MAX);
    struct token_list *lists[] = {&claims.roles, &claims.teams, &claims.rooms};
    for (size_t i = 0; i < countof(lists); i++)
        for (lists[i]->count = 0; lists[i]->count < TOKEN_LIST_MAX;)
            lists[i]->items[lists[i]->count++] = long_name;
    pid_write(&keys, &claims, &most, text);
    ck_assert(pid_read(&keys, &claims, view_of(text), &read));
    ck_assert_uint_eq(read.base.seq, INT64_MAX);
    ck_assert_int_eq(read.issued_ms, INT64_MAX);
}
END_TEST

/* Every byte changed into several others, left out, and doubled. */
START_TEST(forged_at_any_byte_is_none)
{
    static const char others[] = "A0-_.z \"";
    size_t n = strlen(text);
    char forged[PID_SIZE + 1];
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof others; k++) { /* NUL too */
            memcpy(forged, text, n + 1);
            struct pid read;
            forged[i] = others[k];
            ck_assert_msg(forged[i] == text[i] || !pid_read(&keys, &claims, (struct view){forged, n}, &read),
                          "byte %zu as %02x", i, (unsigned char)others[k]);
        }
        memcpy(forged, text, i);
        memcpy(forged + i, text + i + 1, n - i);
        ck_assert_msg(!is_read(forged), "without byte %zu", i);
        memcpy(forged, text, i + 1);
        memcpy(forged + i + 1, text + i, n - i + 1);
        ck_assert_msg(!is_read(forged), "byte %zu doubled", i);
    }
}
END_TEST

START_TEST(of_another_is_none)
{
    static const struct {
        const char *words[5]; /* tenant, user, roles, teams, rooms */
        bool good;
    } rows[] = {
        {{"t1", "u1", "agent", "red blue", "vip a b"}, true},
        {{"t1", "u1", "agent", "blue red", "b vip a"}, true}, /* the order means nothing */
        {{"t2", "u1", "agent", "red blue", "vip a b"}, false},
        {{"t1", "u2", "agent", "red blue", "vip a b"}, false},
        {{"t1", "u1", "admin", "red blue", "vip a b"}, false},
        {{"t1", "u1", "", "red blue", "vip a b"}, false},
        {{"t1", "u1", "agent", "red", "vip a b"}, false},
        {{"t1", "u1", "agent", "red blue", "vip ab"}, false},
        {{"t1", "u1", "agent", "red blue", "vip a b c"}, false},
        {{"t1", "u1", "agent", "red blue a", "vip b"}, false},
        {{"t1", "u1", "red blue", "agent", "vip a b"}, false},
        {{"t1", "u1", "agent", "red blue", "a1:b vip"}, false},
        {{"t1\n2:u1", "u1", "agent", "red blue", "vip a b"}, false},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct pid read;
        struct person other;
        const struct claims *his = person(&other, rows[i].words);
        ck_assert_msg(pid_read(&keys, his, view_of(text), &read) == rows[i].good, "row %zu", i);
    }
}
END_TEST

START_TEST(keys_can_be_rotated)
{
    struct peer_keys old = keys;
    peer_keys_derive(&keys, "the new secret", "the secret of these gateways");
    ck_assert(is_read(text)); /* by the previous one */
    pid_write(&keys, &claims, &written, text);
    ck_assert(is_read(text));
    struct pid read;
    ck_assert(!pid_read(&old, &claims, view_of(text), &read));
    peer_keys_derive(&keys, "the new secret", "");
    ck_assert(is_read(text));
    pid_write(&old, &claims, &written, text);
    ck_assert(!is_read(text));
    peer_keys_derive(&keys, "", "the secret of these gateways");
    ck_assert(!is_read(text)); /* without a current one nothing is good */
    pid_write(&keys, &claims, &written, text);
    ck_assert(!is_read(text));
}
END_TEST

/* Signed by us, and yet no pid. */
START_TEST(what_is_signed_must_be_whole)
{
    static const struct pid rows[] = {
        {"short", {"e", 1}, 1},
        {"", {"e", 1}, 1},
        {"AbCdEfGhIjKlMnOpQr_-", {"e", 1}, -1},
        {"AbCdEfGhIjKlMnOp.r_-", {"e", 1}, 1},
        {"AbCdEfGhIjKlMnOpQr_-", {"e.e", 1}, 1},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        pid_write(&keys, &claims, &rows[i], text);
        ck_assert_msg(!is_read(text), "row %zu: %s", i, text);
    }
    struct pid unborn = written, read;
    unborn.base = (struct position){"", 0}; /* began before there was any history */
    pid_write(&keys, &claims, &unborn, text);
    ck_assert(pid_read(&keys, &claims, view_of(text), &read));
    ck_assert_str_eq(read.base.epoch, "");
}
END_TEST

START_TEST(sizes_are_bounded)
{
    static char big[1 << 16];
    struct pid read;
    memset(big, '.', sizeof big);
    for (size_t n = 0; n <= PID_SIZE + 1; n++)
        ck_assert(!pid_read(&keys, &claims, (struct view){big, n}, &read));
    ck_assert(!pid_read(&keys, &claims, (struct view){big, sizeof big}, &read));
    ck_assert(!pid_read(&keys, &claims, (struct view){NULL, 0}, &read));
    memcpy(big, text, strlen(text)); /* a good one with something behind it */
    ck_assert(!pid_read(&keys, &claims, (struct view){big, strlen(text) + 1}, &read));
}
END_TEST

/* Anything, and good ones with some bytes of anything. */
START_TEST(noise_is_none)
{
    size_t whole = strlen(text);
    dice_seed(7);
    for (int i = 0; i < 20000; i++) {
        char noise[2 * PID_SIZE];
        struct pid read;
        size_t n = (size_t)dice((int)sizeof noise);
        for (size_t k = 0; k < n; k++)
            noise[k] = (char)(dice(4) ? "0123456789abcXYZ-_."[dice(19)] : dice(256));
        ck_assert(!pid_read(&keys, &claims, (struct view){noise, n}, &read));
        memcpy(noise, text, whole);
        for (int k = dice(4); k >= 0; k--)
            noise[dice((int)whole)] = (char)dice(256);
        ck_assert(!memcmp(noise, text, whole) ||
                  !pid_read(&keys, &claims, (struct view){noise, whole}, &read));
    }
}
END_TEST

Suite *suite_pid(void)
{
    Suite *s = suite_create("pid");
    TCase *t = tcase_create("pid");
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, comes_through_whole);
    tcase_add_test(t, the_greatest_has_its_place);
    tcase_add_test(t, forged_at_any_byte_is_none);
    tcase_add_test(t, of_another_is_none);
    tcase_add_test(t, keys_can_be_rotated);
    tcase_add_test(t, what_is_signed_must_be_whole);
    tcase_add_test(t, sizes_are_bounded);
    tcase_add_test(t, noise_is_none);
    suite_add_tcase(s, t);
    return s;
}
