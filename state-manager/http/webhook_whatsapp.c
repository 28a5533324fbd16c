/*
 * Webhooks of WhatsApp's Cloud API (facts page, section 1): the challenge, and signed events. What is signed
 * is kept, whatever it is; only what we could not make durable is answered with an error, so that it is sent
 * again.
 */
#include "shared/crypto.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "state-manager/core/whatsapp.h"
#include "state-manager/http/handlers.h"
#include "state-manager/meters.h"
#include <string.h>

enum { CHALLENGE_MAX = 256 };

static bool same_secret(const char *expected, const char *given)
{
    size_t n = strlen(expected);
    return n && strlen(given) == n && crypto_equal(expected, given, n);
}

void webhook_challenge(struct call *c)
{
    char mode[16], token[256], challenge[CHALLENGE_MAX + 1];
    struct err err;
    bool asked = request_query(c->request, "hub.mode", mode, sizeof mode) && !strcmp(mode, "subscribe") &&
                 request_query(c->request, "hub.challenge", challenge, sizeof challenge) &&
                 view_is_name(view_of(challenge), CHALLENGE_MAX, "_-");
    if (asked && request_query(c->request, "hub.verify_token", token, sizeof token) &&
        same_secret(c->api->settings->webhook_verify_token, token)) {
        api_answer(c, 200, "text/plain", view_of(challenge));
        return;
    }
    err_set(&err, asked ? ERR_DENIED : ERR_MALFORMED,
            asked ? "the verify token is another"
                  : "hub.mode, hub.challenge and hub.verify_token are needed");
    api_fail(c, &err);
}

static bool signed_with(const char *secret, struct view body, const unsigned char *signature)
{
    unsigned char expected[SHA256_BYTES];
    if (!*secret)
        return false;
    crypto_hmac_sha256(view_of(secret), body, expected);
    return crypto_equal(expected, signature, sizeof expected);
}

/* HMAC-SHA256 over the bytes as received; two secrets while one is being replaced. */
static bool check_signature(struct call *c, struct err *err)
{
    static const char scheme[] = "sha256=";
    unsigned char signature[SHA256_BYTES];
    struct view header = request_header(c->request, "x-hub-signature-256");
    if (!header.n)
        return err_set(err, ERR_UNAUTHENTICATED, "no X-Hub-Signature-256");
    struct view hex = {header.p + sizeof scheme - 1, header.n - (sizeof scheme - 1)};
    if (!view_starts(header, scheme) || !crypto_unhex(hex, signature, sizeof signature))
        return err_set(err, ERR_DENIED, "X-Hub-Signature-256 is not sha256= and 64 hex digits");
    const struct settings *s = c->api->settings;
    bool ok = signed_with(s->webhook_app_secret, c->request->body, signature) ||
              signed_with(s->webhook_app_secret_previous, c->request->body, signature);
    return ok || err_set(err, ERR_DENIED, "the signature does not fit the body");
}

void webhook_receive(struct call *c)
{
    struct err err;
    if (c->request->body.n > (size_t)c->api->settings->max_webhook_bytes)
        err_set(&err, ERR_TOO_LARGE, "the body is over %lld bytes",
                (long long)c->api->settings->max_webhook_bytes);
    else if (check_signature(c, &err)) {
        struct job *job = job_create(JOB_WEBHOOK, c->request->id);
        job->body = xstrndup(c->request->body.p, c->request->body.n);
        job->body_n = c->request->body.n;
        api_submit(c, job, whatsapp_peek_channel(c->request->body));
        return;
    }
    count(METER_WEBHOOKS_REFUSED, 1);
    log_debug("webhook_refused", "address=%s text=\"%s\"", c->request->address, err.text);
    api_fail(c, &err);
}
