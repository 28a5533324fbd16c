/* Secrets, keys and parties of tokens. Those of RS256 and ES256 lie in tests/golden/keys with the public
 * halves of their keys, made by `openssl genrsa`, `openssl ecparam -genkey` and `openssl dgst -sign`. */
#include "shared/token.h"
#include "shared/worker.h"
#include "tests/unit/suites.h"
#include "tests/unit/token_maker.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS "tests/golden/keys/"

/* --- secrets and keys --- */

START_TEST(secrets_now_and_before)
{
    static const struct {
        const char *secret, *want;
    } rows[] = {{SECRET, NULL}, {PREVIOUS, NULL}, {"another-secret", "wrong"}, {"", "wrong"}};
    for (size_t i = 0; i < countof(rows); i++) {
        char *token = sign_parts(VIEW(HEADER), VIEW(CLAIMS), rows[i].secret);
        expect_token(hs256(), view_of(token), rows[i].want);
        free(token);
    }
}
END_TEST

START_TEST(no_previous_secret_is_not_an_empty_one)
{
    char *token = sign_parts(VIEW(HEADER), VIEW(CLAIMS), "");
    expect_token(
        rules_of((struct token_options){.algorithm = "HS256", .secret = SECRET, .secret_previous = ""}),
        view_of(token), "wrong");
    free(token);
}
END_TEST

static struct view read_file(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    size_t n = fread(out, 1, size, file);
    fclose(file);
    return (struct view){out, n};
}

static struct token_rules *public_keys(const char *algorithm, const char *directory)
{
    return rules_of((struct token_options){.algorithm = algorithm, .public_keys = directory});
}

static const struct {
    const char *algorithm, *keys, *token, *want;
} key_rows[] = {
    {"RS256", KEYS "rs256", KEYS "rs256-kid.jwt", NULL},
    {"RS256", KEYS "rs256", KEYS "rs256-no-kid.jwt", NULL},
    {"RS256", KEYS "rs256-two", KEYS "rs256-kid.jwt", NULL},
    {"RS256", KEYS "rs256-two", KEYS "rs256-next.jwt", NULL},
    {"RS256", KEYS "rs256-two", KEYS "rs256-no-kid.jwt", "no kid"},
    {"RS256", KEYS "rs256", KEYS "rs256-next.jwt", "kid is not known"},
    {"RS256", KEYS "rs256", KEYS "rs256-kid-unknown.jwt", "kid is not known"},
    {"RS256", KEYS "rs256", KEYS "rs256-kid-path.jwt", "kid is none"},
    {"RS256", KEYS "rs256", KEYS "rs256-kid-number.jwt", "kid is none"},
    {"RS256", KEYS "rs256", KEYS "rs256-other-key.jwt", "signature is wrong"},
    {"RS256", KEYS "rs256-two", KEYS "rs256-other-key.jwt", "signature is wrong"},
    {"RS256", KEYS "rs256", KEYS "rs256-access-token.jwt", "another type"},
    {"RS256", KEYS "rs256", KEYS "rs384.jwt", "another algorithm"},
    {"RS256", KEYS "rs256", KEYS "es256-kid.jwt", "another algorithm"},
    {"ES256", KEYS "es256", KEYS "es256-kid.jwt", NULL},
    {"ES256", KEYS "es256", KEYS "es256-no-kid.jwt", NULL},
    {"ES256", KEYS "es256", KEYS "rs256-kid.jwt", "another algorithm"},
};

START_TEST(tokens_signed_with_keys)
{
    char bytes[TOKEN_MAX_BYTES];
    expect_token(public_keys(key_rows[_i].algorithm, key_rows[_i].keys),
                 read_file(key_rows[_i].token, bytes, sizeof bytes), key_rows[_i].want);
}
END_TEST

START_TEST(public_key_as_a_secret)
{
    /* The classic: whoever knows the public key signs HS256 with it. */
    char pem[4096] = "";
    read_file(KEYS "rs256/main.pem", pem, sizeof pem - 1);
    static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"main\"}",
                                          "{\"alg\":\"RS256\",\"kid\":\"main\"}"};
    static const char *const wants[] = {"another algorithm", "malformed"};
    for (size_t i = 0; i < countof(headers); i++) {
        char *token = sign_parts(view_of(headers[i]), VIEW(CLAIMS), pem);
        expect_token(public_keys("RS256", KEYS "rs256"), view_of(token), wants[i]);
        free(token);
    }
}
END_TEST

