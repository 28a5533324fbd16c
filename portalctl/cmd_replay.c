#include "portalctl/command.h"
#include "portalctl/resend.h"
#include "portalctl/store_access.h"
#include "shared/broker.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_EVENTS = 1000,
    PAGE_BYTES = 1 << 20, /* one entry may go over it */
    LIMIT_MAX = 1000000000
};

enum { TENANT = 1, AFTER, LIMIT, PUBLISH, STORE, AMQP };

static const struct option options[] = {{"tenant", required_argument, NULL, TENANT},
                                        {"after", required_argument, NULL, AFTER},
                                        {"limit", required_argument, NULL, LIMIT},
                                        {"publish", no_argument, NULL, PUBLISH},
                                        {"store", required_argument, NULL, STORE},
                                        {"amqp", required_argument, NULL, AMQP},
                                        {0}};

struct replay {
    const char *command, *exchange;
    const char *tenant, *after, *store_url, *amqp_url;
    bool publish;
    int64_t limit;
    /* while it runs */
    struct store *store;
    struct broker *broker; /* NULL: only printed */
    struct head head;
    uint64_t at;   /* seq of the last event taken */
    bool anchored; /* the next one must be at + 1 */
    bool gone;     /* it is not */
    uint64_t count;
    struct buf text; /* bodies of a page, one behind the other */
    size_t bodies;
    size_t ends[PAGE_EVENTS];
};

static bool take(struct replay *r, int option)
{
    const char **texts[] = {
        [TENANT] = &r->tenant, [AFTER] = &r->after, [STORE] = &r->store_url, [AMQP] = &r->amqp_url};
    switch (option) {
    case LIMIT:
        return option_number(r->command, "limit", 1, LIMIT_MAX, &r->limit);
    case PUBLISH:
        r->publish = true;
        return true;
    case TENANT:
    case AFTER:
    case STORE:
    case AMQP:
        *texts[option] = optarg;
        return true;
    default:
        return false;
    }
}

static bool is_page_full(const struct replay *r)
{
    return r->bodies == PAGE_EVENTS || r->count == (uint64_t)r->limit || r->text.len >= PAGE_BYTES;
}

/* Only what has a seq: the rest is made up for by its newest value, or was for its moment. */
static bool on_entry(void *ctx, const struct log_entry *entry)
{
    struct replay *r = ctx;
    struct view body;
    for (struct json_iter it = json_iter(entry->events); json_next_element(&it, &body);) {
        int64_t seq;
        if (!json_i64(json_get(body, "seq"), &seq) || (uint64_t)seq <= r->at)
            continue;
        r->gone = r->anchored && (uint64_t)seq != r->at + 1;
        if (r->gone || is_page_full(r))
            return false;
        buf_add_view(&r->text, body);
        r->ends[r->bodies++] = r->text.len;
        r->count++;
        r->at = (uint64_t)seq;
        r->anchored = true;
    }
    return !is_page_full(r);
}

static int say_gone(const struct replay *r)
{
    fprintf(stderr,
            "%s: some events behind %s-%" PRIu64 " are gone from the log; without --after it begins with the "
            "oldest that is kept\n",
            r->command, r->head.epoch, r->at);
    return EXIT_GONE;
}

static void print_body(struct view body)
{
    for (size_t i = 0; i < body.n; i++) /* line breaks between tokens of somebody's JSON */
        putchar(body.p[i] == '\n' || body.p[i] == '\r' ? ' ' : body.p[i]);
    putchar('\n');
}

/* Sends, then prints what was gathered. */
static bool put_page(struct replay *r, struct err *err)
{
    struct view *bodies = xcalloc(r->bodies, sizeof *bodies);
    size_t start = 0;
    for (size_t i = 0; i < r->bodies; i++) {
        bodies[i] = (struct view){r->text.data + start, r->ends[i] - start};
        start = r->ends[i];
    }
    bool ok = !r->broker || resend(r->broker, r->exchange, r->tenant, bodies, r->bodies, err);
    for (size_t i = 0; ok && i < r->bodies; i++)
        print_body(bodies[i]);
    free(bodies);
    r->bodies = 0;
    buf_clear(&r->text);
    return ok;
}

