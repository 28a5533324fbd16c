#include "portalctl/settings.h"

const struct config_row settings_rows[] = {
    CONFIG_TEXT_ROW("JWT_SECRET", jwt_secret, "", CONFIG_SECRET, "signs tokens (HS256)"),
    CONFIG_TEXT_ROW("JWT_ISSUER", jwt_issuer, "", 0, "iss of the tokens that are signed"),
    CONFIG_TEXT_ROW("JWT_AUDIENCE", jwt_audience, "", 0, "aud of the tokens that are signed"),
    CONFIG_TEXT_ROW("AMQP_URL", amqp_url, "amqp://guest:guest@127.0.0.1:5672/", 0, "the broker"),
    CONFIG_TEXT_ROW("EVENTS_EXCHANGE", events_exchange, "waba.agent-portal.events", 0,
                    "topic exchange of the events"),
    CONFIG_TEXT_ROW("STORE_URL", store_url, "sqlite:var/portalcast.db", 0,
                    "where the state lives: sqlite:PATH or mongodb://HOST/DATABASE"),
    CONFIG_TEXT_ROW("STATE_MANAGER_URL", state_manager_url, "http://127.0.0.1:3010", 0,
                    "where the state-manager answers"),
    CONFIG_TEXT_ROW("WEBHOOK_APP_SECRET", webhook_app_secret, "", CONFIG_SECRET,
                    "signs the webhooks of the load"),
};
const size_t settings_count = countof(settings_rows);
