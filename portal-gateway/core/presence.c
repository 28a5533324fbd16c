#include "portal-gateway/core/presence.h"
#include "portal-gateway/core/attendance.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/news.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
    RENEWALS_PER_LEASE = 3,
    TICK_SLACK_MS = 500, /* a tick that comes a little early need not wait for the next one */
    EVENT_ID_CHARS = 24
};

/* kind, name; a higher one says more */
#define KINDS(X)      \
    X(DELTA, "delta") \
    X(ALL, "all")     \
    X(ASK, "ask")     \
    X(LEAVING, "leaving")

enum kind {
#define X(id, name) KIND_##id,
    KINDS(X)
#undef X
};

static const char *const kind_names[] = {
#define X(id, name) name,
    KINDS(X)
#undef X
};

struct presence {
    struct tenant *t;
    struct attendance people;
    struct loop_timer *timer;
    bool silent;             /* we are leaving */
    bool crowded;            /* it has been logged that there are too many */
    enum kind due;           /* what is to be said next */
    int64_t ticked_ms;       /* the last tick */
    int64_t gathered_ms;     /* what there was was said, and told if it was time */
    int64_t told_ms;         /* something was told */
    int64_t renew_at_ms;     /* everything is to be said again */
    int64_t own_ms;          /* we heard ourselves */
    uint64_t rev;            /* of the last presence_update */
    size_t counted, waiting; /* in the meters */
};

static int64_t now_of(const struct presence *p)
{
    int64_t now = loop_now_ms(p->t->hub->loop);
    return now > p->ticked_ms ? now : p->ticked_ms;
}

/* What has changed is told and said soon: at once, when it is the first in a while. */
static void arm(struct presence *p)
{
    int64_t wait = p->gathered_ms + PRESENCE_GATHER_MS - now_of(p);
    loop_timer_start(p->timer, wait > 0 ? wait : 0, 0);
}

static void say_more(struct presence *p, enum kind kind)
{
    if (kind > p->due)
        p->due = kind;
    arm(p);
}

/* --- to the other gateways --- */

struct message {
    struct buf text;
    struct json_writer w;
    unsigned users;
};

static void begin_message(const struct presence *p, struct message *m)
{
    m->users = 0;
    buf_init(&m->text, EVENT_BODY_MAX);
    jw_init(&m->w, &m->text);
    jw_begin(&m->w, '{');
    jw_key_text(&m->w, "gateway", p->t->hub->peers.tag);
    jw_key_text(&m->w, "kind", kind_names[p->due]);
    jw_key(&m->w, "users");
    jw_begin(&m->w, '[');
}

static void end_message(const struct presence *p, struct message *m)
{
    const struct upstream *up = &p->t->hub->upstream;
    char id[EVENT_ID_CHARS];
    struct buf body;
    jw_end(&m->w, ']');
    jw_end(&m->w, '}');
    struct event_draft draft = {
        .type = "portalcast:presence", .class = EVENT_EPHEMERAL, .data = buf_view(&m->text)};
    crypto_random_id("e_", id);
    buf_init(&body, EVENT_BODY_MAX);
    event_encode(&body, &draft, p->t->id, id, NULL, 0, clock_wall_ms());
    up->publish(up->ctx, p->t->id, draft.type, buf_view(&body));
    buf_free(&body);
    buf_free(&m->text);
}

static void add_user(const struct presence *p, struct message *m, const struct attendance_saying *s)
{
    if (m->users == PRESENCE_SAID_AT_ONCE) {
        end_message(p, m);
        begin_message(p, m);
    }
    m->users++;
    jw_begin(&m->w, '[');
    jw_text(&m->w, view_of(s->sub));
    jw_text(&m->w, view_of(presence_status_name(s->claim.status)));
    jw_i64(&m->w, s->claim.set_ms);
    if (!s->here)
        jw_bool(&m->w, false);
    jw_end(&m->w, ']');
}

static void say_what_is_due(struct presence *p, struct message *m)
{
    struct attendance_saying s;
    size_t at = 0;
    while (attendance_next_unsaid(&p->people, &s))
        if (p->due == KIND_DELTA || !s.here)
            add_user(p, m, &s);
    if (p->due == KIND_DELTA)
        return;
    while (attendance_next_here(&p->people, &at, &s))
        add_user(p, m, &s);
    p->renew_at_ms = now_of(p) + p->people.lease_ms / RENEWALS_PER_LEASE - TICK_SLACK_MS;
}

