#include "portalctl/command.h"
#include "portalctl/store_access.h"
#include "portalctl/tenant_stats.h"
#include "shared/json.h"
#include "shared/mem.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_TENANTS = 200, LINE_MAX_BYTES = 4096 };

enum { STORE = 1, TENANT, JSON };

static const struct option options[] = {{"store", required_argument, NULL, STORE},
                                        {"tenant", required_argument, NULL, TENANT},
                                        {"json", no_argument, NULL, JSON},
                                        {0}};

struct stats {
    const char *command, *store_url, *tenant;
    bool json;
    struct store *store;
    uint64_t tenants;
};

struct tenant_page {
    size_t count;
    struct {
        char id[TENANT_ID_MAX + 1];
        struct head head;
    } items[PAGE_TENANTS];
};

/* --- output ----------------------------------------------------------------------------------------------
 */

static void put_time(struct json_writer *w, const char *key, const char *iso)
{
    jw_key_text(w, key, *iso ? iso : NULL);
}

static void print_json(const struct tenant_stats *t, bool first)
{
    struct buf line;
    struct json_writer w;
    buf_init(&line, LINE_MAX_BYTES);
    jw_init(&w, &line);
    jw_begin(&w, '{');
    jw_key_text(&w, "tenantId", t->tenant_id);
    jw_key_text(&w, "offset", t->offset);
    jw_key_i64(&w, "unpublished", (int64_t)t->unpublished);
    jw_key_i64(&w, "entries", (int64_t)t->entries);
    put_time(&w, "oldest", t->oldest);
    jw_key_i64(&w, "open", t->open);
    jw_key_i64(&w, "waiting", t->waiting);
    jw_key_i64(&w, "messagesToday", t->today);
    put_time(&w, "lastActivity", t->active);
    jw_key_bool(&w, "restoreUnfinished", t->unfinished);
    jw_end(&w, '}');
    printf("%s%s", first ? "" : ",\n", buf_view(&line).p);
    buf_free(&line);
}

/* Seconds are enough for people. */
static void print_time(const char *iso)
{
    printf("  %-19.19s", *iso ? iso : "-");
}

static void print_row(const struct tenant_stats *t, bool first)
{
    if (first)
        printf("%-20s %22s %7s %9s  %-19s %8s %8s %8s  %-19s\n", "TENANT", "OFFSET", "UNSENT", "LOG",
               "OLDEST", "OPEN", "WAITING", "TODAY", "LAST ACTIVITY");
    printf("%-20s %22s %7" PRIu64 " %9" PRIu64, t->tenant_id, t->offset, t->unpublished, t->entries);
    print_time(t->oldest);
    printf(" %8" PRId64 " %8" PRId64 " %8" PRId64, t->open, t->waiting, t->today);
    print_time(t->active);
    putchar('\n');
    if (t->unfinished)
        printf("  ! its restore was interrupted: do it again with the same file\n");
}

static const char *and_more(uint64_t count)
{
    return count >= COUNTED_MAX ? "+" : "";
}

static void print_totals(const struct stats *s, const struct store_stats *t)
{
    if (s->json)
        printf("],\n\"channels\":%" PRIu64 ",\"quarantine\":{\"waiting\":%" PRIu64 ",\"unreadable\":%" PRIu64
               "},\"countedTo\":%d}\n",
               t->channels, t->waiting, t->unreadable, COUNTED_MAX);
    else
        printf("%s%" PRIu64 " tenants, %" PRIu64 "%s channels; in quarantine: %" PRIu64
               "%s wait for a channel, %" PRIu64 " cannot be read\n",
               s->tenants ? "\n" : "", s->tenants, t->channels, and_more(t->channels), t->waiting,
               and_more(t->waiting + t->unreadable), t->unreadable);
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

static bool on_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    struct tenant_page *page = ctx;
    snprintf(page->items[page->count].id, TENANT_ID_MAX + 1, "%s", tenant_id);
    page->items[page->count++].head = *head;
    return page->count < PAGE_TENANTS;
}

static bool show_tenant(struct stats *s, const char *tenant_id, const struct head *head, struct err *err)
{
    struct tenant_stats t;
    if (!tenant_stats_read(s->store, tenant_id, head, clock_wall_ms(), &t, err))
        return false;
    (s->json ? print_json : print_row)(&t, s->tenants == 0);
    s->tenants++;
    return true;
}

static bool show_all(struct stats *s, struct err *err)
{
    struct tenant_page *page = xcalloc(1, sizeof *page);
    char last[TENANT_ID_MAX + 1] = "";
    bool ok;
    do {
        page->count = 0;
        ok = s->store->ops->tenants(s->store, view_of(last), PAGE_TENANTS, on_tenant, page, err);
        for (size_t i = 0; ok && i < page->count; i++)
            ok = show_tenant(s, page->items[i].id, &page->items[i].head, err);
        if (page->count)
            memcpy(last, page->items[page->count - 1].id, sizeof last);
    } while (ok && page->count);
    free(page);
    return ok;
}

static bool show_one(struct stats *s, struct err *err)
{
    struct head head;
    if (!s->store->ops->head(s->store, s->tenant, &head, err))
        return false;
    if (!*head.epoch)
        return err_set(err, ERR_NOT_FOUND, "tenant %s has no log", s->tenant);
    return show_tenant(s, s->tenant, &head, err);
}

static int show(struct stats *s)
{
    struct err err = {0};
    struct store_stats totals;
    if (s->json)
        printf("{\"tenants\":[");
    if (!(s->tenant ? show_one(s, &err) : show_all(s, &err)) || !store_stats_read(s->store, &totals, &err))
        return store_failed(s->command, &err);
    print_totals(s, &totals);
    return EXIT_FINE;
}

static int run(const struct settings *settings, int argc, char **argv)
{
    struct stats s = {.command = argv[0], .store_url = settings->store_url};
    for (int option; (option = next_option(argc, argv, options)) != -1;) {
        if (option == STORE)
            s.store_url = optarg;
        else if (option == TENANT)
            s.tenant = optarg;
        else if (option == JSON)
            s.json = true;
        else
            return EXIT_USAGE;
    }
    s.store = open_store(s.command, s.store_url, STORE_READER);
    if (!s.store)
        return EXIT_FAILED;
    int code = show(&s);
    store_close(s.store);
    return code;
}

const struct command cmd_stats = {
    .name = "stats",
    .summary = "shows a store: where each tenant's log stands, its conversations, and what waits",
    .usage = "  --tenant T      only this tenant\n"
             "  --json          for programs\n"
             "  --store URL     (STORE_URL)\n",
    .run = run};
