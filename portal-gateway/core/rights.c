#include "portal-gateway/core/rights.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/tenant.h"
#include "shared/mem.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_BYTES_MAX = 64 << 10 };

/* A room's: wanted, then asked, then known until its time is over; what is known may be wanted again before.
 */
struct right {
    struct list in_list; /* r->wanted, r->asked, or r->known[whether there is such a room] */
    struct list waiting; /* of struct rights_wait */
    int64_t until_ms;    /* 0: not known */
    bool is_wanted;      /* or asked */
    char *said;          /* of the room, JSON; NULL: there is none, or it is not known */
    size_t room_bytes;
    char room[];
};

struct rights {
    struct tenant *tenant;
    struct map by_room;
    struct list wanted, asked;
    struct list known[2]; /* [yes]: each in order of its time */
    size_t known_count;
    struct ask ask;
};

static struct view room_of(const struct right *right)
{
    return (struct view){right->room, right->room_bytes};
}

static void on_rights(struct ask *ask, const struct answer *a);

struct rights *rights_create(struct tenant *t)
{
    struct rights *r = xcalloc(1, sizeof *r);
    r->tenant = t;
    map_init(&r->by_room);
    list_init(&r->wanted);
    list_init(&r->asked);
    list_init(&r->known[0]);
    list_init(&r->known[1]);
    r->ask.on_answer = on_rights;
    return r;
}

static void forget(struct rights *r, struct right *right)
{
    assert(list_empty(&right->waiting));
    r->known_count -= !right->is_wanted;
    list_unlink(&right->in_list);
    map_remove(&r->by_room, room_of(right));
    free(right->said);
    free(right);
}

static void forget_all(struct rights *r, struct list *rights)
{
    while (!list_empty(rights))
        forget(r, container_of(rights->next, struct right, in_list));
}

void rights_destroy(struct rights *r)
{
    if (!r)
        return;
    asks_cancel(r->tenant->hub, &r->ask);
    forget_all(r, &r->wanted);
    forget_all(r, &r->asked);
    forget_all(r, &r->known[0]);
    forget_all(r, &r->known[1]);
    map_free(&r->by_room);
    free(r);
}

void rights_wait_init(struct rights_wait *w, void (*on_answer)(struct rights_wait *, const struct answer *))
{
    list_init(&w->in_right);
    w->on_answer = on_answer;
}

void rights_cancel(struct rights_wait *w)
{
    list_unlink(&w->in_right);
}

void rights_write_rooms(struct json_writer *w, const struct view *rooms, size_t count)
{
    jw_key(w, "rooms");
    jw_begin(w, '[');
    for (size_t i = 0; i < count; i++)
        jw_text(w, rooms[i]);
    jw_end(w, ']');
}

struct view rights_read(struct view body, struct view room)
{
    struct view name, value;
    char plain[EVENT_ROOM_BYTES_MAX + 1];
    for (struct json_iter it = json_iter(json_get(body, "rooms")); json_next_member(&it, &name, &value);)
        if (json_copy_string(name, plain, sizeof plain) && view_eq(view_of(plain), room))
            return value;
    return (struct view){NULL, 0};
}

/* Asks for what is wanted, unless a question is on its way. */
static void ask_next(struct rights *r)
{
    struct view rooms[RIGHTS_PER_REQUEST];
    size_t count = 0;
    struct buf b;
    struct json_writer w;
    if (r->ask.token || list_empty(&r->wanted))
        return;
    list_foreach(node, &r->wanted)
    {
        if (count == RIGHTS_PER_REQUEST)
            break;
        rooms[count++] = room_of(container_of(node, struct right, in_list));
        list_unlink(node);
        list_append(&r->asked, node);
    }
    buf_init(&b, REQUEST_BYTES_MAX);
    ask_begin(&w, &b, r->tenant->id, "rights");
    rights_write_rooms(&w, rooms, count);
    jw_end(&w, '}');
    asks_send(r->tenant->hub, &r->ask, r->tenant->id, buf_view(&b));
    buf_free(&b);
}

static void answer_of(const char *said, struct answer *out)
{
    *out = (struct answer){.ok = said != NULL, .body = view_of(said)};
    if (said)
        return;
    snprintf(out->code, sizeof out->code, "%s", err_code_name(ERR_NOT_FOUND));
    snprintf(out->text, sizeof out->text, "no such room");
}

