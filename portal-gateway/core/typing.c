#include "portal-gateway/core/typing.h"
#include "portal-gateway/core/client_event.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPEAT_MS = 3000, /* the same, said again, goes out no more often */
    CHANGE_MS = 500,  /* nor does another; the last one goes out in the end */
    SAYS_MAX = 8,     /* spots of one session at a time */
    HEARD_MAX = 4096, /* of a tenant; the oldest ends early */
    BODY_BYTES_MAX = 4096
};

/* What one session says of one spot. */
struct say {
    struct typing_spot spot;
    bool wants; /* as the client said last */
    bool told;  /* as the others know it */
    int64_t told_ms;
};

struct typist {
    struct list in_typists;
    struct session *s;
    size_t count;
    struct say says[SAYS_MAX];
};

/* Somebody types somewhere, as was heard from the exchange. */
struct heard {
    struct list in_heard;
    int64_t until_ms;
    struct typing_spot spot;
    char user[TOKEN_NAME_MAX + 1];
    char except[TOKEN_NAME_MAX + 1];
};

struct typing {
    struct tenant *tenant;
    struct map by_session; /* its id -> struct typist */
    struct list typists;
    struct map by_name; /* room and user -> struct heard */
    struct list heard;  /* in order of their ends */
};

struct name {
    char bytes[EVENT_ROOM_BYTES_MAX + 1 + TOKEN_NAME_MAX];
    size_t n;
};

/* --- spots --- */

struct kind {
    const char *argument, *prefix, *suffix;
    bool plain_ids; /* CONVERSATION_ID_MAX letters, digits, _ and - */
};

/* The kinds of spots one after another; false: that was the last. */
static bool next_kind(const struct policy *policy, size_t *at, struct kind *out)
{
    size_t i = (*at)++, before = policy->agent_portal;
    if (i < before) {
        *out = (struct kind){"conversationId", "conversation:", "", true};
        return true;
    }
    for (size_t k = 0; policy->profiles && k < policy->profiles->count; k++) {
        const struct profile *p = policy->profiles->items[k];
        if (i - before < p->typing_count) {
            const struct typing_rule *rule = &p->typing[i - before];
            *out = (struct kind){rule->argument, rule->prefix, rule->suffix, false};
            return true;
        }
        before += p->typing_count;
    }
    return false;
}

static bool fill_spot(const struct kind *kind, struct view id, struct typing_spot *out)
{
    out->argument = kind->argument;
    if (!id.n || !view_copy(id, out->id, sizeof out->id) ||
        (kind->plain_ids && !view_is_name(id, CONVERSATION_ID_MAX, "_-")))
        return false;
    int n = snprintf(out->room, sizeof out->room, "%s%s%s", kind->prefix, out->id, kind->suffix);
    return n < (int)sizeof out->room;
}

bool typing_spot_named(const struct policy *policy, struct view argument, struct typing_spot *out)
{
    struct kind kind;
    char id[TYPING_ID_MAX + 1];
    for (size_t at = 0; next_kind(policy, &at, &kind);)
        if (json_copy_string(json_get(argument, kind.argument), id, sizeof id) &&
            fill_spot(&kind, view_of(id), out))
            return true;
    return false;
}

bool typing_spot_of(const struct policy *policy, struct view room, struct typing_spot *out)
{
    struct kind kind;
    for (size_t at = 0; next_kind(policy, &at, &kind);) {
        size_t prefix = strlen(kind.prefix), suffix = strlen(kind.suffix);
        if (room.n <= prefix + suffix || !view_starts(room, kind.prefix))
            continue;
        struct view id = {room.p + prefix, room.n - prefix - suffix};
        if (view_is((struct view){id.p + id.n, suffix}, kind.suffix) && fill_spot(&kind, id, out))
            return true;
    }
    return false;
}

/* --- life --- */

struct typing *typing_create(struct tenant *t)
{
    struct typing *ty = xcalloc(1, sizeof *ty);
    ty->tenant = t;
    map_init(&ty->by_session);
    map_init(&ty->by_name);
    list_init(&ty->typists);
    list_init(&ty->heard);
    return ty;
}

/* room, NUL, user: neither holds a NUL. */
static struct name name_of(const struct heard *hd)
{
    struct name name;
    size_t room = strlen(hd->spot.room) + 1, user = strlen(hd->user);
    memcpy(name.bytes, hd->spot.room, room);
    memcpy(name.bytes + room, hd->user, user);
    name.n = room + user;
    return name;
}

