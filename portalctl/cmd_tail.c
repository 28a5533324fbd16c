#include "portalctl/command.h"
#include "shared/backoff.h"
#include "shared/broker.h"
#include "shared/crypto.h"
#include "shared/event.h"
#include "shared/json.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    DATA_SHOWN = 200, /* bytes */
    QUEUE_MAX = 10000,
    WAIT_MS = 200, /* how soon Ctrl-C is noticed */
    FIRST_MS = 200,
    MOST_MS = 5000
};

enum { TENANT = 1 };

static const struct option options[] = {{"tenant", required_argument, NULL, TENANT}, {0}};

struct tail {
    const char *command, *exchange;
    char queue[64], key[TENANT_ID_MAX + 16];
};

/* At most `max` bytes without cutting a character in two; control bytes become blanks. */
static void print_cut(struct view text, size_t max)
{
    size_t n = text.n < max ? text.n : max;
    while (n && n < text.n && ((unsigned char)text.p[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        putchar((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f ? ' ' : text.p[i]);
    if (n < text.n)
        fputs("...", stdout);
}

static void print_event(const struct broker_message *m)
{
    struct event event;
    struct err err;
    char at[64];
    if (!event_decode(m->body, &event, &err)) {
        printf("%-24s %.*s: not an event: %s\n", "-", VIEW_ARG(m->routing_key), err.text);
        return;
    }
    printf("%-24s %-16s ", json_copy_string(event.at, at, sizeof at) ? at : "-", event.tenant_id);
    if (event.seq)
        printf("%8" PRIu64, event.seq);
    else
        printf("%8s", event_class_name(event.class));
    printf(" %-20s ", event.type);
    if (event.rooms.n) {
        print_cut(event.rooms, DATA_SHOWN);
        putchar(' ');
    }
    print_cut(event.data, DATA_SHOWN);
    putchar('\n');
}

static bool start(struct broker *broker, const struct tail *tail, struct err *err)
{
    struct broker_queue queue = {.name = tail->queue, .exclusive = true, .max_length = QUEUE_MAX};
    return broker_open(broker, false, err) && broker_declare_exchange(broker, tail->exchange, "topic", err) &&
           broker_declare_queue(broker, &queue, err) &&
           broker_bind(broker, tail->queue, tail->exchange, tail->key, err) &&
           broker_consume(broker, tail->queue, 0, err);
}

/* Prints until something is wrong with the connection or the user has seen enough. */
static void follow(struct broker *broker, struct err *err)
{
    while (!is_interrupted()) {
        struct broker_event event;
        enum broker_happening happening = broker_next(broker, WAIT_MS, -1, &event, err);
        if (happening == BROKER_DELIVERY)
            print_event(&event.message);
        if (!broker_has_more(broker))
            fflush(stdout);
        if (happening == BROKER_CLOSED)
            return;
        if (happening == BROKER_CANCELLED) {
            err_set(err, ERR_UNAVAILABLE, "the queue was deleted");
            return;
        }
    }
}

static void wait_ms(int ms)
{
    for (int left = ms; left > 0 && !is_interrupted(); left -= WAIT_MS)
        usleep((useconds_t)(left < WAIT_MS ? left : WAIT_MS) * 1000);
}

static int tail_until_interrupted(const struct settings *settings, const struct tail *tail)
{
    struct err err = {0};
    struct backoff backoff;
    struct broker *broker = broker_create(settings->amqp_url, tail->command, &err);
    if (!broker)
        return usage_error(tail->command, "AMQP_URL: %s", err.text);
    backoff_init(&backoff, FIRST_MS, MOST_MS);
    while (!is_interrupted()) {
        if (start(broker, tail, &err)) {
            backoff_reset(&backoff);
            follow(broker, &err);
        }
        if (is_interrupted())
            break;
        fprintf(stderr, "%s: %s\n", tail->command, err.text);
        wait_ms(backoff_next_ms(&backoff));
    }
    broker_destroy(broker);
    return EXIT_FINE;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    struct tail tail = {.command = argv[0], .exchange = settings->events_exchange};
    const char *tenant = NULL;
    for (int option; (option = next_option(argc, argv, options)) != -1;) {
        if (option != TENANT)
            return EXIT_USAGE;
        tenant = optarg;
    }
    if (tenant && !tenant_id_valid(view_of(tenant)))
        return usage_error(argv[0], "--tenant must be 1 to %d of A-Z a-z 0-9 _ -", TENANT_ID_MAX);
    snprintf(tail.key, sizeof tail.key, "tenant.%s%s#", tenant ? tenant : "", tenant ? "." : "");
    crypto_random_id("portalctl.tail.", tail.queue);
    return tail_until_interrupted(settings, &tail);
}

const struct command cmd_tail = {.name = "tail",
                                 .summary = "prints events as they pass the exchange, until Ctrl-C",
                                 .usage = "  --tenant T      of this tenant only\n",
                                 .run = run};
