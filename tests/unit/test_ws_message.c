/* The messages of /ws: what is read, what is refused, how errors look. */
#include "portal-gateway/core/ws_message.h"
#include "shared/mem.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    enum err_code code;
    enum ws_message_type type;
    const char *id, *token;
} rows[] = {
    {"{\"type\":\"auth\",\"token\":\"a.b.c\"}", ERR_NONE, WS_MESSAGE_AUTH, "", "a.b.c"},
    {"{\"type\":\"auth\"}", ERR_NONE, WS_MESSAGE_AUTH, "", ""},
    {"{\"type\":\"auth\",\"token\":\"a\\u002eb\",\"id\":7}", ERR_NONE, WS_MESSAGE_AUTH, "7", "a.b"},
    {" {\"type\":\"ping\"} ", ERR_NONE, WS_MESSAGE_PING, "", ""},
    {"{\"type\":\"ping\",\"id\":\"x\",\"more\":[1]}", ERR_NONE, WS_MESSAGE_PING, "\"x\"", ""},
    {"{\"type\":\"ping\",\"id\":{\"no\":1}}", ERR_NONE, WS_MESSAGE_PING, "", ""},
    {"{\"type\":\"dance\",\"id\":1}", ERR_NONE, WS_MESSAGE_UNKNOWN, "1", ""},
    {"{\"type\":\"\"}", ERR_NONE, WS_MESSAGE_UNKNOWN, "", ""},
    {"{\"type\":\"auth\",\"token\":5}", ERR_NONE, WS_MESSAGE_AUTH, "", TOKEN_UNREADABLE},
    {"{\"type\":\"auth\",\"token\":\"a\\u0000b\"}", ERR_NONE, WS_MESSAGE_AUTH, "", TOKEN_UNREADABLE},
    {"{\"type\":5}", ERR_MALFORMED, WS_MESSAGE_UNKNOWN, "", ""},
    {"{}", ERR_MALFORMED, WS_MESSAGE_UNKNOWN, "", ""},
    {"[]", ERR_MALFORMED, WS_MESSAGE_UNKNOWN, "", ""},
    {"\"ping\"", ERR_MALFORMED, WS_MESSAGE_UNKNOWN, "", ""},
    {"", ERR_MALFORMED, WS_MESSAGE_UNKNOWN, "", ""},
    {"{\"type\":\"ping\"", ERR_MALFORMED, WS_MESSAGE_UNKNOWN, "", ""},
    {"{\"type\":\"ping\"}x", ERR_MALFORMED, WS_MESSAGE_UNKNOWN, "", ""},
};

START_TEST(reads_every_row)
{
    struct ws_message m;
    struct err err = {0};
    bool read = ws_message_parse(view_of(rows[_i].text), &m, &err);
    ck_assert_msg(read == (rows[_i].code == ERR_NONE), "%s: %s", rows[_i].text, err.text);
    if (!read)
        ck_assert_int_eq(err.code, rows[_i].code);
    ck_assert_int_eq(m.type, rows[_i].type);
    ck_assert_msg(view_is(m.id, rows[_i].id), "id %.*s", VIEW_ARG(m.id));
    if (read)
        ck_assert_str_eq(m.token, rows[_i].token);
}
END_TEST

START_TEST(a_token_over_its_size_is_none)
{
    struct ws_message m;
    struct err err;
    struct buf b;
    char *long_token = xcalloc(TOKEN_MAX_BYTES + 2, 1);
    buf_init(&b, 65536);
    memset(long_token, 'a', TOKEN_MAX_BYTES + 1);
    buf_addf(&b, "{\"type\":\"auth\",\"token\":\"%s\"}", long_token);
    ck_assert(ws_message_parse(buf_view(&b), &m, &err));
    ck_assert_str_eq(m.token, TOKEN_UNREADABLE);
    ck_assert(ws_message_parse(VIEW("{\"type\":\"auth\",\"token\":7}"), &m, &err));
    ck_assert_str_eq(m.token, TOKEN_UNREADABLE);
    buf_clear(&b);
    buf_addf(&b, "{\"type\":\"refresh\",\"token\":\"%s\"}", long_token);
    ck_assert(!ws_message_parse(buf_view(&b), &m, &err));
    buf_clear(&b);
    buf_addf(&b, "{\"type\":\"auth\",\"token\":\"%s\"}", long_token + 1);
    ck_assert(ws_message_parse(buf_view(&b), &m, &err));
    ck_assert_uint_eq(strlen(m.token), TOKEN_MAX_BYTES);
    buf_free(&b);
    free(long_token);
}
END_TEST

