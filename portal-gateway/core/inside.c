#include "portal-gateway/core/inside.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/presence.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
    BODY_MAX = 4096,
    FENCES_MAX = 200, /* in one event */
    FENCES_BYTES_MAX = FENCES_MAX * 64 + 256
};

/* --- portalcast:session --- */

/* A later connection of the session has asked for something, wherever: the one that is here was taken over.
 * It is in the log, and so reaches whoever did not hear of the fence. */
static void compare_generation(struct tenant *t, struct session *s, struct view data)
{
    int64_t generation;
    if (!json_i64(json_get(data, "generation"), &generation))
        return;
    hub_hear_generation(t->hub, generation);
    if (s && generation > s->generation)
        session_close(s, CLOSE_TAKEN_OVER);
}

/* The row may have come to what the session knows. */
static void correct_rooms(struct session *s)
{
    const struct roster_row *row = roster_find(&s->tenant->roster, view_of(s->id));
    if (row)
        session_correct_rooms(s, row);
    else
        s->tenant->rooms_doubted = true;
}

static void take_session(struct tenant *t, const struct record *r, uint64_t place)
{
    const struct view data = r->event.data;
    struct position at = {.seq = r->event.seq};
    char pid[SESSION_ID_SIZE], room[EVENT_ROOM_BYTES_MAX + 1];
    memcpy(at.epoch, r->event.epoch, sizeof at.epoch);
    roster_apply(&t->roster, data, &at);
    if (!json_copy_string(json_get(data, "pid"), pid, sizeof pid))
        return;
    struct session *s = map_get(&t->recoverable, view_of(pid));
    compare_generation(t, s, data);
    if (!s || s->state == SESSION_CLOSING || !json_copy_string(json_get(data, "room"), room, sizeof room))
        return;
    struct since since = {.seq = at.seq, .place = place + 1};
    bool in = json_is_true(json_get(data, "in"));
    if (in ? session_join_since(s, view_of(room), &since) : session_leave(s, view_of(room)))
        log_debug("room", "session=%s tenant=%s room=\"%s\" in=%d", s->id, t->id, room, in);
    if (s->rooms_doubted)
        correct_rooms(s);
}

/* --- portalcast:revoked --- */

static void take_revoked(struct tenant *t, const struct record *r, uint64_t place)
{
    (void)place;
    revoked_add(&t->revoked, r->event.data);
    tenant_end_revoked(t);
}

/* --- portalcast:fence --- */

/* {"gateway":tag,"sessions":[[pid,generation],...]} */
struct fences {
    struct tenant *tenant;
    struct buf data;
    struct json_writer w;
    size_t count;
};

static void begin_fences(struct fences *f, struct tenant *t)
{
    f->tenant = t;
    f->count = 0;
    buf_init(&f->data, FENCES_BYTES_MAX);
    jw_init(&f->w, &f->data);
    jw_begin(&f->w, '{');
    jw_key_text(&f->w, "gateway", t->hub->peers.tag);
    jw_key(&f->w, "sessions");
    jw_begin(&f->w, '[');
}

static void add_fence(struct fences *f, const struct session *s)
{
    jw_begin(&f->w, '[');
    jw_text(&f->w, view_of(s->id));
    jw_i64(&f->w, s->generation);
    jw_end(&f->w, ']');
    f->count++;
}

static void publish_fences(struct fences *f)
{
    struct hub *h = f->tenant->hub;
    struct buf body;
    char id[24];
    jw_end(&f->w, ']');
    jw_end(&f->w, '}');
    struct event_draft draft = {
        .type = "portalcast:fence", .class = EVENT_EPHEMERAL, .data = buf_view(&f->data)};
    crypto_random_id("f_", id);
    buf_init(&body, FENCES_BYTES_MAX + BODY_MAX);
    event_encode(&body, &draft, f->tenant->id, id, "", 0, clock_wall_ms());
    h->upstream.publish(h->upstream.ctx, f->tenant->id, draft.type, buf_view(&body));
    buf_free(&f->data);
    buf_free(&body);
}

static void publish_fence(const struct session *s)
{
    struct fences f;
    begin_fences(&f, s->tenant);
    add_fence(&f, s);
    publish_fences(&f);
}

void inside_say_fences(struct tenant *t)
{
    struct fences f;
    struct view key;
    void *session;
    size_t at = 0;
    begin_fences(&f, t);
    while (map_next(&t->recoverable, &at, &key, &session)) {
        add_fence(&f, session);
        if (f.count < FENCES_MAX)
            continue;
        publish_fences(&f);
        begin_fences(&f, t);
    }
    if (f.count)
        publish_fences(&f);
    else
        buf_free(&f.data);
}