static const struct {
    struct token_options options;
    const char *fault;
} bad_rules[] = {
    {{.algorithm = "HS256", .secret = ""}, "needs a secret"},
    {{.algorithm = "HS256"}, "needs a secret"},
    {{.algorithm = "HS256", .secret = "-----BEGIN PUBLIC KEY-----\nMIIB"}, "PEM"},
    {{.algorithm = "HS256", .secret = SECRET, .secret_previous = "x-----BEGIN PUBLIC KEY-----"}, "PEM"},
    {{.algorithm = "none", .secret = SECRET}, "algorithm must be"},
    {{.algorithm = "hs256", .secret = SECRET}, "algorithm must be"},
    {{.algorithm = "RS256", .secret = SECRET}, "public keys in"},
    {{.algorithm = "RS256", .public_keys = KEYS "missing"}, "No such file"},
    {{.algorithm = "RS256", .public_keys = KEYS}, "no <kid>.pem"},
    {{.algorithm = "RS256", .public_keys = KEYS "wrong-type"}, "main.pem: not a public key for RS256"},
    {{.algorithm = "RS256", .public_keys = KEYS "too-small"}, "not a public key for RS256"},
    {{.algorithm = "ES256", .public_keys = KEYS "wrong-curve"}, "not a public key for ES256"},
    {{.algorithm = "ES256", .public_keys = KEYS "rs256"}, "not a public key for ES256"},
};

START_TEST(rules_that_cannot_be)
{
    struct err err = {0};
    ck_assert(!token_rules_create(&bad_rules[_i].options, &err));
    ck_assert_msg(strstr(err.text, bad_rules[_i].fault), "%s", err.text);
}
END_TEST

/* --- issuer, audience --- */

static const struct {
    const char *issuer, *audience, *claims, *want;
} parties[] = {
    {"https://id.example", "", "\"iss\":\"https://id.example\"", NULL},
    {"https://id.example", "", "\"iss\":\"https://id.example/\"", "iss"},
    {"https://id.example", "", "\"iss\":[\"https://id.example\"]", "iss"},
    {"https://id.example", "", "\"x\":1", "iss"},
    {"", "portal", "\"aud\":\"portal\"", NULL},
    {"", "portal", "\"aud\":[\"other\",\"portal\"]", NULL},
    {"", "portal", "\"aud\":[]", "aud"},
    {"", "portal", "\"aud\":[[\"portal\"]]", "aud"},
    {"", "portal", "\"aud\":\"portals\"", "aud"},
    {"", "portal", "\"aud\":{\"0\":\"portal\"}", "aud"},
    {"", "portal", "\"x\":1", "aud"},
    {"", "", "\"iss\":\"anybody\",\"aud\":\"anything\"", NULL},
};

START_TEST(issuer_and_audience)
{
    char payload[512];
    snprintf(payload, sizeof payload, "{" USER "," EXP ",%s}", parties[_i].claims);
    char *token = sign_parts(VIEW(HEADER), view_of(payload), SECRET);
    expect_token(rules_of((struct token_options){.algorithm = "HS256",
                                                 .secret = SECRET,
                                                 .issuer = parties[_i].issuer,
                                                 .audience = parties[_i].audience}),
                 view_of(token), parties[_i].want);
    free(token);
}
END_TEST

struct shared_rules {
    struct token_rules *rules;
    char *good, *bad;
    _Atomic int wrong;
};

static void verify_many(struct worker *worker, void *ctx)
{
    (void)worker;
    struct shared_rules *s = ctx;
    for (int i = 0; i < 300; i++) {
        struct claims claims;
        bool good = token_verify(s->rules, view_of(s->good), now_ms, &claims, NULL);
        claims_release(&claims);
        bool bad = token_verify(s->rules, view_of(s->bad), now_ms, &claims, NULL);
        claims_release(&claims);
        s->wrong += !good || bad;
    }
}

START_TEST(threads_share_rules)
{
    struct shared_rules s = {.rules = hs256(),
                             .good = sign_parts(VIEW(HEADER), VIEW(CLAIMS), PREVIOUS),
                             .bad = sign_parts(VIEW(HEADER), VIEW(CLAIMS), "other")};
    struct worker *workers[4];
    for (size_t i = 0; i < countof(workers); i++)
        workers[i] = worker_start("verify", verify_many, &s);
    for (size_t i = 0; i < countof(workers); i++)
        worker_destroy(workers[i]);
    ck_assert_int_eq(s.wrong, 0);
    free(s.good);
    free(s.bad);
    token_rules_destroy(s.rules);
}
END_TEST

Suite *suite_token_keys(void)
{
    Suite *suite = suite_create("token_keys");
    TCase *tests = tcase_create("token_keys");
    tcase_add_test(tests, secrets_now_and_before);
    tcase_add_test(tests, no_previous_secret_is_not_an_empty_one);
    tcase_add_loop_test(tests, tokens_signed_with_keys, 0, (int)countof(key_rows));
    tcase_add_test(tests, public_key_as_a_secret);
    tcase_add_loop_test(tests, rules_that_cannot_be, 0, (int)countof(bad_rules));
    tcase_add_loop_test(tests, issuer_and_audience, 0, (int)countof(parties));
    tcase_add_test(tests, threads_share_rules);
    suite_add_tcase(suite, tests);
    return suite;
}
