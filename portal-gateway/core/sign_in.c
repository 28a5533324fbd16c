/* Who is calling: from a token to a session that its tenant knows. */
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/session.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdlib.h>

enum { REFUSAL_MS = 1000 };

static const struct rate refused_at_once = {.per_second = 100, .at_once = 200};

static const struct {
    const char *code, *text;
} refusals[] = {
#define X(id, code, text) {code, text},
    REFUSALS(X)
#undef X
};

const char *refusal_code(enum refusal why)
{
    return refusals[why].code;
}

const char *refusal_text(enum refusal why)
{
    return refusals[why].text;
}

static void refuse(struct session *s, enum refusal why, enum refusal *out, const char *detail)
{
    meter_add(AUTH_FAILED, 1);
    log_info("sign_in_refused", "session=%s protocol=%s code=%s why=\"%s\"", s->id, s->protocol->name,
             refusals[why].code, detail);
    *out = why;
}

void session_refuse(struct session *s, enum refusal why, void (*tell)(struct session *s, enum refusal why))
{
    struct hub *h = s->hub;
    int64_t now = loop_now_ms(h->loop);
    if (rate_take(&refused_at_once, &h->refusals, 1, now)) {
        tell(s, why);
        return;
    }
    s->refusal = why;
    s->tell_refusal = tell;
    session_set_due(s, DUE_REFUSAL, now + REFUSAL_MS);
    if (s->ops->slow)
        s->ops->slow(s->link, true);
}

struct claims *session_verify(struct session *s, struct view token, enum refusal *why)
{
    struct err err = {0};
    int64_t now = clock_wall_ms();
    if (!token.n) {
        refuse(s, REFUSAL_TOKEN_MISSING, why, "");
        return NULL;
    }
    struct claims *claims = xcalloc(1, sizeof *claims);
    if (token_verify(s->hub->rules, token, now, claims, &err))
        return claims;
    bool expired = claims->expires_at_s && claims->expires_at_s * 1000 <= now;
    claims_release(claims);
    free(claims);
    refuse(s, expired ? REFUSAL_TOKEN_EXPIRED : REFUSAL_TOKEN_INVALID, why, err.text);
    return NULL;
}

static void remember_claims(struct session *s, const struct claims *claims)
{
    struct buf text;
    buf_init(&text, TOKEN_MAX_BYTES * 6);
    claims_write(claims, &text);
    free(s->who);
    s->who = buf_detach(&text, NULL);
}

void session_take_token(struct session *s, const struct claims *claims)
{
    free(s->jti);
    s->jti = *claims->jti ? xstrdup(claims->jti) : NULL;
    s->issued_ms = claims->issued_at_s * 1000;
    if (s->hub->policy->profiles)
        remember_claims(s, claims);
    s->expires_wall_ms = claims->expires_at_s * 1000;
    int64_t left = s->expires_wall_ms - clock_wall_ms(), mono = loop_now_ms(s->hub->loop);
    session_set_due(s, DUE_TOKEN_EXPIRY, mono + left);
}

bool session_sign_in(struct session *s, struct view token, enum refusal *why)
{
    if (!token.n && s->token)
        token = view_of(s->token);
    struct claims *claims = session_verify(s, token, why);
    if (!claims)
        return false;
    s->claims = claims;
    s->sub = xstrdup(claims->sub);
    session_take_token(s, claims);
    hub_admit(s->hub, s);
    return true;
}
