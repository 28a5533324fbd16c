/*
 * For the suites about tokens: makes HS256 tokens by hand, so that a token can be right in everything but the
 * one thing that a test is about, and says what token_verify() must make of them.
 */
#ifndef TESTS_UNIT_TOKEN_MAKER_H
#define TESTS_UNIT_TOKEN_MAKER_H

#include "shared/token.h"
#include "shared/view.h"

#define SECRET   "a-secret-of-the-unit-tests-7kQ2"
#define PREVIOUS "the-secret-that-was-in-use-before"
#define HEADER   "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define USER     "\"tenantId\":\"t_abc123\",\"sub\":\"u1\",\"role\":\"agent\""
#define EXP      "\"exp\":2000003600"
#define CLAIMS   "{" USER "," EXP "}"

/* 2033-05-18T03:33:20Z */
static const int64_t now_ms = 2000000000000;

/* A compact token; the caller frees. */
char *sign_parts(struct view header, struct view payload, const char *secret);
struct token_rules *rules_of(struct token_options options);
/* The usual rules: SECRET and PREVIOUS, 30 s leeway. */
struct token_rules *hs256(void);
/* want NULL: it holds; else a part of what is said. Frees rules. */
void expect_token(struct token_rules *rules, struct view token, const char *want);

#endif