/* What cannot be said now is said with the next renewal; who left meanwhile is missed by his lease. */
static void say(struct presence *p)
{
    struct attendance_saying s;
    struct message m;
    if (p->silent || !p->t->hub->rpc_up) {
        while (attendance_next_unsaid(&p->people, &s))
            ;
        return;
    }
    if (p->due == KIND_DELTA && list_empty(&p->people.unsaid))
        return;
    begin_message(p, &m);
    say_what_is_due(p, &m);
    end_message(p, &m);
    p->due = KIND_DELTA;
}

/* --- to the sockets here --- */

static struct record *record_of(struct presence *p, const struct attendance_change *change)
{
    struct buf data, body;
    struct json_writer w;
    struct err err = {0};
    char id[EVENT_ID_CHARS];
    buf_init(&data, EVENT_BODY_MAX);
    jw_init(&w, &data);
    jw_begin(&w, '{');
    jw_key_text(&w, "userId", change->sub);
    jw_key_text(&w, "status", presence_status_name(change->status));
    jw_end(&w, '}');
    struct event_draft draft = {.type = "presence_update",
                                .class = EVENT_LATEST,
                                .key = view_of(change->sub),
                                .rev = ++p->rev,
                                .rooms = p->t->hub->policy->presence_rooms,
                                .data = buf_view(&data)};
    crypto_random_id("e_", id);
    buf_init(&body, EVENT_BODY_MAX);
    event_encode(&body, &draft, p->t->id, id, NULL, 0, clock_wall_ms());
    struct record *r = record_create(buf_view(&body), &err);
    buf_free(&data);
    buf_free(&body);
    if (!r)
        log_error("presence_untold", "tenant=%s why=\"%s\"", p->t->id, err.text);
    else
        r->own = true;
    return r;
}

/* How many times the usual is gathered: to whom there are many sockets to write to, it is seldom. */
static int slowness(const struct presence *p)
{
    size_t sockets = p->t->everyone->count / PRESENCE_SOCKETS;
    return sockets < PRESENCE_SLOWEST ? (int)sockets + 1 : PRESENCE_SLOWEST;
}

static void tell(struct presence *p)
{
    struct attendance_change change;
    int64_t now = now_of(p);
    int slow = slowness(p);
    if (!p->t->stream.placed || now - p->told_ms < slow * PRESENCE_GATHER_MS)
        return;
    for (int n = 0; n < slow * PRESENCE_TOLD_AT_ONCE && attendance_next_change(&p->people, now, &change);
         n++) {
        struct record *r = record_of(p, &change);
        p->told_ms = now;
        if (!r)
            continue;
        news_offer(p->t, r);
        if (change.status == PRESENCE_OFFLINE)
            latest_forget_own(&p->t->stream.latest, "presence_update", change.sub);
    }
}

static void show(struct presence *p)
{
    const struct attendance *r = &p->people;
    meter_add(PRESENT, (int64_t)r->told - (int64_t)p->counted);
    meter_add(PRESENCE_HIDDEN, (int64_t)r->waiting - (int64_t)p->waiting);
    p->counted = r->told;
    p->waiting = r->waiting;
    if (r->waiting && !p->crowded) {
        p->crowded = true;
        log_warn("presence_full", "tenant=%s users=%zu more=%zu", p->t->id, r->admitted, r->waiting);
    }
}

static void on_gathered(void *ctx)
{
    struct presence *p = ctx;
    p->gathered_ms = now_of(p);
    say(p);
    tell(p);
    show(p);
    if (!list_empty(&p->people.changed) && p->t->stream.placed)
        arm(p);
}

/* --- what happens --- */

void presence_arrive(struct presence *p, const char *sub)
{
    if (!p)
        return;
    attendance_arrive(&p->people, sub);
    arm(p);
}

void presence_depart(struct presence *p, const char *sub)
{
    if (!p)
        return;
    attendance_depart(&p->people, sub, now_of(p));
    arm(p);
}

bool presence_set(struct presence *p, const char *sub, struct view name)
{
    enum presence_status status;
    if (!presence_status_parse(name, &status) || status == PRESENCE_OFFLINE)
        return false;
    if (p) {
        attendance_set(&p->people, sub, status, clock_wall_ms());
        arm(p);
    }
    return true;
}

