#include "shared/token_claims.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
    PERSONAL_MAX = 256, /* bytes of name, email, phone */
    NUMBER_MAX = 32     /* characters of a time */
};

/* Later is a mistake, usually milliseconds. */
static const int64_t last_second = 253402300799; /* 9999-12-31T23:59:59Z */

enum { ISS, SUB, AUD, EXP, NBF, IAT, JTI, TENANT_ID, ROLE, ROOMS, TEAMS, NAME, EMAIL, PHONE, CLAIMS };
static const char *const claim_names[CLAIMS] = {"iss",   "sub",  "aud",      "exp",  "nbf",
                                                "iat",   "jti",  "tenantId", "role", "rooms",
                                                "teams", "name", "email",    "phone"};

static bool refuse(struct err *err, const char *claim, const char *why)
{
    return err_set(err, ERR_UNAUTHENTICATED, "token: %s %s", claim, why);
}

bool members_read(struct view object, const char *const names[], size_t count, struct view values[])
{
    struct view key, value;
    memset(values, 0, count * sizeof *values);
    for (struct json_iter it = json_iter(object); json_next_member(&it, &key, &value);)
        for (size_t i = 0; i < count; i++) {
            if (!json_string_is(key, names[i]))
                continue;
            if (values[i].n)
                return false;
            values[i] = value;
        }
    return true;
}

static bool absent(struct view value)
{
    return !value.n || json_type(value) == JSON_NULL;
}

/* --- times --- */

/* NumericDate: seconds, perhaps with a fraction, which is cut off. */
static bool read_time(struct view value, const char *claim, int64_t *seconds, struct err *err)
{
    char text[NUMBER_MAX + 1];
    if (json_type(value) != JSON_NUMBER || !view_copy(value, text, sizeof text))
        return refuse(err, claim, "is not a number");
    double number = strtod(text, NULL);
    if (!(number >= 0 && number <= (double)last_second))
        return refuse(err, claim, "is out of range");
    *seconds = (int64_t)number;
    return true;
}

static bool check_start(const struct claim_rules *rules, struct view value, const char *claim,
                        int64_t now_wall_ms, int64_t *seconds, struct err *err)
{
    if (!value.n)
        return true;
    if (!read_time(value, claim, seconds, err))
        return false;
    if (*seconds * 1000 > now_wall_ms + (int64_t)rules->leeway_s * 1000)
        return refuse(err, claim, "is in the future");
    return true;
}

static bool check_times(const struct claim_rules *rules, const struct view value[CLAIMS], int64_t now_wall_ms,
                        struct claims *claims, struct err *err)
{
    int64_t not_before_s;
    if (!value[EXP].n)
        return refuse(err, "exp", "is missing");
    if (!read_time(value[EXP], "exp", &claims->expires_at_s, err))
        return false;
    if (claims->expires_at_s * 1000 <= now_wall_ms)
        return err_set(err, ERR_UNAUTHENTICATED, "token: expired");
    return check_start(rules, value[NBF], "nbf", now_wall_ms, &not_before_s, err) &&
           check_start(rules, value[IAT], "iat", now_wall_ms, &claims->issued_at_s, err);
}

/* --- who made it, and for whom --- */

static bool is_string(struct view value, const char *text)
{
    char copy[PERSONAL_MAX + 1];
    return json_copy_string(value, copy, sizeof copy) && !strcmp(copy, text);
}

static bool names_audience(struct view value, const char *audience)
{
    struct view element;
    if (json_type(value) == JSON_STRING)
        return is_string(value, audience);
    for (struct json_iter it = json_iter(value); json_next_element(&it, &element);)
        if (is_string(element, audience))
            return true;
    return false;
}

static bool check_parties(const struct claim_rules *rules, const struct view value[CLAIMS], struct err *err)
{
    if (*rules->issuer && !is_string(value[ISS], rules->issuer))
        return refuse(err, "iss", "is not the configured issuer");
    if (*rules->audience &&
        (json_type(value[AUD]) == JSON_OBJECT || !names_audience(value[AUD], rules->audience)))
        return refuse(err, "aud", "does not name the configured audience");
    return true;
}

/* --- the user --- */

static bool read_id(struct view value, const char *claim, char *out, size_t size, struct err *err)
{
    if (json_type(value) != JSON_STRING)
        return refuse(err, claim, value.n ? "is not a string" : "is missing");
    if (!json_copy_string(value, out, size) || !*out)
        return refuse(err, claim, "is empty, too long or holds U+0000");
    return true;
}

