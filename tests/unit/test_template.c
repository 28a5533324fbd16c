/* Templates: every form of them, and what is refused. */
#include "shared/json.h"
#include "shared/template.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct template_scope scope = {
    .roots = {[TEMPLATE_DOCUMENT] =
                  {"{\"id\":\"d1\",\"n\":12345678901234567890,\"yes\":true,\"none\":null,\"empty\":\"\","
                   "\"q\":\"a\\\"\\u00e9\\n\",\"o\":{\"b\":{\"c\":[1, 2]}},\"a\\u0062c\":\"odd\"}",
                   132},
              [TEMPLATE_TOKEN] = {"{\"sub\":\"ann\",\"roles\":[\"x\"]}", 28},
              [TEMPLATE_BODY] = {"[1]", 3},
              [TEMPLATE_NOW] = {"\"2026-01-02T03:04:05.678Z\"", 26}}};

static struct template_scope scope_of_test(void)
{
    struct template_scope s = scope;
    s.roots[TEMPLATE_DOCUMENT] = view_of(s.roots[TEMPLATE_DOCUMENT].p);
    s.roots[TEMPLATE_TOKEN] = view_of(s.roots[TEMPLATE_TOKEN].p);
    return s;
}

static const struct {
    const char *template, *json;
} written[] = {
    /* whole expressions */
    {"\"${document.id}\"", "\"d1\""},
    {"\"${document.n}\"", "12345678901234567890"},
    {"\"${document.yes}\"", "true"},
    {"\"${document.none}\"", "null"},
    {"\"${document.missing}\"", "null"},
    {"\"${document.id.deeper}\"", "null"},
    {"\"${document.empty}\"", "\"\""},
    {"\"${document.q}\"", "\"a\\\"\\u00e9\\n\""},
    {"\"${document.o.b}\"", "{\"c\":[1, 2]}"},
    {"\"${document.abc}\"", "\"odd\""},
    {"\"${body}\"", "[1]"},
    {"\"${body.x}\"", "null"},
    {"\"${before}\"", "null"},
    {"\"${before.x}\"", "null"},
    {"\"${now}\"", "\"2026-01-02T03:04:05.678Z\""},
    {"\"${now.x}\"", "null"},
    /* the first that is there */
    {"\"${document.missing|token.sub}\"", "\"ann\""},
    {"\"${document.none|document.empty|token.sub|document.id}\"", "\"ann\""},
    {"\"${token.sub|document.id}\"", "\"ann\""},
    {"\"${document.missing|document.empty}\"", "\"\""},
    {"\"${document.empty|document.missing}\"", "null"},
    /* in text */
    {"\"by ${token.sub}\"", "\"by ann\""},
    {"\"${document.id}-${document.n}-${document.yes}\"", "\"d1-12345678901234567890-true\""},
    {"\"[${document.o}${document.none}${document.missing}${body}]\"", "\"[]\""},
    {"\"\\u0041 ${document.q}\\\\\"", "\"\\u0041 a\\\"\\u00e9\\n\\\\\""},
    {"\"to ${document.missing|token.sub}!\"", "\"to ann!\""},
    /* no expressions */
    {"\"$ {x} $x ${\"", NULL},
    {"\"$${document.id}\"", "\"${document.id}\""},
    {"\"a$${b}c${document.id}\"", "\"a${b}cd1\""},
    {"\"$$${b}\"", "\"$${b}\""},
    {"\"$\"", "\"$\""},
    {"\"$$\"", "\"$$\""},
    {"\"cost: $5, {x}\"", "\"cost: $5, {x}\""},
    {"\"\"", "\"\""},
    {"12", "12"},
    {"null", "null"},
    {"true", "true"},
    {" [ ] ", "[]"},
    {"{}", "{}"},
    /* objects and arrays */
    {"[1, \"${token.sub}\", [null]]", "[1,\"ann\",[null]]"},
    {"{\"a\": \"${token.sub}\", \"b\": {\"c\": \"${body}\"}}", "{\"a\":\"ann\",\"b\":{\"c\":[1]}}"},
    /* spread */
    {"{\"...\": \"${token}\"}", "{\"sub\":\"ann\",\"roles\":[\"x\"]}"},
    {"{\"sub\": 1, \"...\": \"${token}\", \"z\": \"${token.sub}\"}",
     "{\"roles\":[\"x\"],\"sub\":1,\"z\":\"ann\"}"},
    {"{\"...\": \"${document.o.b}\", \"\\u0063\": 1}", "{\"\\u0063\":1}"},
    {"{\"...\": \"${document.id}\", \"a\": 1}", "{\"a\":1}"},
    {"{\"...\": \"${before}\"}", "{}"},
    {"{\"...\": \"${body}\", \"a\": 1}", "{\"a\":1}"},
};