void inside_fence(struct session *s)
{
    struct hub *h = s->hub;
    int64_t now = clock_wall_ms();
    h->generation = now > h->generation ? now : h->generation + 1;
    s->generation = h->generation;
    publish_fence(s);
}

/* The younger fence wins, whoever's clock is right: who is told of an older one says his own again. */
static void compare_fence(struct tenant *t, const char *pid, int64_t generation, int order)
{
    struct session *s = map_get(&t->recoverable, view_of(pid));
    hub_hear_generation(t->hub, generation);
    if (!s || s->state == SESSION_CLOSING)
        return;
    if (generation > s->generation || (generation == s->generation && order > 0))
        session_close(s, CLOSE_TAKEN_OVER);
    else
        publish_fence(s);
}

static void take_fence(struct tenant *t, const struct record *r, uint64_t place)
{
    (void)place;
    char pid[SESSION_ID_SIZE], gateway[GATEWAY_TAG_SIZE];
    struct view one, id, number;
    int64_t generation;
    if (!json_copy_string(json_get(r->event.data, "gateway"), gateway, sizeof gateway))
        return;
    int order = strcmp(gateway, t->hub->peers.tag);
    struct json_iter it = json_iter(json_get(r->event.data, "sessions"));
    while (order && json_next_element(&it, &one)) {
        struct json_iter pair = json_iter(one);
        if (json_type(one) == JSON_ARRAY && json_next_element(&pair, &id) &&
            json_next_element(&pair, &number) && json_copy_string(id, pid, sizeof pid) &&
            json_i64(number, &generation))
            compare_fence(t, pid, generation, order);
    }
}

/* --- portalcast:presence --- */

static void take_presence(struct tenant *t, const struct record *r, uint64_t place)
{
    (void)place;
    presence_hear(t->presence, r->event.data);
}

/* --- all --- */

static const struct {
    const char *type;
    void (*take)(struct tenant *t, const struct record *r, uint64_t place);
} kinds[] = {
    {"portalcast:session", take_session},
    {"portalcast:revoked", take_revoked},
    {"portalcast:fence", take_fence},
    {"portalcast:presence", take_presence},
};

void inside_take(struct tenant *t, const struct record *r, uint64_t place)
{
    for (size_t i = 0; i < countof(kinds); i++)
        if (!strcmp(r->event.type, kinds[i].type))
            kinds[i].take(t, r, place);
}

/* --- the end of a session, said once --- */

struct farewell {
    struct ask ask;
    struct hub *hub;
    char id[SESSION_ID_SIZE], tenant_id[TENANT_ID_MAX + 1];
};

/* It goes on elsewhere: what we have noted of its end does not hold. */
static void take_back(const struct farewell *f)
{
    struct tenant *t = map_get(&f->hub->tenants, view_of(f->tenant_id));
    if (t)
        roster_forget(&t->roster);
}

static void on_recorded(struct ask *ask, const struct answer *answer)
{
    struct farewell *f = container_of(ask, struct farewell, ask);
    if (!answer->ok)
        log_warn("end_unrecorded", "session=%s code=%s why=\"%s\"", f->id, answer->code, answer->text);
    if (!strcmp(answer->code, err_code_name(ERR_CONFLICT)))
        take_back(f);
    free(f);
}

void inside_end(struct session *s)
{
    struct buf request;
    struct json_writer w;
    struct farewell *f = xcalloc(1, sizeof *f);
    f->ask.on_answer = on_recorded;
    f->hub = s->hub;
    memcpy(f->id, s->id, sizeof f->id);
    memcpy(f->tenant_id, s->tenant->id, sizeof f->tenant_id);
    roster_end(&s->tenant->roster, view_of(s->id));
    buf_init(&request, BODY_MAX);
    ask_begin(&w, &request, s->tenant->id, "command");
    jw_key_text(&w, "author", s->sub);
    jw_key_text(&w, "command", "session");
    jw_key(&w, "body");
    jw_begin(&w, '{');
    jw_key_text(&w, "pid", s->id);
    jw_key_i64(&w, "generation", s->generation);
    jw_key_bool(&w, "ended", true);
    jw_end(&w, '}');
    jw_end(&w, '}');
    asks_send(s->hub, &f->ask, s->tenant->id, buf_view(&request));
    buf_free(&request);
}
