/*
 * Tokens. The first byte chooses: 'p' takes the rest as a payload and signs it rightly, so that the reading
 * of claims is reached; anything else is a token as it is, which only holds when its maker knew the secret.
 */
#include "shared/token.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>

#define SECRET "fuzz-secret-0123456789abcdef-0123456789"
enum { NOW_S = 1800000000 };

static const struct token_rules *rules(void)
{
    static struct token_rules *made;
    const struct token_options options = {.algorithm = "HS256",
                                          .secret = SECRET,
                                          .secret_previous = "",
                                          .public_keys = "",
                                          .issuer = "",
                                          .audience = ""};
    if (!made)
        made = token_rules_create(&options, NULL);
    MUST(made);
    return made;
}

static void check(struct view token)
{
    struct claims claims;
    struct err err = {0};
    if (token_verify(rules(), token, NOW_S * INT64_C(1000), &claims, &err)) {
        MUST(*claims.tenant_id && view_is_name(view_of(claims.tenant_id), TENANT_ID_MAX, "_-"));
        MUST(claims.expires_at_s > NOW_S && claims.roles.count <= TOKEN_LIST_MAX);
    } else
        MUST(err.code == ERR_UNAUTHENTICATED);
    claims_release(&claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || data[0] != 'p') {
        check(fuzz_input(data, size));
        return 0;
    }
    char *payload = strndup((const char *)data + 1, size - 1);
    MUST(payload);
    char *token = token_sign_hs256(SECRET, payload, NULL);
    if (token)
        check(view_of(token));
    free(token);
    free(payload);
    return 0;
}