/* Pages are read, and written when the store's statement is closed: who reads us slowly holds nobody up. */
static int run_pages(struct replay *r)
{
    struct err err = {0};
    for (;;) {
        uint64_t before = r->count;
        if (!r->store->ops->read_log(r->store, r->tenant, LOG_BY_SEQ, r->at, false, on_entry, r, &err))
            return store_failed(r->command, &err);
        bool empty = r->count == before;
        if (!put_page(r, &err))
            return store_failed(r->command, &err);
        if (r->gone || (empty && r->anchored && r->at < r->head.seq && r->count < (uint64_t)r->limit))
            return say_gone(r);
        if (empty || r->count == (uint64_t)r->limit || is_interrupted())
            return EXIT_FINE;
    }
}

/* Where to begin. EXIT_FINE: there. */
static int find_start(struct replay *r)
{
    struct err err = {0};
    char epoch[EPOCH_MAX + 1];
    if (!r->store->ops->head(r->store, r->tenant, &r->head, &err))
        return store_failed(r->command, &err);
    if (!*r->head.epoch) {
        fprintf(stderr, "%s: tenant %s has no log\n", r->command, r->tenant);
        return EXIT_FAILED;
    }
    if (!r->after)
        return EXIT_FINE;
    if (!offset_parse(view_of(r->after), epoch, &r->at))
        return usage_error(r->command, "--after is no offset");
    r->anchored = true;
    if (!strcmp(epoch, r->head.epoch) && r->at <= r->head.seq)
        return EXIT_FINE;
    fprintf(stderr,
            "%s: %s is not of this history, which stands at %s-%" PRIu64 ": what was behind it is gone\n",
            r->command, r->after, r->head.epoch, r->head.seq);
    return EXIT_GONE;
}

static int replay(struct replay *r)
{
    struct err err = {0};
    int code = find_start(r);
    if (code != EXIT_FINE)
        return code;
    if (r->publish && !(r->broker = resend_open(r->amqp_url, r->command, r->exchange, &err)))
        return store_failed(r->command, &err);
    buf_init(&r->text, 2 * (size_t)ENTRY_BYTES_MAX + PAGE_BYTES);
    code = run_pages(r);
    if (r->broker)
        fprintf(stderr, "%s: %" PRIu64 " events published again\n", r->command, r->count);
    buf_free(&r->text);
    broker_destroy(r->broker);
    return code;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    struct replay r = {.command = argv[0],
                       .exchange = settings->events_exchange,
                       .store_url = settings->store_url,
                       .amqp_url = settings->amqp_url,
                       .limit = LIMIT_MAX};
    for (int option; (option = next_option(argc, argv, options)) != -1;)
        if (!take(&r, option))
            return EXIT_USAGE;
    if (!r.tenant || !tenant_id_valid(view_of(r.tenant)))
        return usage_error(argv[0], "--tenant is needed: 1 to %d of A-Z a-z 0-9 _ -", TENANT_ID_MAX);
    r.store = open_store(r.command, r.store_url, STORE_READER);
    if (!r.store)
        return EXIT_FAILED;
    int code = replay(&r);
    store_close(r.store);
    return code;
}

const struct command cmd_replay = {
    .name = "replay",
    .summary = "prints the events of a tenant's log, one a line; exit code 3 when some of them are gone",
    .usage = "  --tenant T      tenantId\n"
             "  --after OFFSET  only what is behind it (the oldest that is kept)\n"
             "  --limit N       at most so many\n"
             "  --publish       send them to the exchange once more; gateways know them by their seq\n"
             "  --store URL     (STORE_URL)\n"
             "  --amqp URL      (AMQP_URL)\n",
    .run = run};
