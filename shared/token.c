#include "shared/token.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/map.h"
#include "shared/mem.h"
#include "shared/token_claims.h"
#include <dirent.h>
#include <errno.h>
#include <jwt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KID_MAX = 64, KEY_MAX_BYTES = 16384, KEYS_MAX = 64 };

struct algorithm {
    const char *name;
    jwt_alg_t jwt;
    bool symmetric;
    size_t signature_min, signature_max; /* bytes */
};

static const struct algorithm algorithms[] = {
    {"HS256", JWT_ALG_HS256, true, 32, 32},
    {"RS256", JWT_ALG_RS256, false, 256, 2048},
    {"ES256", JWT_ALG_ES256, false, 64, 64},
};

struct token_rules {
    const struct algorithm *algorithm;
    char *secrets[2]; /* HS256: now and before; NULL: none */
    struct map keys;  /* kid -> char *pem */
    struct claim_rules claims;
};

/* --- making rules --- */

static char *read_key(const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        err_set(err, ERR_INVALID, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *pem = xcalloc(KEY_MAX_BYTES + 1, 1);
    size_t n = fread(pem, 1, KEY_MAX_BYTES, file);
    fclose(file);
    pem[n] = 0;
    return pem;
}

static bool load_key(struct token_rules *rules, const char *directory, struct view kid, struct err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%.*s.pem", directory, VIEW_ARG(kid));
    if (!view_is_name(kid, KID_MAX, "_-"))
        return err_set(err, ERR_INVALID, "%s: a key's file is called <kid>.pem, kid of A-Z a-z 0-9 _ -",
                       path);
    if (rules->keys.count >= KEYS_MAX)
        return err_set(err, ERR_INVALID, "%s: more than %d keys", directory, KEYS_MAX);
    char *pem = read_key(path, err);
    if (!pem)
        return false;
    const char *fits = crypto_key_algorithm(view_of(pem));
    if (!fits || strcmp(fits, rules->algorithm->name) != 0) {
        free(pem);
        return err_set(err, ERR_INVALID, "%s: not a public key for %s", path, rules->algorithm->name);
    }
    free(map_put(&rules->keys, kid, pem));
    return true;
}

static bool load_keys(struct token_rules *rules, const char *directory, struct err *err)
{
    DIR *dir = opendir(directory);
    if (!dir)
        return err_set(err, ERR_INVALID, "public keys in %s: %s", directory, strerror(errno));
    bool fine = true;
    for (struct dirent *entry; fine && (entry = readdir(dir));) {
        size_t n = strlen(entry->d_name);
        if (n > 4 && !strcmp(entry->d_name + n - 4, ".pem"))
            fine = load_key(rules, directory, (struct view){entry->d_name, n - 4}, err);
    }
    closedir(dir);
    if (fine && !rules->keys.count)
        return err_set(err, ERR_INVALID, "public keys in %s: there is no <kid>.pem", directory);
    return fine;
}

static bool set_secrets(struct token_rules *rules, const struct token_options *options, struct err *err)
{
    const char *given[2] = {options->secret, options->secret_previous};
    if (!given[0] || !*given[0])
        return err_set(err, ERR_INVALID, "HS256 needs a secret");
    for (size_t i = 0; i < countof(given); i++) {
        if (!given[i] || !*given[i])
            continue;
        if (strstr(given[i], "-----BEGIN"))
            return err_set(err, ERR_INVALID, "the secret of HS256 is a PEM key: whoever has it could sign");
        rules->secrets[i] = xstrdup(given[i]);
    }
    return true;
}

struct token_rules *token_rules_create(const struct token_options *options, struct err *err)
{
    struct token_rules *rules = xcalloc(1, sizeof *rules);
    map_init(&rules->keys);
    rules->claims.issuer = xstrdup(options->issuer ? options->issuer : "");
    rules->claims.audience = xstrdup(options->audience ? options->audience : "");
    rules->claims.leeway_s = options->leeway_s;
    for (size_t i = 0; i < countof(algorithms); i++)
        if (!strcmp(options->algorithm, algorithms[i].name))
            rules->algorithm = &algorithms[i];
    bool fine;
    if (!rules->algorithm)
        fine = err_set(err, ERR_INVALID, "algorithm must be HS256, RS256 or ES256");
    else if (rules->algorithm->symmetric)
        fine = set_secrets(rules, options, err);
    else
        fine = load_keys(rules, options->public_keys ? options->public_keys : "", err);
    if (fine)
        return rules;
    token_rules_destroy(rules);
    return NULL;
}

void token_rules_destroy(struct token_rules *rules)
{
    if (!rules)
        return;
    void *pem;
    for (size_t at = 0; map_next(&rules->keys, &at, NULL, &pem);)
        free(pem);
    map_free(&rules->keys);
    free(rules->secrets[0]);
    free(rules->secrets[1]);
    free(rules->claims.issuer);
    free(rules->claims.audience);
    free(rules);
}

/* --- verifying --- */

static bool refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_UNAUTHENTICATED, "token: %s", why);
}

struct parts {
    struct view header, payload, signature; /* base64url */
};

static bool split(struct view token, struct parts *out, struct err *err)
{
    struct view rest = token;
    if (!token.n)
        return refuse(err, "there is none");
    if (token.n > TOKEN_MAX_BYTES)
        return refuse(err, "too long");
    if (!view_split(&rest, '.', &out->header) || !view_split(&rest, '.', &out->payload) ||
        !view_split(&rest, '.', &out->signature) || rest.p)
        return refuse(err, "not three parts with dots between them");
    return true;
}

