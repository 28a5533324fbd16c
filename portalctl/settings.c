#include "portalctl/settings.h"

#define TEXT(name, field, fallback, flags, help)                                               \
    {                                                                                          \
        name, CONFIG_TEXT, offsetof(struct settings, field), fallback, 0, 0, NULL, flags, help \
    }

const struct config_row settings_rows[] = {
    TEXT("JWT_SECRET", jwt_secret, "", CONFIG_SECRET, "signs tokens (HS256)"),
    TEXT("JWT_ISSUER", jwt_issuer, "", 0, "iss of the tokens that are signed"),
    TEXT("JWT_AUDIENCE", jwt_audience, "", 0, "aud of the tokens that are signed"),
    TEXT("AMQP_URL", amqp_url, "amqp://guest:guest@127.0.0.1:5672/", 0, "the broker"),
    TEXT("EVENTS_EXCHANGE", events_exchange, "waba.agent-portal.events", 0, "topic exchange of the events"),
    TEXT("STATE_MANAGER_URL", state_manager_url, "http://127.0.0.1:3010", 0,
         "where the state-manager answers"),
    TEXT("WEBHOOK_APP_SECRET", webhook_app_secret, "", CONFIG_SECRET, "signs the webhooks of the load"),
};
const size_t settings_count = countof(settings_rows);