static struct right *first_of(struct list *rights)
{
    return list_empty(rights) ? NULL : container_of(rights->next, struct right, in_list);
}

/* Forgets what is no longer believed, and what is too much. */
static void make_place(struct rights *r, int64_t now_ms)
{
    struct right *first;
    for (size_t yes = 0; yes < 2; yes++)
        while ((first = first_of(&r->known[yes])) && first->until_ms <= now_ms)
            forget(r, first);
    while (r->known_count >= RIGHTS_KEPT_MAX)
        forget(r, first_of(&r->known[list_empty(&r->known[0])]));
}

static void keep(struct rights *r, struct right *right, const char *said, int64_t now_ms)
{
    bool yes = said != NULL;
    make_place(r, now_ms);
    free(right->said);
    right->said = said ? xstrdup(said) : NULL;
    right->is_wanted = false;
    right->until_ms = now_ms + (yes ? RIGHTS_YES_MS : RIGHTS_NO_MS);
    list_append(&r->known[yes], &right->in_list);
    r->known_count++;
}

/* Nobody said anything new of it: as before. Its time is about to be over: it stands where that is looked
 * for. */
static void believe_on(struct rights *r, struct right *right)
{
    right->is_wanted = false;
    list_append(r->known[right->said != NULL].next, &right->in_list); /* in front */
    r->known_count++;
}

static void tell(struct list *waiting, const struct answer *a)
{
    while (!list_empty(waiting)) {
        struct rights_wait *w = container_of(waiting->next, struct rights_wait, in_right);
        list_unlink(&w->in_right);
        w->on_answer(w, a);
    }
}

/* Those who are told may ask again, and may go, from within: what they could touch is put in order before. */
static void settle(struct rights *r, struct right *right, const struct answer *a, int64_t now_ms)
{
    struct answer known;
    struct list waiting;
    struct view value = a->ok ? rights_read(a->body, room_of(right)) : (struct view){NULL, 0};
    bool exists = json_is_true(value) || json_type(value) == JSON_STRING;
    char *said = exists ? xstrndup(value.p, value.n) : NULL;
    answer_of(said, &known);
    list_init(&waiting);
    list_append_all(&waiting, &right->waiting);
    list_unlink(&right->in_list);
    if (a->ok)
        keep(r, right, said, now_ms);
    else if (right->until_ms > now_ms)
        believe_on(r, right);
    else
        forget(r, right);
    tell(&waiting, a->ok ? &known : a);
    free(said);
}

static void on_rights(struct ask *ask, const struct answer *a)
{
    struct rights *r = container_of(ask, struct rights, ask);
    int64_t now = loop_now_ms(r->tenant->hub->loop);
    struct list answered;
    list_init(&answered);
    list_append_all(&answered, &r->asked);
    while (!list_empty(&answered))
        settle(r, first_of(&answered), a, now);
    ask_next(r);
}

static struct right *want(struct rights *r, struct view room)
{
    struct right *right = xcalloc(1, sizeof *right + room.n + 1);
    memcpy(right->room, room.p, room.n);
    right->room_bytes = room.n;
    list_init(&right->waiting);
    list_init(&right->in_list);
    right->is_wanted = true;
    list_append(&r->wanted, &right->in_list);
    map_put(&r->by_room, room, right);
    return right;
}

/* Who uses a right all the time never waits for it. */
static void renew(struct rights *r, struct right *right, int64_t now_ms)
{
    if (right->is_wanted || !right->said || right->until_ms - now_ms > RIGHTS_RENEW_MS)
        return;
    list_unlink(&right->in_list);
    r->known_count--;
    right->is_wanted = true;
    list_append(&r->wanted, &right->in_list);
    ask_next(r);
}

void rights_ask(struct rights *r, struct rights_wait *w, struct view room, int64_t now_ms)
{
    struct right *right = map_get(&r->by_room, room);
    struct answer known;
    if (right && right->until_ms > now_ms) {
        renew(r, right, now_ms);
        char *said = right->said ? xstrdup(right->said) : NULL; /* who is told may make us forget it */
        answer_of(said, &known);
        w->on_answer(w, &known);
        free(said);
        return;
    }
    if (right && !right->is_wanted) {
        forget(r, right);
        right = NULL;
    }
    if (!right)
        right = want(r, room);
    list_append(&right->waiting, &w->in_right);
    ask_next(r);
}
