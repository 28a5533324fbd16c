#include "portal-gateway/core/roster.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/tenant.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum { REQUEST_MAX = 1024, ROWS_MAX = 100000, NEWS_MAX = 10000, NAME_SIZE = EVENT_ROOM_BYTES_MAX + 1 };

static void row_destroy(struct roster_row *row)
{
    for (size_t i = 0; i < row->count; i++)
        free(row->rooms[i].name);
    free(row->rooms);
    free(row);
}

static void clear(struct roster *r)
{
    size_t at = 0;
    struct view key;
    void *row;
    while (map_next(&r->rows, &at, &key, &row))
        row_destroy(row);
    map_free(&r->rows);
}

static void drop_news(struct roster *r)
{
    for (struct roster_news *next, *each = r->news; each; each = next) {
        next = each->next;
        free(each);
    }
    r->news = NULL;
    r->last_news = &r->news;
    r->news_count = 0;
}

void roster_forget(struct roster *r)
{
    asks_cancel(r->tenant->hub, &r->ask);
    drop_news(r);
    clear(r);
    r->state = ROSTER_UNREAD;
}

void roster_finish(struct roster *r)
{
    roster_forget(r);
}

const struct roster_row *roster_find(const struct roster *r, struct view pid)
{
    return map_get(&r->rows, pid);
}

/* --- rows --- */

static struct roster_row *row_of(struct roster *r, struct view pid)
{
    struct roster_row *row = map_get(&r->rows, pid);
    if (!row) {
        row = xcalloc(1, sizeof *row);
        map_put(&r->rows, pid, row);
    }
    return row;
}

static size_t find_room(const struct roster_row *row, const char *name)
{
    size_t i = 0;
    while (i < row->count && strcmp(row->rooms[i].name, name) != 0)
        i++;
    return i;
}

static void put_room(struct roster_row *row, const char *name, const struct position *joined)
{
    if (find_room(row, name) < row->count)
        return; /* since before */
    if (row->count == row->cap) {
        row->cap = row->cap ? row->cap * 2 : 4;
        row->rooms = xrealloc(row->rooms, row->cap * sizeof *row->rooms);
    }
    row->rooms[row->count++] = (struct roster_room){xstrdup(name), *joined};
}

static void drop_room(struct roster_row *row, const char *name)
{
    size_t i = find_room(row, name);
    if (i == row->count)
        return;
    free(row->rooms[i].name);
    row->rooms[i] = row->rooms[--row->count];
}

static bool is_newer(const struct position *a, const struct position *b)
{
    return strcmp(a->epoch, b->epoch) != 0 || a->seq > b->seq;
}

static void apply(struct roster *r, struct view data, const struct position *at)
{
    char pid[NAME_SIZE], room[NAME_SIZE];
    if (!json_copy_string(json_get(data, "pid"), pid, sizeof pid))
        return;
    struct roster_row *row = row_of(r, view_of(pid));
    if (!is_newer(at, &row->changed))
        return; /* the state-manager's answer had it already */
    row->changed = *at;
    row->ended |= json_is_true(json_get(data, "ended"));
    if (!json_copy_string(json_get(data, "room"), room, sizeof room))
        return;
    if (json_is_true(json_get(data, "in")))
        put_room(row, room, at);
    else
        drop_room(row, room);
}

/* A page that is still to come may be from before or from after it. */
static void keep_news(struct roster *r, struct view data, const struct position *at)
{
    struct roster_news *kept = xcalloc(1, sizeof *kept + data.n);
    kept->at = *at;
    kept->n = data.n;
    memcpy(kept->data, data.p, data.n);
    *r->last_news = kept;
    r->last_news = &kept->next;
    r->news_count++;
}

void roster_apply(struct roster *r, struct view data, const struct position *at)
{
    if (r->state == ROSTER_UNREAD)
        return;
    if (r->rows.count >= ROWS_MAX || r->news_count >= NEWS_MAX)
        roster_forget(r); /* it is read again when somebody needs it */
    else if (r->state == ROSTER_READING)
        keep_news(r, data, at);
    else
        apply(r, data, at);
}

void roster_end(struct roster *r, struct view pid)
{
    if (r->rows.count < ROWS_MAX)
        row_of(r, pid)->ended = true;
}

/* --- reading --- */

static void take_doc(struct roster *r, struct view doc)
{
    char pid[NAME_SIZE], room[NAME_SIZE];
    struct position changed, joined;
    struct view name, since;
    int64_t generation;
    if (json_i64(json_get(doc, "generation"), &generation))
        hub_hear_generation(r->tenant->hub, generation);
    if (!json_copy_string(json_get(doc, "pid"), pid, sizeof pid) ||
        !position_read(json_get(doc, "offset"), &changed))
        return;
    struct roster_row *row = row_of(r, view_of(pid));
    while (row->count)
        drop_room(row, row->rooms[0].name);
    row->changed = changed;
    row->ended |= json_is_true(json_get(doc, "ended"));
    for (struct json_iter it = json_iter(json_get(doc, "rooms")); json_next_member(&it, &name, &since);)
        if (json_copy_string(name, room, sizeof room) && position_read(since, &joined))
            put_room(row, room, &joined);
}

static void ask_page(struct roster *r, const char *after)
{
    struct buf request;
    struct json_writer w;
    buf_init(&request, REQUEST_MAX);
    ask_begin(&w, &request, r->tenant->id, "sessions");
    jw_key_text(&w, "after", after);
    jw_end(&w, '}');
    asks_send(r->tenant->hub, &r->ask, r->tenant->id, buf_view(&request));
    buf_free(&request);
}

/* What is recorded of another history says nothing of who is here. */
static void correct_rooms(struct roster *r)
{
    struct tenant *t = r->tenant;
    struct view pid;
    void *session;
    size_t at = 0;
    t->rooms_doubted = false;
    while (map_next(&t->recoverable, &at, &pid, &session)) {
        const struct roster_row *row = roster_find(r, pid);
        if (row && !row->ended && !strcmp(row->changed.epoch, t->stream.at.epoch))
            session_correct_rooms(session, row);
    }
}

static void on_page(struct ask *ask, const struct answer *answer)
{
    struct roster *r = container_of(ask, struct roster, ask);
    char next[NAME_SIZE] = "";
    struct view doc;
    if (!answer->ok) {
        log_warn("roster_unread", "tenant=%s code=%s why=\"%s\"", r->tenant->id, answer->code, answer->text);
        roster_forget(r); /* whoever waits for it has it asked again: tenant_tick() */
        return;
    }
    for (struct json_iter it = json_iter(json_get(answer->body, "sessions")); json_next_element(&it, &doc);)
        take_doc(r, doc);
    if (json_copy_string(json_get(answer->body, "next"), next, sizeof next) && *next &&
        r->rows.count < ROWS_MAX) {
        ask_page(r, next);
        return;
    }
    r->state = ROSTER_READ;
    for (const struct roster_news *each = r->news; each; each = each->next)
        apply(r, (struct view){each->data, each->n}, &each->at);
    drop_news(r);
    if (r->tenant->rooms_doubted)
        correct_rooms(r);
    tenant_open(r->tenant);
}

void roster_init(struct roster *r, struct tenant *t)
{
    *r = (struct roster){.tenant = t, .ask = {.on_answer = on_page}};
    map_init(&r->rows);
    r->last_news = &r->news;
}

void roster_want(struct roster *r)
{
    if (r->state != ROSTER_UNREAD)
        return;
    r->state = ROSTER_READING;
    ask_page(r, "");
}
