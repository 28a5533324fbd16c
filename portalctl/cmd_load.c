#include "portalctl/command.h"
#include "portalctl/feed.h"
#include "shared/backoff.h"
#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/http_client.h"
#include "shared/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BODY_MAX = 65536,
    ANSWER_MAX = 65536,
    TIMEOUT_MS = 10000,
    RETRY_FIRST_MS = 250,
    RETRY_MOST_MS = 5000,
    NAP_MS = 100, /* how soon Ctrl-C is noticed */
    LATE_MAX_US = 1000000,
    RATE_MAX = 10000,
    CONTACTS_MAX = 800, /* as many invented phone numbers there are */
    DAY_S = 24 * 3600,
    TOKEN_TTL_S = 60,
    HEADER_MAX = 10240,
    URL_MAX = 2048
};

enum { URL = 1, SECRET, NUMBER, RATE, SECONDS, CONTACTS, TENANT };

static const struct option options[] = {
    {"url", required_argument, NULL, URL},         {"secret", required_argument, NULL, SECRET},
    {"number", required_argument, NULL, NUMBER},   {"rate", required_argument, NULL, RATE},
    {"seconds", required_argument, NULL, SECONDS}, {"contacts", required_argument, NULL, CONTACTS},
    {"tenant", required_argument, NULL, TENANT},   {0}};

struct load {
    const char *command, *url, *secret, *number, *tenant;
    int64_t rate, seconds, contacts;
    /* while it runs */
    struct http_client *client;
    struct feed *feed;
    int64_t end_ms; /* monotonic; INT64_MAX: until stopped */
    uint64_t accepted, refused;
};

static bool take(struct load *load, int option)
{
    switch (option) {
    case URL:
        load->url = optarg;
        return true;
    case SECRET:
        load->secret = optarg;
        return true;
    case NUMBER:
        load->number = optarg;
        return true;
    case TENANT:
        load->tenant = optarg;
        return true;
    case RATE:
        return option_number(load->command, "rate", 1, RATE_MAX, &load->rate);
    case SECONDS:
        return option_number(load->command, "seconds", 0, DAY_S, &load->seconds);
    case CONTACTS:
        return option_number(load->command, "contacts", 1, CONTACTS_MAX, &load->contacts);
    default:
        return false;
    }
}

/* One request; true: answered with 2xx. What is wrong goes to `fault`. */
static bool request(struct load *load, const char *method, const char *path, const char *header,
                    struct view body, struct err *fault)
{
    char url[URL_MAX];
    if (!join_url(load->command, load->url, path, url, sizeof url))
        return err_set(fault, ERR_INVALID, "%s", load->url);
    const char *const headers[] = {"Content-Type: application/json", header};
    struct http_call call = {.method = method,
                             .url = url,
                             .headers = headers,
                             .header_count = countof(headers),
                             .body = body,
                             .timeout_ms = TIMEOUT_MS,
                             .max_response = ANSWER_MAX};
    struct http_result result;
    bool fine = http_request(load->client, &call, &result, fault);
    if (fine && result.status / 100 != 2)
        fine = err_set(fault, ERR_UNAVAILABLE, "answered %d: %.*s", result.status,
                       VIEW_ARG(buf_view(&result.body)));
    http_result_release(&result);
    return fine;
}

/* --- the channel --- */

/* Gives the number to the tenant, as an operator would. */
static bool own_number(const struct settings *settings, struct load *load)
{
    char path[URL_MAX], authorization[HEADER_MAX];
    struct identity who = {.tenant = load->tenant, .user = "portalctl", .ttl_s = TOKEN_TTL_S};
    who.roles = (struct words){1, {"platform-admin"}};
    char *token = identity_token(settings, load->command, &who);
    if (!token)
        return false;
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
    snprintf(path, sizeof path, "/api/v1/admin/channels/%s", load->number);
    free(token);
    struct buf body;
    struct json_writer w;
    struct err fault;
    buf_init(&body, BODY_MAX);
    jw_init(&w, &body);
    jw_begin(&w, '{');
    jw_key_text(&w, "tenantId", load->tenant);
    jw_key_text(&w, "displayPhoneNumber", feed_display_number);
    jw_key_text(&w, "accessToken", "none");
    jw_end(&w, '}');
    bool fine = request(load, "PUT", path, authorization, buf_view(&body), &fault);
    buf_free(&body);
    if (!fine)
        fprintf(stderr, "%s: number %s: %s\n", load->command, load->number, fault.text);
    return fine;
}

