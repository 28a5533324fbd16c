#include "tests/unit/token_maker.h"
#include "shared/buf.h"
#include "shared/crypto.h"
#include "shared/mem.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static void add_part(struct buf *out, struct view text)
{
    char *encoded = xcalloc(text.n * 2 + 4, 1);
    crypto_base64url((const unsigned char *)text.p, text.n, encoded);
    buf_add_text(out, encoded);
    free(encoded);
}

char *sign_parts(struct view header, struct view payload, const char *secret)
{
    struct buf out;
    unsigned char mac[SHA256_BYTES];
    buf_init(&out, 1 << 20);
    add_part(&out, header);
    buf_add_char(&out, '.');
    add_part(&out, payload);
    crypto_hmac_sha256(view_of(secret), buf_view(&out), mac);
    buf_add_char(&out, '.');
    add_part(&out, (struct view){(char *)mac, sizeof mac});
    return buf_detach(&out, NULL);
}

struct token_rules *rules_of(struct token_options options)
{
    struct err err;
    struct token_rules *rules = token_rules_create(&options, &err);
    ck_assert_msg(rules != NULL, "%s", err.text);
    return rules;
}

struct token_rules *hs256(void)
{
    return rules_of((struct token_options){.algorithm = "HS256",
                                           .secret = SECRET,
                                           .secret_previous = PREVIOUS,
                                           .issuer = "",
                                           .audience = "",
                                           .leeway_s = 30});
}

void expect_token(struct token_rules *rules, struct view token, const char *want)
{
    struct claims claims;
    struct err err = {0};
    bool holds = token_verify(rules, token, now_ms, &claims, &err);
    ck_assert_msg(holds == (want == NULL), "wanted: %s, got: %s", want ? want : "holds", err.text);
    if (want) {
        ck_assert_int_eq(err.code, ERR_UNAUTHENTICATED);
        ck_assert_msg(strstr(err.text, want), "wanted: %s, got: %s", want, err.text);
    }
    claims_release(&claims);
    token_rules_destroy(rules);
}
