#include "portal-gateway/settings.h"
#include "portal-gateway/advertise.h"
#include "shared/event.h"
#include "shared/json.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const struct config_row gateway_settings_rows[] = {
    CONFIG_TEXT_ROW("AMQP_URL", amqp_url, "amqp://guest:guest@127.0.0.1:5672/", 0,
                    "RabbitMQ; may hold a password"),
    CONFIG_TEXT_ROW("EVENTS_EXCHANGE", exchange, "waba.agent-portal.events", CONFIG_REQUIRED,
                    "topic exchange that the state-managers publish to"),
    CONFIG_TEXT_ROW("PROFILE", profile, "agent-portal", 0,
                    "the systems that run here: names or paths of profiles, commas between"),
    CONFIG_CHOICE_ROW("LOG_LEVEL", log_level, "info", "error warn info debug",
                      "debug: one line per event delivered"),
    CONFIG_TEXT_ROW(
        "ALLOWED_ORIGINS", allowed_origins, "", 0,
        "web origins, comma-separated, each with at most one * as a whole label; the own origin is always "
        "allowed"),
    CONFIG_CHOICE_ROW("JWT_ALG", jwt_alg, "HS256", "HS256 RS256 ES256",
                      "the only signature algorithm accepted"),
    CONFIG_TEXT_ROW("JWT_SECRET", jwt_secret, "", CONFIG_SECRET, "HS256: shared secret, 32 bytes or more"),
    CONFIG_TEXT_ROW("JWT_SECRET_PREVIOUS", jwt_secret_previous, "", CONFIG_SECRET,
                    "HS256: the one before, while rotating"),
    CONFIG_TEXT_ROW("JWT_PUBLIC_KEYS", jwt_public_keys, "", 0, "RS256, ES256: directory of <kid>.pem"),
    CONFIG_TEXT_ROW("JWT_ISSUER", jwt_issuer, "", 0, "required iss; empty: not checked"),
    CONFIG_TEXT_ROW("JWT_AUDIENCE", jwt_audience, "", 0, "required aud; empty: not checked"),
    CONFIG_TEXT_ROW("GATEWAY_HOST", host, "127.0.0.1", CONFIG_REQUIRED, "address to listen on"),
    CONFIG_NUMBER_ROW("GATEWAY_PORT", port, "3015", 0, 65535, "port to listen on; 0: any free one"),
    CONFIG_TEXT_ROW("ADVERTISE_URL", advertise_url, "", 0,
                    "how other gateways reach this one, http://<host>:<port>; empty: GATEWAY_HOST and "
                    "GATEWAY_PORT, or this machine's name"),
    CONFIG_TEXT_ROW(
        "RELAY_SECRET", relay_secret, "", CONFIG_SECRET,
        "shared by all gateways, which relay to each other; empty: JWT_SECRET, where there is one"),
    CONFIG_NUMBER_ROW("PING_INTERVAL_MS", ping_interval_ms, "25000", 50, 600000,
                      "between a pong and the next ping"),
    CONFIG_NUMBER_ROW("PING_TIMEOUT_MS", ping_timeout_ms, "20000", 50, 600000, "how long a pong may take"),
    CONFIG_NUMBER_ROW("CONNECT_TIMEOUT_MS", connect_timeout_ms, "10000", 50, 600000,
                      "from the open connection to a session that hears events"),
    CONFIG_NUMBER_ROW("UPGRADE_TIMEOUT_MS", upgrade_timeout_ms, "10000", 50, 600000,
                      "how long a WebSocket may take to take over from polling"),
    CONFIG_NUMBER_ROW("MAX_PAYLOAD", max_payload, "1000000", 1024, 100000000,
                      "bytes of one message of a client"),
    CONFIG_SWITCH_ROW("RECOVERY", recovery, "on",
                      "Socket.IO: pid, and an offset behind the arguments of every event"),
    CONFIG_NUMBER_ROW("MAX_CONNECTIONS", max_connections, "20000", 1, 1000000, "sessions of this process"),
    CONFIG_NUMBER_ROW("MAX_CONNECTIONS_PER_USER", max_connections_per_user, "100", 0, 1000000,
                      "sessions of one user here; 0: unlimited"),
    CONFIG_NUMBER_ROW("MAX_CONNECTIONS_PER_ADDRESS", max_connections_per_address, "0", 0, 1000000,
                      "sessions of one address here (of IPv6: of its /64); 0: unlimited"),
    CONFIG_NUMBER_ROW("MAX_CONNECTIONS_PER_TENANT", max_connections_per_tenant, "0", 0, 1000000,
                      "sessions of one tenant here; 0: unlimited"),
    CONFIG_NUMBER_ROW(
        "ARRIVAL_RATE", arrival_rate, "1000", 0, 1000000,
        "new connections a second of one address, and sessions of one tenant, while others are there; more "
        "wait; 0: unlimited"),
    CONFIG_TEXT_ROW("TRUSTED_PROXIES", trusted_proxies, "", 0,
                    "addresses and networks, comma-separated, whose X-Forwarded-For is believed"),
    CONFIG_NUMBER_ROW(
        "MESSAGE_RATE", message_rate, "100", 0, 1000000,
        "messages a second of one client, ten times as many at once; more: it is cut (4429); 0: "
        "unlimited"),
    CONFIG_NUMBER_ROW("BYTE_RATE", byte_rate, "1000000", 0, 50000000, "the same in bytes"),
    CONFIG_NUMBER_ROW(
        "TENANT_SHARE", tenant_share, "10", 1, 100,
        "percent of the loop's time that one tenant's clients may take with what they say, while "
        "other tenants are there; beyond it they are read more slowly"),
    CONFIG_NUMBER_ROW("TOKEN_EXPIRING_SECONDS", token_expiring_s, "60", 0, 86400,
                      "how long before expiry token_expiring is sent"),
    CONFIG_NUMBER_ROW("RECOVERY_MAX_EVENTS", recovery_events, "5000", 1, 1000000,
                      "a client that missed more is not recovered"),
    CONFIG_NUMBER_ROW("RECOVERY_MAX_BYTES", recovery_bytes, "4000000", 1024, 1000000000, "the same in bytes"),
    CONFIG_NUMBER_ROW("LAG_MAX_BYTES", lag_bytes, "4000000", 1024, 1000000000,
                      "answers that wait for one socket; events are read from the log as it drains"),
    CONFIG_NUMBER_ROW("LAG_MAX_SECONDS", lag_s, "30", 1, 3600,
                      "a socket that took nothing for so long is cut (4413)"),
    CONFIG_NUMBER_ROW("RING_EVENTS", ring_events, "4096", 2048, 1000000, "recent events kept per tenant"),
    CONFIG_NUMBER_ROW("RING_BYTES", ring_bytes, "16777216", 8388608, 1073741824, "the same in bytes"),
    CONFIG_NUMBER_ROW("GATHER_MS", gather_ms, "1", 0, 100,
                      "how long a write to many sockets waits for more events"),
    CONFIG_NUMBER_ROW("QUEUE_MAX_MESSAGES", queue_messages, "100000", 100, 10000000,
                      "bound of this gateway's queue on the broker"),
    CONFIG_NUMBER_ROW("QUEUE_MAX_BYTES", queue_bytes, "134217728", 1048576, 10737418240, "the same in bytes"),
    CONFIG_NUMBER_ROW("PRESENCE_USERS", presence_users, "500", 0, PRESENCE_USERS_MOST,
                      "users of a tenant whose presence is announced; 0: nobody's"),
    CONFIG_NUMBER_ROW("PRESENCE_LEASE_SECONDS", presence_lease_s, "30", 6, 3600,
                      "after which the users of a gateway that says nothing are offline"),
    CONFIG_NUMBER_ROW("DRAIN_SECONDS", drain_s, "5", 0, 3600,
                      "over how long connections are closed after SIGTERM"),
    CONFIG_TEXT_ROW("WWW_DIR", www_dir, "", 0, "the page's files; empty: found beside the binary"),
    CONFIG_TEXT_ROW(
        "SOCKET_IO_CLIENT_DIR", client_dir, "", 0,
        "folder dist of npm's socket.io-client, served under /socket.io/; empty: looked for where "
        "npm and Debian install it"),
    CONFIG_SWITCH_ROW("DEMO", demo, "off", "1: weak secrets are accepted"),
};
const size_t gateway_settings_row_count = countof(gateway_settings_rows);