/* --- the traffic --- */

static bool is_over(const struct load *load)
{
    return is_interrupted() || clock_mono_ms() >= load->end_ms;
}

static void wait_until(const struct load *load, int64_t at_ms)
{
    for (int64_t left; !is_over(load) && (left = at_ms - clock_mono_ms()) > 0;)
        usleep((useconds_t)(left < NAP_MS ? left : NAP_MS) * 1000);
}

/* Posts until it is accepted, as Meta does; says once when that begins to fail. */
static void deliver(struct load *load, struct view body)
{
    unsigned char digest[SHA256_BYTES];
    char header[128] = "X-Hub-Signature-256: sha256=";
    struct backoff backoff;
    struct err fault;
    crypto_hmac_sha256(view_of(load->secret), body, digest);
    crypto_hex(digest, sizeof digest, header + strlen(header));
    backoff_init(&backoff, RETRY_FIRST_MS, RETRY_MOST_MS);
    for (bool said = false; !request(load, "POST", "/webhooks/whatsapp", header, body, &fault); said = true) {
        load->refused++;
        if (is_over(load))
            return;
        if (!said)
            fprintf(stderr, "%s: %s\n", load->command, fault.text);
        wait_until(load, clock_mono_ms() + backoff_next_ms(&backoff));
    }
    load->accepted++;
}

/* The mean is what was asked for; people do not write by the clock. */
static int64_t pause_us(const struct load *load)
{
    uint32_t random;
    crypto_random(&random, sizeof random);
    int64_t mean = 1000000 / load->rate;
    return mean / 4 + (int64_t)random % (mean * 3 / 2 + 1);
}

static void run_traffic(struct load *load)
{
    struct buf body;
    buf_init(&body, BODY_MAX);
    for (int64_t due_us = clock_mono_us(); !is_over(load); due_us += pause_us(load)) {
        wait_until(load, due_us / 1000);
        if (is_over(load))
            break;
        if (clock_mono_us() - due_us > LATE_MAX_US)
            due_us = clock_mono_us(); /* what an outage held up does not come all at once */
        buf_clear(&body);
        feed_next(load->feed, &body);
        deliver(load, buf_view(&body));
    }
    buf_free(&body);
}

static int load_until_over(const struct settings *settings, struct load *load)
{
    int64_t began_ms = clock_mono_ms();
    load->client = http_client_create();
    load->feed = feed_create(load->number, (size_t)load->contacts);
    load->end_ms = load->seconds ? began_ms + load->seconds * 1000 : INT64_MAX;
    bool ready = !load->tenant || own_number(settings, load);
    if (ready) {
        run_traffic(load);
        printf("%s: %" PRIu64 " webhooks accepted, %" PRIu64 " failed tries, in %" PRId64 " s\n",
               load->command, load->accepted, load->refused, (clock_mono_ms() - began_ms) / 1000);
    }
    feed_destroy(load->feed);
    http_client_destroy(load->client);
    return ready && load->accepted ? EXIT_FINE : EXIT_FAILED;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    struct load load = {.command = argv[0],
                        .url = settings->state_manager_url,
                        .secret = settings->webhook_app_secret,
                        .rate = 1,
                        .contacts = 12};
    for (int option; (option = next_option(argc, argv, options)) != -1;)
        if (!take(&load, option))
            return EXIT_USAGE;
    if (!load.number || !*load.secret)
        return usage_error(argv[0], "--number and --secret (or WEBHOOK_APP_SECRET) are needed");
    return load_until_over(settings, &load);
}

const struct command cmd_load = {
    .name = "load",
    .summary = "plays a shop's customers: signed webhooks with messages, answers and receipts",
    .usage = "  --number ID       phone number id that the webhooks are for\n"
             "  --tenant T        give the number to this tenant first (signs an admin's token)\n"
             "  --secret S        (WEBHOOK_APP_SECRET)\n"
             "  --rate N          webhooks per second (1)\n"
             "  --seconds S       0: until Ctrl-C (0)\n"
             "  --contacts N      customers (12)\n"
             "  --url URL         of the state-manager (STATE_MANAGER_URL)\n",
    .run = run};