static void hear_ourselves(struct presence *p)
{
    int64_t now = now_of(p);
    if (now - p->own_ms > p->people.lease_ms / 2)
        attendance_excuse(&p->people, now);
    p->own_ms = now;
}

/* False: written by somebody newer than we are. */
static bool read_user(struct view user, char sub[static TOKEN_NAME_MAX + 1], struct claim *claim, bool *here)
{
    struct view part[4] = {{NULL, 0}}, element, status;
    struct json_iter it = json_iter(user);
    for (size_t n = 0; n < countof(part) && json_next_element(&it, &element); n++)
        part[n] = element;
    *here = !part[3].n || json_is_true(part[3]);
    return json_copy_string(part[0], sub, TOKEN_NAME_MAX + 1) && *sub &&
           json_plain_string(part[1], &status) && presence_status_parse(status, &claim->status) &&
           claim->status != PRESENCE_OFFLINE && json_i64(part[2], &claim->set_ms) && claim->set_ms >= 0 &&
           claim->set_ms < INT64_MAX;
}

static void hear_users(struct presence *p, const char *gateway, struct view users)
{
    struct view user;
    struct json_iter it = json_iter(users);
    while (json_next_element(&it, &user)) {
        char sub[TOKEN_NAME_MAX + 1];
        struct claim claim;
        bool here;
        if (read_user(user, sub, &claim, &here))
            (here ? attendance_hold : attendance_unhold)(&p->people, gateway, sub, &claim, now_of(p));
    }
}

static bool read_kind(struct view value, enum kind *out)
{
    for (size_t i = 0; i < countof(kind_names); i++)
        if (json_string_is(value, kind_names[i])) {
            *out = (enum kind)i;
            return true;
        }
    return false;
}

void presence_hear(struct presence *p, struct view data)
{
    char gateway[GATEWAY_TAG_SIZE];
    enum kind kind;
    if (!p || !json_copy_string(json_get(data, "gateway"), gateway, sizeof gateway) ||
        !read_kind(json_get(data, "kind"), &kind))
        return;
    if (strcmp(gateway, p->t->hub->peers.tag) == 0) {
        hear_ourselves(p);
        return;
    }
    hear_users(p, gateway, json_get(data, "users"));
    if (kind == KIND_LEAVING)
        attendance_release(&p->people, gateway, now_of(p));
    say_more(p, kind == KIND_ASK ? KIND_ALL : KIND_DELTA);
}

void presence_bound(struct presence *p)
{
    if (p)
        say_more(p, KIND_ASK);
}

void presence_repeat(struct presence *p)
{
    if (!p)
        return;
    attendance_repeat(&p->people);
    arm(p);
}

void presence_leave(struct presence *p)
{
    if (!p)
        return;
    p->due = KIND_LEAVING;
    if (p->t->hub->rpc_up) {
        struct message m;
        begin_message(p, &m);
        end_message(p, &m);
    }
    p->silent = true;
}

void presence_tick(struct presence *p, int64_t now_ms)
{
    if (!p)
        return;
    if (now_ms > p->ticked_ms)
        p->ticked_ms = now_ms;
    int64_t now = now_of(p);
    attendance_age(&p->people, now, now - p->own_ms <= p->people.lease_ms / 2);
    if (now >= p->renew_at_ms)
        say_more(p, KIND_ALL);
    if (p->due != KIND_DELTA || !list_empty(&p->people.changed) || !list_empty(&p->people.unsaid))
        arm(p);
    show(p);
}

/* --- life --- */

struct presence *presence_create(struct tenant *t)
{
    const struct policy *policy = t->hub->policy;
    if (!policy->presence_users)
        return NULL;
    struct presence *p = xcalloc(1, sizeof *p);
    p->t = t;
    attendance_init(&p->people, policy->presence_users, policy->presence_lease_ms);
    p->timer = loop_timer_create(t->hub->loop, on_gathered, p);
    p->own_ms = now_of(p);
    p->renew_at_ms = p->own_ms + p->people.lease_ms / RENEWALS_PER_LEASE;
    p->gathered_ms = p->own_ms - PRESENCE_GATHER_MS;
    p->told_ms = p->own_ms - PRESENCE_SLOWEST * PRESENCE_GATHER_MS;
    return p;
}

void presence_destroy(struct presence *p)
{
    if (!p)
        return;
    attendance_finish(&p->people);
    p->people = (struct attendance){0};
    show(p);
    loop_timer_destroy(p->timer);
    free(p);
}
