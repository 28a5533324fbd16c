/*
 * Opens SQLite stores by the product's own code, as a starting state-manager would, and says what is in them:
 * for tests that make hundreds of them. Reads paths from stdin, a line each, and answers with lines, each a
 * word and one JSON value or text:
 *
 *   refused TEXT             the store does not open; nothing but `end` follows
 *   damaged TEXT             what PRAGMA integrity_check finds, or what breaks a rule of the log
 *   tenant ["id","epoch",n,seq,published]   the last: entries up to there
 *   event BODY               in the order of the log
 *   message DOC, conversation DOC
 *   channel ID
 *   waiting BYTES            of the quarantine
 *   end
 */
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/store.h"
#include "state-manager/store/open.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 200, URL_SIZE = 4096 };

struct walk {
    struct store *store;
    const char *tenant_id;
    enum doc_kind kind;
    uint64_t n, seq; /* of the last entry and event */
    char last[DOC_KEY_MAX + 1];
    size_t seen;
};

/* On one line, which is all the same to JSON. */
static void say(const char *word, struct view text)
{
    printf("%s ", word);
    for (size_t i = 0; i < text.n; i++)
        putchar(text.p[i] == '\n' ? ' ' : text.p[i]);
    putchar('\n');
}

static void must(bool ok, const struct err *err)
{
    if (!ok)
        say("damaged", view_of(err->text));
}

static void check_pages(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL) == SQLITE_OK) {
        int step;
        while ((step = sqlite3_step(st)) == SQLITE_ROW)
            if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
                say("damaged", view_of((const char *)sqlite3_column_text(st, 0)));
        if (step != SQLITE_DONE)
            say("damaged", view_of(sqlite3_errmsg(db)));
    } else {
        say("damaged", view_of(sqlite3_errmsg(db)));
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static bool on_entry(void *ctx, const struct log_entry *e)
{
    struct walk *w = ctx;
    struct view body;
    uint64_t found = e->first_seq;
    if (w->n && (e->n != w->n + 1 || e->first_seq != w->seq + 1))
        printf("damaged %s: entry %llu of event %llu follows %llu, %llu\n", w->tenant_id,
               (unsigned long long)e->n, (unsigned long long)e->first_seq, (unsigned long long)w->n,
               (unsigned long long)w->seq);
    w->n = e->n;
    w->seq = e->last_seq;
    for (struct json_iter it = json_iter(e->events); json_next_element(&it, &body);) {
        found += json_get(body, "seq").n > 0;
        say("event", body);
    }
    for (uint64_t n = 0; found <= e->last_seq && n < PAGE; found++, n++)
        say("event", view_of("lost in text that is none"));
    return true;
}

static bool on_document(void *ctx, const struct change *c)
{
    struct walk *w = ctx;
    char key[sizeof w->last];
    if (!view_copy(c->key, key, sizeof key) || strcmp(key, w->last) <= 0) {
        say("damaged", view_of("keys out of order"));
        w->seen = 0; /* no page behind this one */
        return false;
    }
    memcpy(w->last, key, sizeof key);
    say(doc_kind_name(w->kind), c->doc);
    w->seen++;
    return true;
}

static void walk_documents(struct walk *w, enum doc_kind kind)
{
    struct err err = {0};
    w->kind = kind;
    w->last[0] = 0;
    do {
        w->seen = 0;
        must(w->store->ops->scan(w->store, w->tenant_id, kind, view_of(w->last), PAGE, on_document, w, &err),
             &err);
    } while (w->seen == PAGE);
}

static bool on_tenant(void *ctx, const char *tenant_id, const struct head *head)
{
    struct walk *names = ctx;
    (void)head;
    if (strcmp(tenant_id, names->last) > 0)
        snprintf(names->last, sizeof names->last, "%s", tenant_id);
    else
        say("damaged", view_of("tenants out of order"));
    return false;
}

static void walk_tenant(struct store *store, const char *tenant_id)
{
    struct err err = {0};
    struct head head;
    struct walk w = {.store = store, .tenant_id = tenant_id};
    if (!store->ops->head(store, tenant_id, &head, &err) ||
        !store->ops->read_log(store, tenant_id, LOG_BY_ENTRY, 0, false, on_entry, &w, &err))
        say("damaged", view_of(err.text));
    if (head.n != w.n || head.seq != w.seq)
        printf("damaged %s: the head is at %llu, %llu\n", tenant_id, (unsigned long long)head.n,
               (unsigned long long)head.seq);
    printf("tenant [\"%s\",\"%s\",%llu,%llu,%llu]\n", tenant_id, head.epoch, (unsigned long long)head.n,
           (unsigned long long)head.seq, (unsigned long long)head.published);
    walk_documents(&w, DOC_MESSAGE);
    walk_documents(&w, DOC_CONVERSATION);
}

static bool on_channel(void *ctx, const struct channel *channel)
{
    (void)ctx;
    say("channel", view_of(channel->phone_number_id));
    return true;
}

static bool on_quarantined(void *ctx, const char *digest, const struct quarantined *row)
{
    (void)ctx;
    (void)digest;
    say("waiting", row->bytes);
    return true;
}

static void walk_store(struct store *store)
{
    struct err err = {0};
    struct walk names = {.store = store};
    char before[sizeof names.last];
    do {
        memcpy(before, names.last, sizeof before);
        must(store->ops->tenants(store, view_of(before), 1, on_tenant, &names, &err), &err);
        if (strcmp(before, names.last) != 0)
            walk_tenant(store, names.last);
    } while (strcmp(before, names.last) != 0);
    must(store->ops->channels(store, view_of(""), PAGE, on_channel, NULL, &err), &err);
    must(store->ops->quarantine_scan(store, view_of(""), PAGE, on_quarantined, NULL, &err), &err);
}

static void check(const char *url)
{
    struct err err = {0};
    struct store *store = store_open(url, STORE_WRITER, &err);
    if (store) {
        check_pages(url + strlen("sqlite:"));
        walk_store(store);
        store_close(store);
    } else {
        say("refused", view_of(err.text));
    }
    printf("end\n");
    fflush(stdout);
}

int main(void)
{
    char url[URL_SIZE];
    while (fgets(url, sizeof url, stdin)) {
        url[strcspn(url, "\n")] = 0;
        check(url);
    }
    return 0;
}
