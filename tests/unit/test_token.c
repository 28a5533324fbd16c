/* What token_verify() makes of headers, claims and texts of tokens. */
#include "shared/buf.h"
#include "shared/mem.h"
#include "shared/token.h"
#include "tests/unit/suites.h"
#include "tests/unit/token_maker.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- headers and claims under a good signature --- */

static const struct {
    const char *header, *payload, *want;
} signed_rows[] = {
    {HEADER, CLAIMS, NULL},
    {"{\"alg\":\"HS256\"}", CLAIMS, NULL},
    {"{\"typ\":\"jwt\",\"alg\":\"HS256\"}", CLAIMS, NULL},
    {"{\"alg\":\"HS256\",\"kid\":\"any\"}", CLAIMS, NULL},
    {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", CLAIMS, "another type"},
    {"{\"alg\":\"HS256\",\"typ\":\"JWE\"}", CLAIMS, "another type"},
    {"{\"alg\":\"HS256\",\"typ\":7}", CLAIMS, "another type"},
    {"{\"alg\":\"none\"}", CLAIMS, "another algorithm"},
    {"{\"alg\":\"None\"}", CLAIMS, "another algorithm"},
    {"{\"alg\":\"\"}", CLAIMS, "another algorithm"},
    {"{\"alg\":null}", CLAIMS, "another algorithm"},
    {"{\"typ\":\"JWT\"}", CLAIMS, "another algorithm"},
    {"{\"alg\":\"hs256\"}", CLAIMS, "another algorithm"},
    {"{\"alg\":\"HS384\"}", CLAIMS, "another algorithm"},
    {"{\"alg\":\"RS256\"}", CLAIMS, "another algorithm"},
    {"{\"alg\":[\"HS256\"]}", CLAIMS, "another algorithm"},
    {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", CLAIMS, "crit"},
    {"{\"alg\":\"HS256\",\"crit\":[]}", CLAIMS, "crit"},
    {"{\"alg\":\"HS256\",\"crit\":null}", CLAIMS, "crit"},
    {"{\"alg\":\"none\",\"alg\":\"HS256\"}", CLAIMS, "twice"},
    {"{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}", CLAIMS, "twice"},
    {"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"typ\":\"JWT\"}", CLAIMS, "twice"},
    {"[\"HS256\"]", CLAIMS, "not a JSON object"},
    {"{\"alg\":\"HS256\"} x", CLAIMS, "not a JSON object"},
    {"{\"alg\":\"HS256\",}", CLAIMS, "not a JSON object"},
    {HEADER, "[" CLAIMS "]", "not a JSON object"}, /* good for libjwt */
    {HEADER, "{" USER "}", "exp is missing"},
    {HEADER, "{" USER ",\"exp\":\"2000003600\"}", "exp is not a number"},
    {HEADER, "{" USER ",\"exp\":null}", "exp is not a number"},
    {HEADER, "{" USER ",\"exp\":2000000000}", "expired"},
    {HEADER, "{" USER ",\"exp\":2000000000.9}", "expired"},
    {HEADER, "{" USER ",\"exp\":2000000001}", NULL},
    {HEADER, "{" USER ",\"exp\":2000003600.5}", NULL},
    {HEADER, "{" USER ",\"exp\":2.0000036e9}", NULL},
    {HEADER, "{" USER ",\"exp\":0}", "expired"},
    {HEADER, "{" USER ",\"exp\":-1}", "out of range"},
    {HEADER, "{" USER ",\"exp\":2000003600000}", "out of range"}, /* milliseconds */
    {HEADER, "{" USER "," EXP ",\"exp\":2000003601}", "twice"},
    {HEADER, "{" USER "," EXP ",\"nbf\":2000000030}", NULL}, /* within the leeway */
    {HEADER, "{" USER "," EXP ",\"nbf\":2000000031}", "nbf is in the future"},
    {HEADER, "{" USER "," EXP ",\"nbf\":\"0\"}", "nbf is not a number"},
    {HEADER, "{" USER "," EXP ",\"iat\":2000000030}", NULL},
    {HEADER, "{" USER "," EXP ",\"iat\":2000000031}", "iat is in the future"},
    {HEADER, "{\"sub\":\"u1\",\"role\":\"agent\"," EXP "}", "tenantId is missing"},
    {HEADER, "{\"tenantId\":7,\"sub\":\"u1\",\"role\":\"agent\"," EXP "}", "tenantId is not a string"},
    {HEADER, "{\"tenantId\":\"\",\"sub\":\"u1\",\"role\":\"agent\"," EXP "}", "tenantId is empty"},
    {HEADER, "{\"tenantId\":\"a.b\",\"sub\":\"u1\",\"role\":\"agent\"," EXP "}", "tenantId has other"},
    {HEADER, "{\"tenantId\":\"#\",\"sub\":\"u1\",\"role\":\"agent\"," EXP "}", "tenantId has other"},
    {HEADER, "{\"tenantId\":\"t\xc3\xa4\",\"sub\":\"u1\",\"role\":\"agent\"," EXP "}", "tenantId has other"},
    {HEADER, "{" USER ",\"tenantId\":\"t_other\"," EXP "}", "twice"},
    {HEADER, "{" USER ",\"tenant\\u0049d\":\"t_other\"," EXP "}", "twice"},
    {HEADER, "{\"tenantId\":\"t\",\"role\":\"agent\"," EXP "}", "sub is missing"},
    {HEADER, "{\"tenantId\":\"t\",\"sub\":7,\"role\":\"agent\"," EXP "}", "sub is not a string"},
    {HEADER, "{\"tenantId\":\"t\",\"sub\":\"\",\"role\":\"agent\"," EXP "}", "sub is empty"},
    {HEADER, "{\"tenantId\":\"t\",\"sub\":\"u1\"," EXP "}", "role is missing"},
    {HEADER, "{\"tenantId\":\"t\",\"sub\":\"u1\",\"role\":{}," EXP "}", "role is not a string"},
    {HEADER, "{\"tenantId\":\"t\",\"sub\":\"u1\",\"role\":[\"a\",1]," EXP "}", "role is not a string"},
    {HEADER, "{" USER "," EXP ",\"rooms\":\"a\"}", "rooms is not an array"},
    {HEADER, "{" USER "," EXP ",\"teams\":[\"\"]}", "teams is empty"},
    {HEADER, "{" USER "," EXP ",\"rooms\":null,\"name\":null,\"jti\":null}", NULL},
    {HEADER, "{" USER "," EXP ",\"name\":5}", "name is not a string"},
    {HEADER, "{" USER "," EXP ",\"jti\":5}", "jti is not a string"},
    {HEADER, "{" USER "," EXP ",\"anything\":{\"a\":[1,2,3]}}", NULL},
};

START_TEST(signed_tokens)
{
    char *token = sign_parts(view_of(signed_rows[_i].header), view_of(signed_rows[_i].payload), SECRET);
    expect_token(hs256(), view_of(token), signed_rows[_i].want);
    free(token);
}
END_TEST

START_TEST(nul_in_a_name)
{
    /* Depending on the JSON library beneath, libjwt refuses it before we do. */
    char *token = sign_parts(
        VIEW(HEADER), VIEW("{\"tenantId\":\"t\",\"sub\":\"u1\\u0000x\",\"role\":\"agent\"," EXP "}"), SECRET);
    expect_token(hs256(), view_of(token), "token: ");
    free(token);
}
END_TEST

static char *claims_with_list(const char *claim, size_t count, const char *item)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    buf_addf(&out, "{" USER "," EXP ",\"%s\":[", claim);
    for (size_t i = 0; i < count; i++)
        buf_addf(&out, "%s\"%s\"", i ? "," : "", item);
    buf_add_text(&out, "]}");
    return buf_detach(&out, NULL);
}

START_TEST(lists_and_names_are_capped)
{
    static const struct {
        size_t count, length;
        const char *want;
    } rows[] = {{TOKEN_LIST_MAX, 3, NULL},
                {TOKEN_LIST_MAX + 1, 3, "too many entries"},
                {1, TOKEN_NAME_MAX, NULL},
                {1, TOKEN_NAME_MAX + 1, "too long"}};
    for (size_t i = 0; i < countof(rows); i++) {
        char item[TOKEN_NAME_MAX + 2] = "";
        memset(item, 'x', rows[i].length);
        char *claims = claims_with_list("rooms", rows[i].count, item);
        char *token = sign_parts(VIEW(HEADER), view_of(claims), SECRET);
        expect_token(hs256(), view_of(token), rows[i].want);
        free(token);
        free(claims);
    }
}
END_TEST

START_TEST(tenant_of_64_characters_and_of_65)
{
    for (int n = 64; n <= 65; n++) {
        char payload[512];
        snprintf(payload, sizeof payload, "{\"tenantId\":\"%0*d\",\"sub\":\"u\",\"role\":[\"a\"]," EXP "}", n,
                 7);
        char *token = sign_parts(VIEW(HEADER), view_of(payload), SECRET);
        expect_token(hs256(), view_of(token), n == 64 ? NULL : "tenantId is empty, too long");
        free(token);
    }
}
END_TEST

/* --- the text of a token --- */

/* H, P and S in a template are the parts of a good token; everything else stands for itself. Before that, the
 * character at `at` (negative: from the end) of one part becomes `put`; 0 cuts the part off there. */
static const struct {
    const char *template;
    char part;
    int at;
    char put;
    const char *want;
} texts[] = {
    {"H.P.S", 0, 0, 0, NULL},
    {"", 0, 0, 0, "there is none"},
    {"..", 0, 0, 0, "base64url"},
    {"H.P.S.", 0, 0, 0, "three parts"},
    {"H.P.S.e30", 0, 0, 0, "three parts"},
    {".H.P.S", 0, 0, 0, "three parts"},
    {"H.P", 0, 0, 0, "three parts"},
    {" H.P.S", 0, 0, 0, "base64url"},
    {"H=.P.S", 0, 0, 0, "base64url"},
    {"H.P==.S", 0, 0, 0, "wrong"}, /* the signature covers the text, so that this comes first */
    {"H.P.", 0, 0, 0, "malformed"},
    {"H.P.S=", 0, 0, 0, "malformed"},
    {"H.P.SAAAA", 0, 0, 0, "malformed"},
    {"H.P.S\n", 0, 0, 0, "malformed"},
    {"H.P.S", 'S', -3, 0, "malformed"},
    {"H.P.S", 'S', -9, '+', "malformed"}, /* the other alphabet */
    {"H.P.S", 'S', -1, 'B', "malformed"}, /* 43 characters leave two bits over, which must be 0 */
    {"H.P.S", 'S', 5, '_', "wrong"},
    {"H.P.S", 'P', 8, '_', "wrong"},
    {"H.S.P", 0, 0, 0, "malformed"},
};

START_TEST(texts_of_tokens)
{
    static const char letters[] = "HPS";
    char *parts[3], *token = sign_parts(VIEW(HEADER), VIEW(CLAIMS), SECRET);
    struct view rest = view_of(token), part;
    struct buf out;
    for (size_t i = 0; view_split(&rest, '.', &part); i++)
        parts[i] = xstrndup(part.p, part.n);
    if (texts[_i].part) {
        char *changed = parts[texts[_i].part == 'P' ? 1 : 2];
        changed[texts[_i].at < 0 ? (int)strlen(changed) + texts[_i].at : texts[_i].at] = texts[_i].put;
    }
    buf_init(&out, 1 << 16);
    for (const char *p = texts[_i].template; *p; p++) {
        const char *at = strchr(letters, *p);
        if (at)
            buf_add_text(&out, parts[at - letters]);
        else
            buf_add_char(&out, *p);
    }
    expect_token(hs256(), buf_view(&out), texts[_i].want);
    buf_free(&out);
    for (size_t i = 0; i < countof(parts); i++)
        free(parts[i]);
    free(token);
}
END_TEST

START_TEST(long_tokens)
{
    for (size_t n = 1000; n <= 100000; n *= 10) {
        char *filler = xcalloc(n + 1, 1), *payload = xcalloc(n + 256, 1);
        memset(filler, 'x', n);
        snprintf(payload, n + 256, "{" USER "," EXP ",\"filler\":\"%s\"}", filler);
        char *token = sign_parts(VIEW(HEADER), view_of(payload), SECRET);
        expect_token(hs256(), view_of(token), n == 1000 ? NULL : "too long");
        free(token);
        free(payload);
        free(filler);
    }
}
END_TEST

START_TEST(invalid_utf8_in_claims)
{
    char *token = sign_parts(VIEW(HEADER), VIEW("{" USER "," EXP ",\"name\":\"\xff\"}"), SECRET);
    expect_token(hs256(), view_of(token), "token: ");
    free(token);
}
END_TEST

/* --- what is read --- */

START_TEST(claims_are_copied)
{
    struct claims claims;
    struct err err;
    struct token_rules *rules = hs256();
    char *token = sign_parts(
        VIEW(HEADER),
        VIEW("{\"tenantId\":\"t_abc123\",\"sub\":\"us\\u00e9r\",\"jti\":\"j-1\",\"role\":[\"agent\","
             "\"admin\"],"
             "\"rooms\":[\"a\",\"b\"],\"teams\":[\"red\"],\"name\":\"Zo\\u00eb\",\"email\":\"z@example.com\","
             "\"phone\":\"+15550100\",\"iat\":1999999999," EXP "}"),
        SECRET);
    ck_assert_msg(token_verify(rules, view_of(token), now_ms, &claims, &err), "%s", err.text);
    free(token);
    token_rules_destroy(rules);
    ck_assert_str_eq(claims.tenant_id, "t_abc123");
    ck_assert_str_eq(claims.sub, "us\xc3\xa9r");
    ck_assert_str_eq(claims.jti, "j-1");
    ck_assert_uint_eq(claims.roles.count, 2);
    ck_assert(claims_have_role(&claims, "admin"));
    ck_assert(claims_have_role(&claims, "agent"));
    ck_assert(!claims_have_role(&claims, "Agent"));
    ck_assert_uint_eq(claims.rooms.count, 2);
    ck_assert_str_eq(claims.rooms.items[1], "b");
    ck_assert_str_eq(claims.teams.items[0], "red");
    ck_assert_str_eq(claims.name, "Zo\xc3\xab");
    ck_assert_str_eq(claims.email, "z@example.com");
    ck_assert_str_eq(claims.phone, "+15550100");
    ck_assert_int_eq(claims.issued_at_s, 1999999999);
    ck_assert_int_eq(claims.expires_at_s, 2000003600);
    claims_release(&claims);
    ck_assert_uint_eq(claims.roles.count, 0);
}
END_TEST

START_TEST(what_is_signed_here_holds_here)
{
    struct err err;
    char *token = token_sign_hs256(SECRET, CLAIMS, &err);
    ck_assert_msg(token != NULL, "%s", err.text);
    expect_token(hs256(), view_of(token), NULL);
    free(token);
    ck_assert(!token_sign_hs256("", CLAIMS, &err));
    ck_assert(!token_sign_hs256(SECRET, "no json", &err));
}
END_TEST

START_TEST(no_fault_repeats_the_token)
{
    struct err err;
    struct claims claims;
    struct token_rules *rules = hs256();
    ck_assert(!token_verify(rules, VIEW("canary-canary.canary-canary.canary"), now_ms, &claims, &err));
    ck_assert(!strstr(err.text, "canary"));
    claims_release(&claims);
    token_rules_destroy(rules);
}
END_TEST

Suite *suite_token(void)
{
    Suite *suite = suite_create("token");
    TCase *tests = tcase_create("token");
    tcase_add_loop_test(tests, signed_tokens, 0, (int)countof(signed_rows));
    tcase_add_test(tests, nul_in_a_name);
    tcase_add_test(tests, lists_and_names_are_capped);
    tcase_add_test(tests, tenant_of_64_characters_and_of_65);
    tcase_add_loop_test(tests, texts_of_tokens, 0, (int)countof(texts));
    tcase_add_test(tests, long_tokens);
    tcase_add_test(tests, invalid_utf8_in_claims);
    tcase_add_test(tests, claims_are_copied);
    tcase_add_test(tests, what_is_signed_here_holds_here);
    tcase_add_test(tests, no_fault_repeats_the_token);
    suite_add_tcase(suite, tests);
    return suite;
}