/* Decodes a part into out, which holds TOKEN_MAX_BYTES. */
static bool decode_part(struct view part, unsigned char *out, struct view *decoded)
{
    size_t n;
    if (!part.n || !crypto_unbase64url(part, out, &n))
        return false;
    *decoded = (struct view){(const char *)out, n};
    return true;
}

static bool decode_object(struct view part, const char *what, unsigned char *out, struct view *object,
                          struct err *err)
{
    struct view text;
    if (!decode_part(part, out, &text))
        return err_set(err, ERR_UNAUTHENTICATED, "token: %s not base64url", what);
    if (!json_check(text, JSON_STRICT, object, NULL) || json_type(*object) != JSON_OBJECT)
        return err_set(err, ERR_UNAUTHENTICATED, "token: %s not a JSON object", what);
    return true;
}

/* "at+jwt" (RFC 9068) would be as good, but libjwt refuses every other type than this one. */
static bool type_accepted(struct view typ)
{
    struct view plain;
    return !typ.n || (json_plain_string(typ, &plain) && view_is_nocase(plain, "JWT"));
}

/* The key that the header names, or the only one. */
static bool choose_key(const struct token_rules *rules, struct view kid, const char **pem, struct err *err)
{
    char name[KID_MAX + 1];
    void *found = NULL;
    if (!kid.n) {
        size_t at = 0;
        if (rules->keys.count != 1)
            return refuse(err, "has no kid");
        if (map_next(&rules->keys, &at, NULL, &found))
            *pem = found;
        return true;
    }
    if (!json_copy_string(kid, name, sizeof name) || !view_is_name(view_of(name), KID_MAX, "_-"))
        return refuse(err, "its kid is none");
    *pem = map_get(&rules->keys, view_of(name));
    return *pem || refuse(err, "its kid is not known");
}

static bool check_header(const struct token_rules *rules, struct view part, const char **pem, struct err *err)
{
    enum { ALG, TYP, KID, CRIT, FIELDS };
    static const char *const names[FIELDS] = {"alg", "typ", "kid", "crit"};
    unsigned char bytes[TOKEN_MAX_BYTES];
    struct view header, field[FIELDS];
    if (!decode_object(part, "its header is", bytes, &header, err))
        return false;
    if (!members_read(header, names, FIELDS, field))
        return refuse(err, "its header says something twice");
    if (field[CRIT].n)
        return refuse(err, "asks for extensions (crit) that are not known here");
    if (json_type(field[ALG]) != JSON_STRING || !json_string_is(field[ALG], rules->algorithm->name))
        return refuse(err, "signed with another algorithm than the configured one");
    if (!type_accepted(field[TYP]))
        return refuse(err, "of another type than JWT");
    return rules->algorithm->symmetric || choose_key(rules, field[KID], pem, err);
}

/* Whether libjwt finds the signature right. It accepts anything when it is called without a key. A token that
 * nobody could look at is not a wrong one: clients give up when they hear that. */
static bool signed_with(const struct token_rules *rules, const char *token, const char *key)
{
    jwt_t *jwt = NULL;
    if (!key || !*key)
        return false;
    errno = 0;
    bool fine = jwt_decode(&jwt, token, (const unsigned char *)key, (int)strlen(key)) == 0 &&
                jwt_get_alg(jwt) == rules->algorithm->jwt;
    if (!fine && errno == ENOMEM)
        mem_exhausted();
    jwt_free(jwt);
    return fine;
}

static bool check_signature(const struct token_rules *rules, struct view token, struct view signature,
                            const char *pem, struct err *err)
{
    unsigned char bytes[TOKEN_MAX_BYTES];
    struct view decoded;
    if (!decode_part(signature, bytes, &decoded) || decoded.n < rules->algorithm->signature_min ||
        decoded.n > rules->algorithm->signature_max)
        return refuse(err, "its signature is malformed");
    char *text = xstrndup(token.p, token.n);
    bool fine = rules->algorithm->symmetric ? signed_with(rules, text, rules->secrets[0]) ||
                                                  signed_with(rules, text, rules->secrets[1])
                                            : signed_with(rules, text, pem);
    free(text);
    return fine || refuse(err, "its signature is wrong");
}

bool token_verify(const struct token_rules *rules, struct view token, int64_t now_wall_ms,
                  struct claims *claims, struct err *err)
{
    unsigned char bytes[TOKEN_MAX_BYTES];
    struct parts parts;
    struct view payload;
    const char *pem = NULL;
    *claims = (struct claims){0};
    if (!split(token, &parts, err) || !check_header(rules, parts.header, &pem, err) ||
        !check_signature(rules, token, parts.signature, pem, err))
        return false;
    return decode_object(parts.payload, "its claims are", bytes, &payload, err) &&
           claims_read(&rules->claims, payload, now_wall_ms, claims, err);
}

char *token_sign_hs256(const char *secret, const char *claims_json, struct err *err)
{
    jwt_t *jwt = NULL;
    char *token = NULL;
    if (!*secret)
        err_set(err, ERR_INVALID, "a token cannot be signed without a secret");
    else if (jwt_new(&jwt) ||
             jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret, (int)strlen(secret)) ||
             jwt_add_grants_json(jwt, claims_json))
        err_set(err, ERR_INVALID, "the claims are not a JSON object");
    else if (!(token = jwt_encode_str(jwt)))
        err_set(err, ERR_INTERNAL, "the token could not be signed");
    jwt_free(jwt);
    return token;
}