START_TEST(template_writes_every_form)
{
    struct template_scope s = scope_of_test();
    struct view json = {NULL, 0}, checked;
    struct err err;
    struct buf out;
    ck_assert(json_check(view_of(written[_i].template), JSON_STRICT, &json, &err));
    bool fine = template_check(json, ~0u, "$", &err);
    ck_assert_msg(fine == (written[_i].json != NULL), "%s: %s", written[_i].template,
                  fine ? "taken" : err.text);
    if (!fine)
        return;
    buf_init(&out, 1 << 20);
    buf_add_text(&out, "before:");
    ck_assert(template_write(json, &s, &out, &err));
    ck_assert_str_eq(out.data + 7, written[_i].json);
    ck_assert(json_check(view_of(out.data + 7), JSON_STRICT, &checked, &err));
    buf_free(&out);
}
END_TEST

START_TEST(template_makes_plain_text)
{
    static const struct {
        const char *template, *text; /* NULL: INVALID */
    } rows[] = {{"\"room-${token.sub}\"", "room-ann"},
                {"\"${document.n}\"", "12345678901234567890"},
                {"\"${document.yes}\"", "true"},
                {"\"${document.q}\"", "a\"\xc3\xa9\n"},
                {"\"$${x}\"", "${x}"},
                {"\"${document.missing|token.sub}\"", "ann"},
                {"\"12345678901234567890123456789\"", "12345678901234567890123456789"},
                {"\"\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00"
                 "e9\\u00e9\"",
                 "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
                 "\xc3\xa9\xc3\xa9"
                 "\xc3\xa9"},
                {"\"123456789012345678901234567890\"", NULL}, /* and its NUL: 31 */
                {"\"${document.missing}\"", NULL},
                {"\"room-${document.none}\"", NULL},
                {"\"room-${document.empty}\"", NULL},
                {"\"room-${document.o}\"", NULL},
                {"\"${body}\"", NULL},
                {"\"a\\u0000\"", NULL},
                {"\"\"", NULL},
                {"12", NULL}};
    struct template_scope s = scope_of_test();
    for (size_t i = 0; i < countof(rows); i++) {
        char out[30] = "untouched";
        struct err err = {.code = ERR_NONE};
        bool fine = template_text(view_of(rows[i].template), &s, out, sizeof out, &err);
        ck_assert_msg(fine == (rows[i].text != NULL), "%s", rows[i].template);
        if (fine)
            ck_assert_str_eq(out, rows[i].text);
        else
            ck_assert_int_eq(err.code, ERR_INVALID);
    }
}
END_TEST

START_TEST(template_check_tells_what_is_wrong)
{
    static const struct {
        const char *template, *fault;
    } rows[] = {{"\"${\"", "$: \"${\" without"},
                {"[0, \"x ${token.sub\"]", "$[1]: \"${\" without"},
                {"\"${}\"", "$: the expression is empty"},
                {"\"${token.sub|}\"", "$: the expression is empty"},
                {"\"${toke.sub}\"", "$: the expression begins with a name that is no root"},
                {"\"${ token.sub}\"", "$: the expression begins with a name that is no root"},
                {"\"${token.}\"", "$: the expression has a name that is none"},
                {"\"${token..sub}\"", "$: the expression has a name that is none"},
                {"\"${token.a b}\"", "$: the expression has a name that is none"},
                {"\"${token.a\\u0062}\"", "$: the expression has a name that is none"},
                {"{\"a\": {\"b\": [\"${document.x}\"]}}", "$.a.b[0]: there is no \"document\" here"},
                {"{\"a-b\": 1, \"a b\": \"${args}\"}", "$[\"a b\"]: there is no \"args\" here"},
                {"{\"...\": 1}", "$[\"...\"]: must be one expression"},
                {"{\"...\": \"a ${token}\"}", "$[\"...\"]: must be one expression"},
                {"{\"${token.sub}\": 1}", "$[\"${token.sub}\"]: names of members are no templates"}};
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {.code = ERR_NONE};
        ck_assert_msg(!template_check(view_of(rows[i].template), TEMPLATE_BIT(TOKEN), "$", &err), "%s",
                      rows[i].template);
        ck_assert_int_eq(err.code, ERR_INVALID);
        ck_assert_msg(!strncmp(err.text, rows[i].fault, strlen(rows[i].fault)), "%s: %s", rows[i].template,
                      err.text);
    }
}
END_TEST