static void remove_heard(struct typing *ty, struct heard *hd)
{
    struct name name = name_of(hd);
    map_remove(&ty->by_name, (struct view){name.bytes, name.n});
    list_unlink(&hd->in_heard);
    free(hd);
}

static void remove_typist(struct typing *ty, struct typist *tp)
{
    map_remove(&ty->by_session, view_of(tp->s->id));
    list_unlink(&tp->in_typists);
    free(tp);
}

void typing_destroy(struct typing *ty)
{
    if (!ty)
        return;
    while (!list_empty(&ty->typists))
        remove_typist(ty, container_of(ty->typists.next, struct typist, in_typists));
    while (!list_empty(&ty->heard))
        remove_heard(ty, container_of(ty->heard.next, struct heard, in_heard));
    map_free(&ty->by_session);
    map_free(&ty->by_name);
    free(ty);
}

static void write_rooms(const struct typing_spot *spot, struct buf *out)
{
    buf_init(out, BODY_BYTES_MAX);
    buf_add_char(out, '[');
    json_put_string(out, view_of(spot->room));
    buf_add_char(out, ']');
}

/* The body of an event. */
static void write_event(struct buf *out, const struct typing *ty, const struct heard *hd, bool is_typing)
{
    char id[EVENT_ID_MAX + 1];
    struct buf data, rooms;
    struct json_writer w;
    crypto_random_id("e_", id);
    write_rooms(&hd->spot, &rooms);
    buf_init(&data, BODY_BYTES_MAX);
    jw_init(&w, &data);
    jw_begin(&w, '{');
    jw_key_text(&w, hd->spot.argument, hd->spot.id);
    jw_key_text(&w, "userId", hd->user);
    jw_key_bool(&w, "isTyping", is_typing);
    jw_end(&w, '}');
    struct event_draft draft = {.type = "typing",
                                .class = EVENT_EPHEMERAL,
                                .rooms = buf_view(&rooms),
                                .except = hd->except,
                                .data = buf_view(&data)};
    event_encode(out, &draft, ty->tenant->id, id, "", 0, clock_wall_ms());
    buf_free(&data);
    buf_free(&rooms);
}

/* --- saying --- */

static void publish(struct typing *ty, const struct session *s, struct say *say, int64_t now_ms)
{
    struct hub *h = ty->tenant->hub;
    struct heard hd = {.spot = say->spot};
    struct buf body;
    snprintf(hd.user, sizeof hd.user, "%s", s->sub);
    snprintf(hd.except, sizeof hd.except, "%s", s->id);
    say->told = say->wants;
    say->told_ms = now_ms;
    buf_init(&body, BODY_BYTES_MAX);
    write_event(&body, ty, &hd, say->told);
    h->upstream.publish(h->upstream.ctx, ty->tenant->id, "typing", buf_view(&body));
    buf_free(&body);
}

/* Whether nobody would miss it: the others have forgotten what was said, or know that it is over. */
static bool is_over(const struct say *say, int64_t now_ms)
{
    int64_t age = now_ms - say->told_ms;
    return age >= TYPING_MS || (!say->wants && !say->told && age >= REPEAT_MS);
}

static void drop_over(struct typist *tp, int64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < tp->count; i++)
        if (!is_over(&tp->says[i], now_ms))
            tp->says[kept++] = tp->says[i];
    tp->count = kept;
}

static struct typist *typist_of(struct typing *ty, struct session *s)
{
    struct typist *tp = map_get(&ty->by_session, view_of(s->id));
    if (tp)
        return tp;
    tp = xcalloc(1, sizeof *tp);
    tp->s = s;
    list_init(&tp->in_typists);
    list_append(&ty->typists, &tp->in_typists);
    map_put(&ty->by_session, view_of(s->id), tp);
    return tp;
}

static struct say *find_say(struct typist *tp, const struct typing_spot *spot)
{
    for (size_t i = 0; i < tp->count; i++)
        if (!strcmp(tp->says[i].spot.room, spot->room))
            return &tp->says[i];
    return NULL;
}