enum {
    LINGER_MS = 60000,
    RING_LEAST_MS = 60000,
    HEADS_INTERVAL_MS = 3000,
    BIND_ALL_OVER = 1000,
    PID_MS = 7 * 24 * 3600 * 1000, /* what the state-manager records of a session is kept as long, at least */
    STRANGERS_PART = 4,            /* of all connections, for those who have not signed in */
    BURST_S = 10,                  /* what a rate allows in so many seconds may come at once */
    BURST_PAYLOADS = 4             /* and so many messages of MAX_PAYLOAD bytes, in any case */
};

static bool load_profiles(struct settings *s, struct buf *faults)
{
    s->profiles = profiles_load(s->profile, faults);
    if (!s->profiles)
        return false;
    s->policy.conformance = profiles_has_builtin(s->profiles, BUILTIN_CONFORMANCE);
    s->policy.agent_portal = profiles_has_builtin(s->profiles, BUILTIN_AGENT_PORTAL);
    return !s->policy.conformance || s->profiles->count == 1 ||
           !buf_addf(faults, "PROFILE: conformance has no tenants, and goes with no other\n");
}

/* Whether any of them is more than code. */
static bool are_described(const struct profiles *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i]->builtin == BUILTIN_NONE)
            return true;
    return false;
}

static void name_roles(struct json_writer *w, const struct names *roles)
{
    char room[PROFILE_NAME_MAX + 8];
    for (size_t i = 0; i < roles->count; i++) {
        snprintf(room, sizeof room, "role:%s", roles->items[i]);
        jw_text(w, view_of(room));
    }
}