static const struct {
    const char *text;
    enum err_code code;
    const char *room, *event, *data, *rooms;
} more_rows[] = {
    {"{\"type\":\"join\",\"room\":\"a\\u003ab\"}", ERR_NONE, "a:b", "", "", ""},
    {"{\"type\":\"leave\",\"room\":\"r\",\"event\":\"x\"}", ERR_NONE, "r", "", "", ""},
    {"{\"type\":\"join\"}", ERR_INVALID, "", "", "", ""},
    {"{\"type\":\"join\",\"room\":\"\"}", ERR_INVALID, "", "", "", ""},
    {"{\"type\":\"leave\",\"room\":[\"r\"]}", ERR_INVALID, "", "", "", ""},
    {"{\"type\":\"leave\",\"room\":\"a\\u0000b\"}", ERR_INVALID, "", "", "", ""},
    {"{\"type\":\"emit\",\"event\":\"x\",\"data\":{\"a\": 1}}", ERR_NONE, "", "\"x\"", "{\"a\": 1}", ""},
    {"{\"type\":\"emit\",\"event\":\"\"}", ERR_NONE, "", "\"\"", "", ""},
    {"{\"type\":\"emit\",\"event\":7}", ERR_INVALID, "", "7", "", ""},
    {"{\"type\":\"emit\",\"data\":7}", ERR_INVALID, "", "", "7", ""},
    {"{\"type\":\"refresh\",\"token\":7}", ERR_INVALID, "", "", "", ""},
    {"{\"type\":\"refresh\"}", ERR_NONE, "", "", "", ""},
    {"{\"type\":\"auth\",\"rooms\":[]}", ERR_NONE, "", "", "", "[]"},
    {"{\"type\":\"auth\",\"rooms\":[\"a\", \"b\"]}", ERR_NONE, "", "", "", "[\"a\", \"b\"]"},
    {"{\"type\":\"auth\",\"rooms\":\"a\"}", ERR_INVALID, "", "", "", ""},
    {"{\"type\":\"auth\",\"rooms\":[\"a\",7]}", ERR_INVALID, "", "", "", ""},
    {"{\"type\":\"auth\",\"rooms\":[\"\"]}", ERR_INVALID, "", "", "", ""},
};

START_TEST(reads_what_each_type_has)
{
    struct ws_message m;
    struct err err = {0};
    ck_assert_msg(ws_message_parse(view_of(more_rows[_i].text), &m, &err) == !more_rows[_i].code, "%s",
                  more_rows[_i].text);
    ck_assert_int_eq(err.code, more_rows[_i].code);
    ck_assert_str_eq(m.room, more_rows[_i].room);
    ck_assert(view_is(m.event, more_rows[_i].event));
    ck_assert(view_is(m.data, more_rows[_i].data));
    ck_assert(view_is(m.rooms, more_rows[_i].rooms));
}
END_TEST

START_TEST(names_at_most_a_hundred_rooms)
{
    struct ws_message m;
    struct err err;
    for (int count = WS_MESSAGE_ROOMS_MAX; count <= WS_MESSAGE_ROOMS_MAX + 1; count++) {
        struct buf b;
        buf_init(&b, 65536);
        buf_add_text(&b, "{\"type\":\"auth\",\"rooms\":[\"r\"");
        for (int i = 1; i < count; i++)
            buf_add_text(&b, ",\"r\"");
        buf_add_text(&b, "]}");
        ck_assert(ws_message_parse(buf_view(&b), &m, &err) == (count == WS_MESSAGE_ROOMS_MAX));
        buf_free(&b);
    }
}
END_TEST

START_TEST(an_id_has_its_size)
{
    struct ws_message m;
    struct err err;
    char text[256], id[WS_MESSAGE_ID_MAX + 2];
    memset(id, '7', sizeof id - 1);
    id[sizeof id - 1] = 0;
    snprintf(text, sizeof text, "{\"type\":\"ping\",\"id\":%s}", id);
    ck_assert(!ws_message_parse(view_of(text), &m, &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_uint_eq(m.id.n, 0);
    snprintf(text, sizeof text, "{\"type\":\"ping\",\"id\":%s}", id + 1);
    ck_assert(ws_message_parse(view_of(text), &m, &err));
    ck_assert_uint_eq(m.id.n, WS_MESSAGE_ID_MAX);
}
END_TEST

START_TEST(an_ack_carries_the_answer)
{
    struct buf b;
    buf_init(&b, 1024);
    ws_message_write_ack(&b, VIEW("7"), VIEW("{\"ok\":true}"));
    ck_assert_str_eq(b.data, "{\"type\":\"ack\",\"id\":7,\"data\":{\"ok\":true}}");
    buf_free(&b);
}
END_TEST

START_TEST(an_error_repeats_the_id_as_it_came)
{
    struct buf b;
    buf_init(&b, 1024);
    ws_message_write_error(&b, VIEW("\"a\\u0041\""), "UNKNOWN_TYPE", "no");
    ck_assert_str_eq(b.data,
                     "{\"type\":\"error\",\"id\":\"a\\u0041\",\"code\":\"UNKNOWN_TYPE\",\"message\":\"no\"}");
    buf_clear(&b);
    ws_message_write_error(&b, (struct view){NULL, 0}, "C", "m");
    ck_assert_str_eq(b.data, "{\"type\":\"error\",\"code\":\"C\",\"message\":\"m\"}");
    buf_free(&b);
}
END_TEST

Suite *suite_ws_message(void)
{
    Suite *s = suite_create("ws_message");
    TCase *t = tcase_create("messages");
    tcase_add_loop_test(t, reads_every_row, 0, (int)countof(rows));
    tcase_add_test(t, a_token_over_its_size_is_none);
    tcase_add_loop_test(t, reads_what_each_type_has, 0, (int)countof(more_rows));
    tcase_add_test(t, names_at_most_a_hundred_rooms);
    tcase_add_test(t, an_id_has_its_size);
    tcase_add_test(t, an_ack_carries_the_answer);
    tcase_add_test(t, an_error_repeats_the_id_as_it_came);
    suite_add_tcase(s, t);
    return s;
}