static bool add_item(struct token_list *list, struct view value, const char *claim, struct err *err)
{
    char text[TOKEN_NAME_MAX + 1];
    if (list->count == TOKEN_LIST_MAX)
        return refuse(err, claim, "has too many entries");
    if (!read_id(value, claim, text, sizeof text, err))
        return false;
    list->items[list->count++] = xstrdup(text);
    return true;
}

static bool read_list(struct view value, const char *claim, struct token_list *list, struct err *err)
{
    struct view element;
    if (absent(value))
        return true;
    if (json_type(value) != JSON_ARRAY)
        return refuse(err, claim, "is not an array of strings");
    for (struct json_iter it = json_iter(value); json_next_element(&it, &element);)
        if (!add_item(list, element, claim, err))
            return false;
    return true;
}

static bool read_roles(struct view value, struct token_list *roles, struct err *err)
{
    if (absent(value))
        return refuse(err, "role", "is missing");
    return json_type(value) == JSON_ARRAY ? read_list(value, "role", roles, err)
                                          : add_item(roles, value, "role", err);
}

static bool read_personal(struct view value, const char *claim, char **out, struct err *err)
{
    char text[PERSONAL_MAX + 1];
    if (absent(value))
        return true;
    if (!json_copy_string(value, text, sizeof text))
        return refuse(err, claim, "is not a string, too long or holds U+0000");
    *out = xstrdup(text);
    return true;
}

static bool read_tenant(struct view value, struct claims *claims, struct err *err)
{
    if (!read_id(value, "tenantId", claims->tenant_id, sizeof claims->tenant_id, err))
        return false;
    if (!view_is_name(view_of(claims->tenant_id), TENANT_ID_MAX, "_-"))
        return refuse(err, "tenantId", "has other characters than A-Z a-z 0-9 _ -");
    return true;
}

static bool read_user(const struct view value[CLAIMS], struct claims *claims, struct err *err)
{
    if (!absent(value[JTI]) && !read_id(value[JTI], "jti", claims->jti, sizeof claims->jti, err))
        return false;
    return read_tenant(value[TENANT_ID], claims, err) &&
           read_id(value[SUB], "sub", claims->sub, sizeof claims->sub, err) &&
           read_roles(value[ROLE], &claims->roles, err) &&
           read_list(value[ROOMS], "rooms", &claims->rooms, err) &&
           read_list(value[TEAMS], "teams", &claims->teams, err) &&
           read_personal(value[NAME], "name", &claims->name, err) &&
           read_personal(value[EMAIL], "email", &claims->email, err) &&
           read_personal(value[PHONE], "phone", &claims->phone, err);
}

bool claims_read(const struct claim_rules *rules, struct view payload, int64_t now_wall_ms,
                 struct claims *claims, struct err *err)
{
    struct view value[CLAIMS];
    if (!members_read(payload, claim_names, CLAIMS, value))
        return err_set(err, ERR_UNAUTHENTICATED, "token: a claim stands in it twice");
    return check_times(rules, value, now_wall_ms, claims, err) && check_parties(rules, value, err) &&
           read_user(value, claims, err);
}

static void release_list(struct token_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    list->count = 0;
}

void claims_release(struct claims *claims)
{
    release_list(&claims->roles);
    release_list(&claims->rooms);
    release_list(&claims->teams);
    free(claims->name);
    free(claims->email);
    free(claims->phone);
    *claims = (struct claims){0};
}

bool claims_have_role(const struct claims *claims, const char *role)
{
    for (size_t i = 0; i < claims->roles.count; i++)
        if (!strcmp(claims->roles.items[i], role))
            return true;
    return false;
}

/* --- written again --- */

static void put_given(struct json_writer *w, const char *key, const char *text)
{
    if (text)
        jw_key_text(w, key, text);
}

void claims_write(const struct claims *claims, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "tenantId", claims->tenant_id);
    jw_key_text(&w, "sub", claims->sub);
    put_given(&w, "role", claims->roles.count ? claims->roles.items[0] : NULL);
    jw_key(&w, "roles");
    jw_begin(&w, '[');
    for (size_t i = 0; i < claims->roles.count; i++)
        jw_text(&w, view_of(claims->roles.items[i]));
    jw_end(&w, ']');
    put_given(&w, "name", claims->name);
    put_given(&w, "email", claims->email);
    put_given(&w, "phone", claims->phone);
    jw_end(&w, '}');
}
