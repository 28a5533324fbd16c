/* Engine.IO packets in one polling request. */
#include "portal-gateway/core/eio_payload.h"
#include "tests/unit/suites.h"
#include <stdlib.h>
#include <string.h>

#define RS "\x1e"

/* Packets as "T:text" or "B:bytes", a bar behind each, then what ends it. */
static void describe(struct view text, struct buf *out)
{
    struct eio_payload p;
    struct view packet;
    bool is_text;
    enum eio_found found;
    eio_payload_init(&p, text);
    while ((found = eio_payload_next(&p, &packet, &is_text)) == EIO_FOUND) {
        buf_add_text(out, is_text ? "T:" : "B:");
        buf_add_view(out, packet);
        buf_add_char(out, '|');
    }
    buf_add_text(out, found == EIO_ENDED ? "." : "!");
    ck_assert_int_eq(eio_payload_next(&p, &packet, &is_text), EIO_ENDED);
    eio_payload_finish(&p);
}

static const struct {
    const char *text, *packets;
} rows[] = {
    {"4a", "T:4a|."},
    {"4a" RS "4b", "T:4a|T:4b|."},
    {"4", "T:4|."},
    {"3" RS "6" RS "5" RS "1" RS "0{}", "T:3|T:6|T:5|T:1|T:0{}|."},
    {"4h\xc3\xa9llo \xe2\x82\xac", "T:4h\xc3\xa9llo \xe2\x82\xac|."},
    {"bQUJD", "B:ABC|."},
    {"bQUI=", "B:AB|."},
    {"bQQ==", "B:A|."},
    {"b", "B:|."},
    {"4a" RS "bQUJD" RS "4b", "T:4a|B:ABC|T:4b|."},
    {"", "!"},
    {RS, "!"},
    {"4a" RS, "T:4a|!"},
    {RS "4a", "!"},
    {"4a" RS RS "4b", "T:4a|!"},
    {"4a" RS "7" RS "4b", "T:4a|!"},
    {"abc", "!"},
    {"\xc3\xa9", "!"},
    {"4\xff", "!"},
    {"bQ", "!"},
    {"bQUJ", "!"},
    {"bQUJ-", "!"},
    {"bQ===", "!"},
    {"bQUJD QUJD", "!"},
    {"bQQ==QQ==", "!"},
};

START_TEST(every_text_has_its_packets)
{
    struct buf out;
    buf_init(&out, 1000);
    describe(view_of(rows[_i].text), &out);
    ck_assert_str_eq(out.data, rows[_i].packets);
    buf_free(&out);
}
END_TEST

START_TEST(a_nul_is_a_character_like_others)
{
    struct buf out;
    buf_init(&out, 1000);
    describe((struct view){"4a\0b", 4}, &out);
    ck_assert_uint_eq(out.len, sizeof "T:4a\0b|." - 1);
    buf_free(&out);
}
END_TEST

/* Around the sizes of the pieces that are encoded at a time. */
START_TEST(binary_comes_back_as_it_was)
{
    static const size_t sizes[] = {0, 1, 2, 3, 3071, 3072, 3073, 6144, 10001};
    size_t n = sizes[_i];
    char *bytes = malloc(n + 1);
    struct buf out;
    struct eio_payload p;
    struct view packet;
    bool is_text;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    buf_init(&out, 100000);
    ck_assert(eio_payload_add(&out, VIEW("4first"), true));
    ck_assert(eio_payload_add(&out, (struct view){bytes, n}, false));
    ck_assert(eio_payload_add(&out, VIEW("4last"), true));
    eio_payload_init(&p, buf_view(&out));
    ck_assert_int_eq(eio_payload_next(&p, &packet, &is_text), EIO_FOUND);
    ck_assert(is_text && view_is(packet, "4first"));
    ck_assert_int_eq(eio_payload_next(&p, &packet, &is_text), EIO_FOUND);
    ck_assert(!is_text && packet.n == n && (!n || !memcmp(packet.p, bytes, n)));
    ck_assert_int_eq(eio_payload_next(&p, &packet, &is_text), EIO_FOUND);
    ck_assert(is_text && view_is(packet, "4last"));
    ck_assert_int_eq(eio_payload_next(&p, &packet, &is_text), EIO_ENDED);
    eio_payload_finish(&p);
    buf_free(&out);
    free(bytes);
}
END_TEST

Suite *suite_eio_payload(void)
{
    Suite *s = suite_create("eio_payload");
    TCase *t = tcase_create("eio_payload");
    tcase_add_loop_test(t, every_text_has_its_packets, 0, (int)countof(rows));
    tcase_add_test(t, a_nul_is_a_character_like_others);
    tcase_add_loop_test(t, binary_comes_back_as_it_was, 0, 9);
    suite_add_tcase(s, t);
    return s;
}