/* Who hears of who is there: the whole tenant when the portal of agents is one of the systems. False: no
 * system wants to know. */
static bool name_presence_rooms(struct settings *s)
{
    struct json_writer w;
    bool wanted = s->policy.agent_portal;
    buf_init(&s->presence_rooms, EVENT_BODY_MAX);
    jw_init(&w, &s->presence_rooms);
    jw_begin(&w, '[');
    for (size_t i = 0; i < s->profiles->count; i++) {
        const struct profile *p = s->profiles->items[i];
        wanted |= p->has_presence;
        if (p->has_presence && !p->presence_rooms.count)
            name_roles(&w, &p->roles);
        for (size_t k = 0; p->has_presence && k < p->presence_rooms.count; k++)
            jw_text(&w, view_of(p->presence_rooms.items[k]));
    }
    jw_end(&w, ']');
    return wanted;
}

/* What suites of the protocol send is nobody's flood. */
static struct rate rate_of(const struct settings *s, int64_t per_second, int64_t at_least)
{
    int64_t at_once = per_second * BURST_S;
    return (struct rate){.per_second = s->policy.conformance ? 0 : per_second,
                         .at_once = at_once > at_least ? at_once : at_least};
}

/* Who never says who he is may not take the place of all; protocol suites never say. */
static size_t strangers_of(const struct settings *s)
{
    size_t part = (size_t)s->max_connections / STRANGERS_PART;
    return s->policy.conformance ? 0 : part + 1;
}

