/* The messages of /ws: what is read, what is refused, how errors look. */
#include "portal-gateway/core/ws_message.h"
#include "shared/mem.h"
#include "tests/unit/suites.h"
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
    {"{\"type\":\"auth\",\"token\":5}", ERR_INVALID, WS_MESSAGE_AUTH, "", ""},
    {"{\"type\":\"auth\",\"token\":\"a\\u0000b\"}", ERR_INVALID, WS_MESSAGE_AUTH, "", ""},
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

START_TEST(refuses_a_token_over_its_size)
{
    struct ws_message m;
    struct err err;
    struct buf b;
    char *long_token = xcalloc(TOKEN_MAX_BYTES + 2, 1);
    buf_init(&b, 65536);
    memset(long_token, 'a', TOKEN_MAX_BYTES + 1);
    buf_addf(&b, "{\"type\":\"auth\",\"token\":\"%s\"}", long_token);
    ck_assert(!ws_message_parse(buf_view(&b), &m, &err));
    buf_clear(&b);
    buf_addf(&b, "{\"type\":\"auth\",\"token\":\"%s\"}", long_token + 1);
    ck_assert(ws_message_parse(buf_view(&b), &m, &err));
    ck_assert_uint_eq(strlen(m.token), TOKEN_MAX_BYTES);
    buf_free(&b);
    free(long_token);
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
    tcase_add_test(t, refuses_a_token_over_its_size);
    tcase_add_test(t, an_error_repeats_the_id_as_it_came);
    suite_add_tcase(s, t);
    return s;
}
