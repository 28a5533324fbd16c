#include "portalctl/command.h"
#include "shared/buf.h"
#include "shared/crypto.h"
#include "shared/http_client.h"
#include "shared/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_MAX = 2 << 20,
    ANSWER_MAX = 1 << 20,
    TIMEOUT_MS = 15000,
    TOKEN_TTL_S = 60,
    HEADER_MAX = 10240,
    URL_MAX = 2048
};

enum { TENANT = 1, EVENT, DATA, ROOM, CLASS, KEY, URL };

static const struct option options[] = {
    {"tenant", required_argument, NULL, TENANT}, {"event", required_argument, NULL, EVENT},
    {"data", required_argument, NULL, DATA},     {"room", required_argument, NULL, ROOM},
    {"class", required_argument, NULL, CLASS},   {"key", required_argument, NULL, KEY},
    {"url", required_argument, NULL, URL},       {0}};

struct publish {
    const char *tenant, *event, *data, *class, *key, *url;
    struct words rooms;
};

static bool take(const char *command, int option, struct publish *p)
{
    const char **texts[] = {
        [TENANT] = &p->tenant, [EVENT] = &p->event, [DATA] = &p->data,
        [CLASS] = &p->class,   [KEY] = &p->key,     [URL] = &p->url,
    };
    if (option == ROOM)
        return words_add(command, &p->rooms, optarg);
    if (option < TENANT || option > URL)
        return false;
    *texts[option] = optarg;
    return true;
}

static void put_body(struct buf *out, const struct publish *p, struct view data)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "event", p->event);
    jw_key_raw(&w, "data", data);
    if (p->class)
        jw_key_text(&w, "class", p->class);
    if (p->key)
        jw_key_text(&w, "key", p->key);
    if (p->rooms.count) {
        jw_key(&w, "rooms");
        jw_begin(&w, '[');
        for (size_t i = 0; i < p->rooms.count; i++)
            jw_text(&w, view_of(p->rooms.items[i]));
        jw_end(&w, ']');
    }
    jw_end(&w, '}');
}

static int report(const char *command, const struct http_result *result)
{
    fwrite(buf_view(&result->body).p, 1, result->body.len, stdout);
    putchar('\n');
    if (result->status >= 200 && result->status < 300)
        return EXIT_FINE;
    fprintf(stderr, "%s: answered %d\n", command, result->status);
    return EXIT_FAILED;
}

static int post(const char *command, const char *base, const char *token, const struct buf *body)
{
    char url[URL_MAX], authorization[HEADER_MAX], key[64] = "Idempotency-Key: ";
    if (!join_url(command, base, "/api/v1/events", url, sizeof url))
        return EXIT_USAGE;
    /* The token has passed token_verify(), so that it fits. */
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
    crypto_random_id("", key + strlen(key));
    const char *const headers[] = {authorization, key, "Content-Type: application/json"};
    struct http_call call = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .header_count = countof(headers),
                             .body = buf_view(body),
                             .timeout_ms = TIMEOUT_MS,
                             .max_response = ANSWER_MAX};
    struct http_result result;
    struct err err;
    struct http_client *client = http_client_create();
    int code = EXIT_FAILED;
    if (http_request(client, &call, &result, &err))
        code = report(command, &result);
    else
        fprintf(stderr, "%s: %s: %s\n", command, url, err.text);
    http_result_release(&result);
    http_client_destroy(client);
    return code;
}

static int publish(const struct settings *settings, const char *command, const struct publish *p,
                   struct view data)
{
    struct identity who = {.tenant = p->tenant, .user = "portalctl", .ttl_s = TOKEN_TTL_S};
    who.roles = (struct words){1, {"service"}};
    char *token = identity_token(settings, command, &who);
    if (!token)
        return EXIT_USAGE;
    struct buf body;
    buf_init(&body, BODY_MAX);
    put_body(&body, p, data);
    int code = body.overflow ? usage_error(command, "--data is too long")
                             : post(command, p->url ? p->url : settings->state_manager_url, token, &body);
    buf_free(&body);
    free(token);
    return code;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    struct publish p = {0};
    struct view data;
    struct err err;
    for (int option; (option = next_option(argc, argv, options)) != -1;)
        if (!take(argv[0], option, &p))
            return EXIT_USAGE;
    if (!p.tenant || !p.event || !p.data)
        return usage_error(argv[0], "--tenant, --event and --data are needed");
    if (!json_check(view_of(p.data), JSON_STRICT, &data, &err))
        return usage_error(argv[0], "--data is no JSON: %s", err.text);
    return publish(settings, argv[0], &p, data);
}

const struct command cmd_publish = {.name = "publish",
                                    .summary = "publishes an event through the state-manager",
                                    .usage = "  --tenant T      whose browsers hear it\n"
                                             "  --event E       its name\n"
                                             "  --data JSON     its argument\n"
                                             "  --room R        only this room; may be repeated\n"
                                             "  --class C       durable, latest or ephemeral (durable)\n"
                                             "  --key K         of a latest event\n"
                                             "  --url URL       of the state-manager (STATE_MANAGER_URL)\n",
                                    .run = run};
