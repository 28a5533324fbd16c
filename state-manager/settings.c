#include "state-manager/settings.h"
#include <string.h>

const struct config_row settings_rows[] = {
    CONFIG_TEXT_ROW("STATE_MANAGER_HOST", host, "127.0.0.1", 0, "address to listen on"),
    CONFIG_NUMBER_ROW("STATE_MANAGER_PORT", port, "3010", 1, 65535, "port to listen on"),
    CONFIG_TEXT_ROW("STORE_URL", store_url, "sqlite:var/portalcast.db", 0,
                    "where the state lives: sqlite:PATH or mongodb://HOST/DATABASE"),
    CONFIG_TEXT_ROW("AMQP_URL", amqp_url, "amqp://guest:guest@127.0.0.1:5672/", 0,
                    "RabbitMQ, amqp:// or amqps://"),
    CONFIG_TEXT_ROW("EVENTS_EXCHANGE", events_exchange, "waba.agent-portal.events", 0,
                    "topic exchange of the events"),
    CONFIG_TEXT_ROW("PROFILE", profile, "agent-portal", 0,
                    "what runs here: names of profiles or paths of their files, comma-separated"),
    CONFIG_TEXT_ROW("WEBHOOK_APP_SECRET", webhook_app_secret, "", CONFIG_SECRET | CONFIG_REQUIRED,
                    "signs webhooks (X-Hub-Signature-256)"),
    CONFIG_TEXT_ROW("WEBHOOK_APP_SECRET_PREVIOUS", webhook_app_secret_previous, "", CONFIG_SECRET,
                    "accepted too, while the secret is rotated"),
    CONFIG_TEXT_ROW("WEBHOOK_VERIFY_TOKEN", webhook_verify_token, "", CONFIG_SECRET,
                    "hub.verify_token of the challenge"),
    CONFIG_TEXT_ROW("JWT_SECRET", jwt_secret, "", CONFIG_SECRET, "HS256 key of the callers' tokens"),
    CONFIG_TEXT_ROW("JWT_SECRET_PREVIOUS", jwt_secret_previous, "", CONFIG_SECRET,
                    "accepted too, while the key is rotated"),
    CONFIG_TEXT_ROW("JWT_PUBLIC_KEYS", jwt_public_keys, "", 0, "directory of <kid>.pem, for RS256 and ES256"),
    CONFIG_CHOICE_ROW("JWT_ALG", jwt_alg, "HS256", "HS256 RS256 ES256",
                      "the only algorithm that is accepted"),
    CONFIG_TEXT_ROW("JWT_ISSUER", jwt_issuer, "", 0, "expected iss; empty: not checked"),
    CONFIG_TEXT_ROW("JWT_AUDIENCE", jwt_audience, "", 0, "expected aud; empty: not checked"),
    CONFIG_TEXT_ROW("ALLOWED_ORIGINS", allowed_origins, "", 0,
                    "browser origins, comma-separated; * stands for one label"),
    CONFIG_CHOICE_ROW("LOG_LEVEL", log_level, "info", "error warn info debug",
                      "debug shows every webhook and event"),
    CONFIG_NUMBER_ROW("EVENT_RETENTION_DAYS", event_retention_days, "7", 1, 3650,
                      "how long events can be replayed, and sessions recovered"),
    CONFIG_NUMBER_ROW("EVENT_RETENTION_COUNT", event_retention_count, "100000", 1, 1000000000,
                      "newest events of a tenant that can be replayed"),
    CONFIG_NUMBER_ROW("RAW_RETENTION_DAYS", raw_retention_days, "30", 8, 3650,
                      "how long account updates and receipts without a message are kept"),
    CONFIG_NUMBER_ROW("RAW_RETENTION_COUNT", raw_retention_count, "10000", 0, 1000000,
                      "newest account updates of a tenant that are kept; 0: all of those days"),
    CONFIG_NUMBER_ROW("REPLY_RETENTION_HOURS", reply_retention_hours, "24", 1, 8760,
                      "how long an Idempotency-Key is remembered"),
    CONFIG_NUMBER_ROW("QUARANTINE_RETENTION_DAYS", quarantine_retention_days, "7", 1, 3650,
                      "how long messages wait for an owner of their number"),
    CONFIG_NUMBER_ROW("REVOCATION_RETENTION_DAYS", revocation_retention_days, "30", 1, 3650,
                      "how long revoked tokens are refused: longer than any token is good"),
    CONFIG_NUMBER_ROW("HOUSEKEEPING_SECONDS", housekeeping_seconds, "60", 1, 86400,
                      "how often what is too old is looked for"),
    CONFIG_NUMBER_ROW("MAX_CONNECTIONS", max_connections, "20000", 1, 1000000,
                      "HTTP connections; more are closed on accept"),
    CONFIG_NUMBER_ROW(
        "ARRIVAL_RATE", arrival_rate, "1000", 0, 1000000,
        "new connections a second of one address, while others are there; more wait; 0: unlimited"),
    CONFIG_NUMBER_ROW("MAX_WEBHOOK_BYTES", max_webhook_bytes, "3145728", 1024, 4194304,
                      "largest webhook body (Meta: 3 MiB)"),
    CONFIG_NUMBER_ROW("MAX_BODY_BYTES", max_body_bytes, "1048576", 1024, 4194304,
                      "largest body of any other call"),
    CONFIG_NUMBER_ROW("REQUEST_TIMEOUT_MS", request_timeout_ms, "2500", 100, 60000,
                      "a call that the store has not answered by then gets 503"),
    CONFIG_NUMBER_ROW("QUEUE_LENGTH", queue_length, "4096", 16, 1000000,
                      "calls that may wait for the store; more get 503"),
    CONFIG_NUMBER_ROW("TENANT_SHARE", tenant_share, "10", 1, 100,
                      "percent of the store's time that one tenant may take while others are there"),
    CONFIG_SWITCH_ROW("DEMO", demo, "off", "accept weak secrets"),
};
const size_t settings_row_count = countof(settings_rows);

static void fault(struct buf *faults, const char *name, const char *what)
{
    buf_addf(faults, "%s: %s\n", name, what);
}

/* What no single row can say. */
static bool check_secrets(const struct settings *s, struct buf *faults)
{
    bool hmac = !strcmp(s->jwt_alg, "HS256");
    size_t before = faults->len;
    if (hmac && !*s->jwt_secret)
        fault(faults, "JWT_SECRET", "is needed for HS256");
    if (!hmac && !*s->jwt_public_keys)
        fault(faults, "JWT_PUBLIC_KEYS", "is needed for RS256 and ES256");
    if (!s->demo && hmac && *s->jwt_secret && config_secret_is_weak(s->jwt_secret))
        fault(faults, "JWT_SECRET", "is short or well known; DEMO=1 would allow it");
    if (!s->demo && config_secret_is_weak(s->webhook_app_secret))
        fault(faults, "WEBHOOK_APP_SECRET", "is short or well known; DEMO=1 would allow it");
    return faults->len == before;
}

static bool load_profiles(struct settings *s, struct buf *faults)
{
    s->profiles = profiles_load(s->profile, faults);
    return s->profiles != NULL;
}

bool settings_load(struct settings *settings, struct buf *faults)
{
    bool rows = config_load(settings, settings_rows, settings_row_count, faults);
    bool secrets = rows && check_secrets(settings, faults);
    return rows && load_profiles(settings, faults) && secrets;
}

void settings_free(struct settings *settings)
{
    profiles_free(settings->profiles);
    config_free(settings, settings_rows, settings_row_count);
}