void typing_say(struct typing *ty, struct session *s, const struct typing_spot *spot, bool is_typing)
{
    int64_t now = loop_now_ms(ty->tenant->hub->loop);
    struct typist *tp = typist_of(ty, s);
    drop_over(tp, now);
    struct say *say = find_say(tp, spot);
    if (!say && tp->count == SAYS_MAX)
        return; /* nobody types in so many at once */
    if (!say) {
        say = &tp->says[tp->count++];
        *say = (struct say){.spot = *spot, .told = !is_typing, .told_ms = now - REPEAT_MS};
    }
    say->wants = is_typing;
    if (now - say->told_ms >= (say->wants == say->told ? REPEAT_MS : CHANGE_MS))
        publish(ty, s, say, now);
}

void typing_forget(struct typing *ty, struct session *s)
{
    struct typist *tp = map_get(&ty->by_session, view_of(s->id));
    if (!tp)
        return;
    int64_t now = loop_now_ms(ty->tenant->hub->loop);
    for (size_t i = 0; i < tp->count; i++) {
        tp->says[i].wants = false;
        if (tp->says[i].told && now - tp->says[i].told_ms < TYPING_MS)
            publish(ty, s, &tp->says[i], now);
    }
    remove_typist(ty, tp);
}

/* Tells what had to wait, and forgets what is over. */
static void tick_says(struct typing *ty, int64_t now_ms)
{
    list_foreach(node, &ty->typists)
    {
        struct typist *tp = container_of(node, struct typist, in_typists);
        for (size_t i = 0; i < tp->count; i++)
            if (tp->says[i].wants != tp->says[i].told && now_ms - tp->says[i].told_ms >= CHANGE_MS)
                publish(ty, tp->s, &tp->says[i], now_ms);
        drop_over(tp, now_ms);
        if (!tp->count)
            remove_typist(ty, tp);
    }
}

/* --- hearing --- */

/* What an event says, when it is one as we write them. */
static bool read_event(const struct typing *ty, const struct record *r, struct heard *out, bool *is_typing)
{
    const struct view data = r->event.data, value = json_get(data, "isTyping");
    struct buf rooms;
    *out = (struct heard){0};
    *is_typing = json_is_true(value);
    if (json_type(value) != JSON_BOOL || r->event.class != EVENT_EPHEMERAL ||
        !typing_spot_named(ty->tenant->hub->policy, data, &out->spot) ||
        !json_copy_string(json_get(data, "userId"), out->user, sizeof out->user))
        return false;
    memcpy(out->except, r->event.except, sizeof out->except);
    write_rooms(&out->spot, &rooms);
    bool ours = view_eq(r->event.rooms, buf_view(&rooms));
    buf_free(&rooms);
    return ours;
}

/* Says to those here that somebody has stopped. */
static void end(struct typing *ty, struct heard *hd, int64_t now_ms)
{
    struct err err;
    struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    write_event(&body, ty, hd, false);
    struct record *r = record_create(buf_view(&body), &err);
    if (r)
        stream_offer(&ty->tenant->stream, r, now_ms);
    else
        log_error("typing_unsaid", "tenant=%s why=\"%s\"", ty->tenant->id, err.text);
    buf_free(&body);
    remove_heard(ty, hd);
}

static struct heard *first_heard(const struct typing *ty)
{
    return list_empty(&ty->heard) ? NULL : container_of(ty->heard.next, struct heard, in_heard);
}

void typing_hear(struct typing *ty, const struct record *r, int64_t now_ms)
{
    struct heard said;
    bool is_typing;
    if (!read_event(ty, r, &said, &is_typing))
        return;
    struct name name = name_of(&said);
    struct heard *hd = map_get(&ty->by_name, (struct view){name.bytes, name.n});
    if (hd)
        remove_heard(ty, hd);
    if (!is_typing)
        return;
    if (ty->by_name.count >= HEARD_MAX)
        end(ty, first_heard(ty), now_ms);
    hd = xcalloc(1, sizeof *hd);
    *hd = said;
    hd->until_ms = now_ms + TYPING_MS;
    list_init(&hd->in_heard);
    list_append(&ty->heard, &hd->in_heard);
    map_put(&ty->by_name, (struct view){name.bytes, name.n}, hd);
}

void typing_tick(struct typing *ty, int64_t now_ms)
{
    struct heard *hd;
    bool ended = false;
    tick_says(ty, now_ms);
    for (; (hd = first_heard(ty)) && hd->until_ms <= now_ms; ended = true)
        end(ty, hd, now_ms);
    if (!ended)
        return;
    tenant_mark(ty->tenant);
    loop_wake_signal(ty->tenant->hub->wake);
}
