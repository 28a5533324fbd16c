#include "portalctl/command.h"
#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/token.h"
#include <stdlib.h>

enum { CLAIMS_MAX = 16384 };

static void put_list(struct json_writer *w, const char *key, const struct words *words)
{
    if (!words->count)
        return;
    jw_key(w, key);
    jw_begin(w, '[');
    for (size_t i = 0; i < words->count; i++)
        jw_text(w, view_of(words->items[i]));
    jw_end(w, ']');
}

static void put_text(struct json_writer *w, const char *key, const char *text)
{
    if (text && *text)
        jw_key_text(w, key, text);
}

static void put_claims(struct buf *out, const struct settings *settings, const struct identity *who)
{
    int64_t now_s = clock_wall_ms() / 1000;
    char jti[32];
    struct json_writer w;
    crypto_random_id("", jti);
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "tenantId", who->tenant);
    jw_key_text(&w, "sub", who->user);
    put_list(&w, "role", &who->roles);
    put_list(&w, "rooms", &who->rooms);
    put_list(&w, "teams", &who->teams);
    put_text(&w, "name", who->name);
    put_text(&w, "iss", settings->jwt_issuer);
    put_text(&w, "aud", settings->jwt_audience);
    jw_key_text(&w, "jti", jti);
    jw_key_i64(&w, "iat", now_s);
    jw_key_i64(&w, "exp", now_s + who->ttl_s);
    jw_end(&w, '}');
}

/* Better here than as a 401 later. */
static bool is_usable(const struct settings *settings, const char *token, struct err *err)
{
    struct claims claims = {0};
    struct token_options options = {.algorithm = "HS256",
                                    .secret = settings->jwt_secret,
                                    .issuer = settings->jwt_issuer,
                                    .audience = settings->jwt_audience};
    struct token_rules *rules = token_rules_create(&options, err);
    bool usable = rules && token_verify(rules, view_of(token), clock_wall_ms(), &claims, err);
    claims_release(&claims);
    token_rules_destroy(rules);
    return usable;
}

char *identity_token(const struct settings *settings, const char *command, const struct identity *identity)
{
    struct err err = {0};
    struct buf claims;
    if (!*settings->jwt_secret) {
        usage_error(command, "JWT_SECRET is not set");
        return NULL;
    }
    buf_init(&claims, CLAIMS_MAX);
    put_claims(&claims, settings, identity);
    char *token = token_sign_hs256(settings->jwt_secret, buf_view(&claims).p, &err);
    buf_free(&claims);
    if (token && is_usable(settings, token, &err))
        return token;
    free(token);
    usage_error(command, "%s", err.text);
    return NULL;
}