static void fill_policy(struct settings *s)
{
    bool has_presence = name_presence_rooms(s);
    s->policy = (struct policy){
        .conformance = s->policy.conformance,
        .agent_portal = s->policy.agent_portal,
        .profiles = are_described(s->profiles) ? s->profiles : NULL,
        .presence_rooms = s->policy.agent_portal ? (struct view){NULL, 0} : buf_view(&s->presence_rooms),
        .ping_interval_ms = s->ping_interval_ms,
        .ping_timeout_ms = s->ping_timeout_ms,
        .connect_timeout_ms = s->connect_timeout_ms,
        .upgrade_timeout_ms = s->upgrade_timeout_ms,
        .token_warning_ms = s->token_expiring_s * 1000,
        .linger_ms = LINGER_MS,
        .heads_interval_ms = HEADS_INTERVAL_MS,
        .gather_ms = s->gather_ms,
        .max_payload = (size_t)s->max_payload,
        .strangers = strangers_of(s),
        .connections_per_user = (size_t)s->max_connections_per_user,
        .connections_per_address = (size_t)s->max_connections_per_address,
        .connections_per_tenant = (size_t)s->max_connections_per_tenant,
        .tenant_share = s->tenant_share,
        .arrival_rate = s->arrival_rate,
        .messages = rate_of(s, s->message_rate, 0),
        .bytes = rate_of(s, s->byte_rate, BURST_PAYLOADS * s->max_payload),
        .ring_events = (size_t)s->ring_events,
        .ring_bytes = (size_t)s->ring_bytes,
        .recovery_events = (uint64_t)s->recovery_events,
        .recovery_bytes = (uint64_t)s->recovery_bytes,
        .pid_ms = PID_MS,
        .lag_bytes = (size_t)s->lag_bytes,
        .lag_ms = s->lag_s * 1000,
        .ring_ms = s->lag_s * 1000 > RING_LEAST_MS ? s->lag_s * 1000 : RING_LEAST_MS,
        .bind_all_over = BIND_ALL_OVER,
        .presence_users = has_presence ? (size_t)s->presence_users : 0,
        .presence_lease_ms = s->presence_lease_s * 1000,
        .recovery = s->recovery,
    };
}

static bool check_secret(const char *name, const char *secret, bool required, struct buf *faults)
{
    if (!*secret && required)
        return !buf_addf(faults, "%s: required for HS256\n", name);
    if (*secret && config_secret_is_weak(secret))
        return !buf_addf(faults, "%s: short or well known; DEMO=1 would accept it\n", name);
    return true;
}

static bool check_advertise_url(const struct settings *s, struct buf *faults)
{
    char host[ADVERTISE_HOST_SIZE];
    int port;
    return !*s->advertise_url || advertise_parse(s->advertise_url, host, &port) ||
           !buf_addf(faults, "ADVERTISE_URL: not http://<host>:<port>\n");
}

static bool read_proxies(struct settings *s, struct buf *faults)
{
    struct err err = {0};
    return networks_parse(s->trusted_proxies, &s->proxies, &err) ||
           !buf_addf(faults, "TRUSTED_PROXIES: %s\n", err.text);
}

/* What no single row can say. */
static bool check_secrets(const struct settings *s, struct buf *faults)
{
    if (s->demo)
        return true;
    bool fine = check_secret("RELAY_SECRET", s->relay_secret, false, faults);
    if (strcmp(s->jwt_alg, "HS256") != 0 || s->policy.conformance)
        return fine;
    fine &= check_secret("JWT_SECRET", s->jwt_secret, true, faults);
    fine &= check_secret("JWT_SECRET_PREVIOUS", s->jwt_secret_previous, false, faults);
    return fine;
}

bool gateway_settings_load(struct settings *s, struct buf *faults)
{
    *s = (struct settings){0};
    if (!config_load(s, gateway_settings_rows, countof(gateway_settings_rows), faults) ||
        !load_profiles(s, faults) || !check_advertise_url(s, faults) || !read_proxies(s, faults) ||
        !check_secrets(s, faults))
        return false;
    if (!log_level_parse(s->log_level, &s->threshold))
        s->threshold = LOG_INFO;
    fill_policy(s);
    return true;
}

void gateway_settings_free(struct settings *s)
{
    networks_free(&s->proxies);
    profiles_free(s->profiles);
    buf_free(&s->presence_rooms);
    config_free(s, gateway_settings_rows, countof(gateway_settings_rows));
}