static char *nested(size_t depth, const char *inside)
{
    size_t n = strlen(inside);
    char *text = calloc(2 * depth + n + 1, 1);
    memset(text, '[', depth);
    memcpy(text + depth, inside, n);
    memset(text + depth + n, ']', depth);
    return text;
}

START_TEST(template_depth_is_bounded)
{
    struct template_scope s = scope_of_test();
    struct err err;
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t depth = TEMPLATE_DEPTH_MAX; depth <= TEMPLATE_DEPTH_MAX + 1; depth++) {
        char *text = nested(depth, "\"${now}\"");
        ck_assert(template_check(view_of(text), ~0u, "$", &err) == (depth == TEMPLATE_DEPTH_MAX));
        ck_assert(template_write(view_of(text), &s, &out, &err) == (depth == TEMPLATE_DEPTH_MAX));
        free(text);
    }
    for (size_t depth = TEMPLATE_OUT_DEPTH_MAX - 1; depth <= TEMPLATE_OUT_DEPTH_MAX; depth++) {
        char *value = nested(depth, "\"[[\\\"[\"");
        s.roots[TEMPLATE_BODY] = view_of(value);
        buf_clear(&out);
        bool fine = template_write(VIEW("{\"a\":\"${body}\"}"), &s, &out, &err);
        ck_assert(fine == (depth < TEMPLATE_OUT_DEPTH_MAX));
        ck_assert(fine || err.code == ERR_TOO_LARGE);
        free(value);
    }
    buf_free(&out);
}
END_TEST

START_TEST(template_size_is_bounded)
{
    enum { PIECE = 1 << 18 };
    char *piece = calloc(PIECE + 1, 1);
    memset(piece, 'x', PIECE);
    piece[0] = piece[PIECE - 1] = '"';
    struct template_scope s = scope_of_test();
    s.roots[TEMPLATE_BODY] = view_of(piece);
    struct err err;
    struct buf out;
    buf_init(&out, 16 << 20);
    ck_assert(template_write(VIEW("[\"${body}\",\"${body}\",\"${body}\"]"), &s, &out, &err));
    buf_clear(&out);
    ck_assert(!template_write(VIEW("[\"${body}\",\"${body}\",\"${body}\",\"${body}\"]"), &s, &out, &err));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    ck_assert_uint_le(out.len, TEMPLATE_OUT_MAX);
    buf_free(&out);
    buf_init(&out, 10);
    ck_assert(!template_write(VIEW("\"${body}\""), &s, &out, &err));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    buf_free(&out);
    free(piece);
}
END_TEST

START_TEST(template_tells_what_it_uses)
{
    static const char text[] =
        "{\"a\": [\"$${now}\", \"x ${token.sub|document.id}\"], \"...\": \"${before}\"}";
    ck_assert(template_uses(view_of(text), TEMPLATE_TOKEN));
    ck_assert(template_uses(view_of(text), TEMPLATE_DOCUMENT));
    ck_assert(template_uses(view_of(text), TEMPLATE_BEFORE));
    ck_assert(!template_uses(view_of(text), TEMPLATE_NOW));
    ck_assert(!template_uses(view_of(text), TEMPLATE_BODY));
}
END_TEST

START_TEST(template_value_is_a_slice)
{
    struct template_scope s = scope_of_test();
    ck_assert(view_is(template_value(VIEW("token.sub"), &s), "\"ann\""));
    ck_assert(view_is(template_value(VIEW("token.name|token.sub"), &s), "\"ann\""));
    ck_assert_uint_eq(template_value(VIEW("token.name"), &s).n, 0);
    ck_assert_uint_eq(template_value(VIEW("nothing.name"), &s).n, 0);
    ck_assert_uint_eq(template_value(VIEW(""), &s).n, 0);
}
END_TEST

Suite *suite_template(void)
{
    Suite *suite = suite_create("template");
    TCase *tests = tcase_create("template");
    tcase_add_loop_test(tests, template_writes_every_form, 0, countof(written));
    tcase_add_test(tests, template_makes_plain_text);
    tcase_add_test(tests, template_check_tells_what_is_wrong);
    tcase_add_test(tests, template_depth_is_bounded);
    tcase_add_test(tests, template_size_is_bounded);
    tcase_add_test(tests, template_tells_what_it_uses);
    tcase_add_test(tests, template_value_is_a_slice);
    suite_add_tcase(suite, tests);
    return suite;
}
