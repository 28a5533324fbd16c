#include "tests/unit/cursor_stage.h"
#include "portal-gateway/core/news.h"
#include "shared/compiler.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "tests/unit/dice.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_BYTES = 1024, ANSWER_BYTES = 64 << 10, NEAR = 6, CHUNK_MOST = 20, PAGE_MOST = 3, ROUNDS = 2000 };

struct cursor_net net_of_cursors;

static struct cursor_net *const n = &net_of_cursors;

/* --- the log and the exchange --- */

static void write_rooms(struct buf *b, const struct logged *e)
{
    if (e->everyone || e->inside)
        return;
    buf_add_text(b, ",\"rooms\":[");
    if (e->room != NOBODY)
        buf_addf(b, "\"conversation:c%d\"", e->room);
    if (e->user != NOBODY)
        buf_addf(b, "%s\"user:u%d\"", e->room != NOBODY ? "," : "", e->user);
    buf_add_char(b, ']');
}

static void write_event(struct buf *b, uint64_t seq)
{
    const struct logged *e = &n->log[seq - 1];
    buf_init(b, BODY_BYTES);
    buf_addf(b, "{\"type\":\"%s\",\"tenantId\":\"t1\",\"epoch\":\"%s\",\"seq\":%d",
             e->inside ? "portalcast:session" : "n", n->epoch, (int)seq);
    write_rooms(b, e);
    if (e->except != NOBODY)
        buf_addf(b, ",\"except\":\"u%d\"", e->except);
    if (e->inside)
        buf_addf(b, ",\"data\":%s}", e->data);
    else
        buf_addf(b, ",\"data\":%d}", (int)seq);
}

static struct record *record_of(struct view body)
{
    struct err err = {0};
    struct record *r = record_create(body, &err);
    ck_assert_msg(r != NULL, "%s: %.*s", err.text, VIEW_ARG(body));
    return r;
}

static struct record *read_log(uint64_t after, size_t most)
{
    struct record *first = NULL, **tail = &first;
    for (uint64_t seq = after + 1; seq <= n->count && most; seq++, most--, tail = &(*tail)->next) {
        struct buf b;
        write_event(&b, seq);
        *tail = record_of(buf_view(&b));
        buf_free(&b);
    }
    return first;
}

static void send_to(struct door *d, struct view body)
{
    if (!d->bound)
        return;
    ck_assert_uint_lt(d->due_count, DUE_MOST);
    struct buf *b = &d->due[d->due_count++];
    buf_init(b, BODY_BYTES);
    ck_assert(buf_add_view(b, body));
}

static void send_all(struct view body)
{
    for (size_t i = 0; i < DOORS; i++)
        send_to(&n->doors[i], body);
}

void publish(const struct logged *event)
{
    struct buf b;
    ck_assert_uint_lt(n->count, LOG_MOST);
    n->log[n->count++] = *event;
    write_event(&b, n->count);
    send_all(buf_view(&b));
    buf_free(&b);
}

static void write_latest(struct buf *b)
{
    buf_init(b, BODY_BYTES);
    buf_addf(b,
             "{\"type\":\"price\",\"tenantId\":\"t1\",\"class\":\"latest\",\"key\":\"k\",\"rev\":%d,"
             "\"data\":%d}",
             (int)n->rev, (int)n->rev);
}

void publish_latest(void)
{
    struct buf b;
    n->rev++;
    write_latest(&b);
    send_all(buf_view(&b));
    buf_free(&b);
}

void publish_ephemeral(void)
{
    send_all(VIEW("{\"type\":\"passing\",\"tenantId\":\"t1\",\"data\":0}"));
}

/* --- what is recorded of sessions --- */

static struct doc *doc_of(const char *pid)
{
    for (size_t i = 0; i < n->doc_count; i++)
        if (!strcmp(n->docs[i].pid, pid))
            return &n->docs[i];
    ck_assert_uint_lt(n->doc_count, DOCS_MOST);
    struct doc *doc = &n->docs[n->doc_count++];
    *doc = (struct doc){0};
    snprintf(doc->pid, sizeof doc->pid, "%s", pid);
    return doc;
}

static void record_change(struct doc *doc, const char *more)
{
    struct logged e = {.inside = true, .room = NOBODY, .user = NOBODY, .except = NOBODY};
    snprintf(e.data, sizeof e.data, "{\"pid\":\"%s\",%s}", doc->pid, more);
    publish(&e);
    doc->changed = n->count;
}

static void record_room(struct doc *doc, int room, bool in)
{
    char more[64];
    if (in == (doc->joined[room] != 0))
        return;
    snprintf(more, sizeof more, "\"room\":\"conversation:c%d\",\"in\":%s", room, in ? "true" : "false");
    record_change(doc, more);
    doc->joined[room] = in ? n->count : 0;
    n->on_membership(doc->pid, n->count, room, in);
}

static void do_command(struct view body, struct buf *reply)
{
    char pid[SESSION_ID_SIZE], room[64];
    ck_assert(json_copy_string(json_get(body, "pid"), pid, sizeof pid));
    struct doc *doc = doc_of(pid);
    bool in = json_is_true(json_get(body, "in"));
    if (json_is_true(json_get(body, "ended"))) {
        if (!doc->ended)
            record_change(doc, "\"ended\":true");
        doc->ended = true;
    } else if (doc->ended && in) {
        buf_add_text(reply, "{\"ok\":false,\"error\":{\"code\":\"CONFLICT\",\"message\":\"ended\"}}");
        return;
    } else {
        ck_assert(json_copy_string(json_get(body, "room"), room, sizeof room));
        record_room(doc, room[strlen(room) - 1] - '0', in);
        uint64_t joined = doc->joined[room[strlen(room) - 1] - '0'];
        buf_addf(reply, "{\"ok\":true,\"reply\":{\"offset\":\"%s-%d\"}}", n->epoch,
                 (int)(in ? joined : doc->changed));
        return;
    }
    buf_addf(reply, "{\"ok\":true,\"reply\":{\"offset\":\"%s-%d\"}}", n->epoch, (int)doc->changed);
}

static const struct doc *next_doc(const char *after)
{
    const struct doc *next = NULL;
    for (size_t i = 0; i < n->doc_count; i++)
        if (strcmp(n->docs[i].pid, after) > 0 && (!next || strcmp(n->docs[i].pid, next->pid) < 0))
            next = &n->docs[i];
    return next;
}

static void write_doc(struct buf *b, const struct doc *doc)
{
    const char *comma = "";
    buf_addf(b, "{\"pid\":\"%s\",\"offset\":\"%s-%d\"%s,\"rooms\":{", doc->pid, n->epoch, (int)doc->changed,
             doc->ended ? ",\"ended\":true" : "");
    for (int room = 0; room < ROOMS; room++)
        if (doc->joined[room]) {
            buf_addf(b, "%s\"conversation:c%d\":\"%s-%d\"", comma, room, n->epoch, (int)doc->joined[room]);
            comma = ",";
        }
    buf_add_text(b, "}}");
}

static void list_docs(struct view request, struct buf *reply)
{
    char after[SESSION_ID_SIZE];
    ck_assert(json_copy_string(json_get(request, "after"), after, sizeof after));
    const struct doc *doc = next_doc(after);
    buf_addf(reply, "{\"ok\":true,\"tenantId\":\"t1\",\"epoch\":\"%s\",\"head\":%d,\"sessions\":[", n->epoch,
             (int)n->count);
    for (int left = 1 + dice(PAGE_MOST); doc && left; left--) {
        write_doc(reply, doc);
        snprintf(after, sizeof after, "%s", doc->pid);
        doc = next_doc(after);
        if (doc && left > 1)
            buf_add_char(reply, ',');
    }
    buf_addf(reply, "],\"next\":\"%s\"}", doc ? after : "");
}

static void grant_all(struct view request, struct buf *reply)
{
    struct view room;
    const char *comma = "";
    buf_add_text(reply, "{\"ok\":true,\"rooms\":{");
    for (struct json_iter it = json_iter(json_get(request, "rooms")); json_next_element(&it, &room);) {
        buf_addf(reply, "%s%.*s:true", comma, VIEW_ARG(room));
        comma = ",";
    }
    buf_add_text(reply, "}}");
}

/* --- questions and answers --- */

static struct question *ask(struct door *d, enum question_kind kind)
{
    ck_assert_uint_lt(d->question_count, QUESTIONS_MOST);
    struct question *q = &d->questions[d->question_count++];
    *q = (struct question){.kind = kind};
    return q;
}

static void forget(struct door *d, struct question *q)
{
    free(q->text);
    heads_destroy(q->heads);
    news_destroy(q->answer);
    *q = d->questions[--d->question_count];
}

static struct news *answer_text(struct question *q, bool fails)
{
    struct news *answer = news_create(NEWS_ANSWER, NULL);
    struct view request;
    struct buf reply;
    struct err err;
    answer->token = q->token;
    buf_init(&reply, ANSWER_BYTES);
    ck_assert(json_check(view_of(q->text), JSON_STRICT, &request, &err));
    bool is_command = json_string_is(json_get(request, "op"), "command");
    bool is_listing = json_string_is(json_get(request, "op"), "sessions");
    if (is_command)
        do_command(json_get(request, "body"), &reply); /* done, even when the answer is lost */
    else if (is_listing)
        list_docs(request, &reply);
    else
        grant_all(request, &reply);
    ck_assert(!reply.overflow);
    if (!fails)
        answer->text = buf_detach(&reply, &answer->text_n);
    buf_free(&reply);
    return answer;
}

static struct news *answer_heads_of(struct question *q, bool fails)
{
    struct news *answer = news_create(fails ? NEWS_HEADS_FAILED : NEWS_HEADS, NULL);
    struct heads *heads = answer->heads = q->heads;
    q->heads = NULL;
    for (size_t i = 0; i < heads->count && !fails; i++) {
        struct head *item = &heads->items[i];
        item->answered = true;
        item->head.seq = n->count;
        snprintf(item->head.epoch, sizeof item->head.epoch, "%s", n->count ? n->epoch : "");
        if (!heads->latest || !n->rev)
            continue;
        struct buf b;
        write_latest(&b);
        item->latest = record_of(buf_view(&b));
        buf_free(&b);
    }
    return answer;
}

static struct news *answer_replay(const struct question *q, bool fails)
{
    bool past = q->kind == ASKED_PAST;
    enum news_kind good = past ? NEWS_PAST : NEWS_REPLAY, bad = past ? NEWS_PAST_FAILED : NEWS_REPLAY_FAILED;
    struct news *answer = news_create(fails ? bad : good, "t1");
    struct replay *r = &answer->replay;
    bool same = !strcmp(q->after.epoch, n->epoch);
    r->after = q->after;
    if (fails)
        return answer;
    r->head.seq = n->count;
    snprintf(r->head.epoch, sizeof r->head.epoch, "%s", n->epoch);
    r->complete = same && q->after.seq >= n->floor;
    if (same)
        r->records = read_log(r->complete ? q->after.seq : n->floor, 1 + (size_t)dice(CHUNK_MOST));
    return answer;
}

static struct news *make_answer(struct question *q, bool fails)
{
    switch (q->kind) {
    case ASKED_TEXT:
        return answer_text(q, fails);
    case ASKED_HEADS:
        return answer_heads_of(q, fails);
    case ASKED_REPLAY:
    case ASKED_PAST:
        return answer_replay(q, fails);
    case ASKED_BINDING:
        break;
    }
    return news_create(NEWS_BOUND, "t1");
}

void answer_one(struct door *d, bool loosely)
{
    if (!d->question_count)
        return;
    struct question *q = &d->questions[loosely ? (size_t)dice((int)d->question_count) : 0];
    if (!q->answer)
        q->answer = make_answer(q, loosely && (d->is_cut || !dice(8)));
    if (loosely && dice(2))
        return; /* it is on its way */
    struct news *answer = q->answer;
    q->answer = NULL;
    forget(d, q);
    news_take(d->hub, answer);
    n->on_move();
}

/* --- what a hub needs from outside --- */

static void on_bind(void *ctx, const char *tenant_id)
{
    struct door *d = ctx;
    (void)tenant_id;
    d->bound = true;
    ask(d, ASKED_BINDING);
}

static void on_unbind(void *ctx, const char *tenant_id)
{
    (void)tenant_id;
    ((struct door *)ctx)->bound = false;
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static void on_ask_heads(void *ctx, struct heads *heads)
{
    ask(ctx, ASKED_HEADS)->heads = heads;
}

static void on_ask_replay(void *ctx, const char *tenant_id, const struct position *after)
{
    (void)tenant_id;
    ask(ctx, ASKED_REPLAY)->after = *after;
}

static void on_ask_past(void *ctx, const char *tenant_id, const struct position *after)
{
    (void)tenant_id;
    ask(ctx, ASKED_PAST)->after = *after;
}

static void on_ask(void *ctx, const char *tenant_id, uint64_t token, struct view request)
{
    struct question *q = ask(ctx, ASKED_TEXT);
    struct buf b;
    size_t bytes;
    (void)tenant_id;
    buf_init(&b, ANSWER_BYTES);
    ck_assert(buf_add_view(&b, request));
    q->token = token;
    q->text = buf_detach(&b, &bytes);
}

static void on_publish(void *ctx, const char *tenant_id, const char *type, struct view body)
{
    (void)ctx;
    (void)tenant_id;
    (void)type;
    send_all(body);
}

/* --- gateways --- */

struct tenant *door_tenant(const struct door *d)
{
    return map_get(&d->hub->tenants, VIEW("t1"));
}

static void door_open(struct door *d, struct hub *hub)
{
    struct peer_keys keys;
    peer_keys_derive(&keys, "what all gateways share", "");
    d->hub = hub;
    hub_share_pids(hub, &keys);
    hub->upstream = (struct upstream){.ctx = d,
                                      .bind = on_bind,
                                      .unbind = on_unbind,
                                      .bind_all = on_nothing,
                                      .ask_heads = on_ask_heads,
                                      .ask_replay = on_ask_replay,
                                      .ask_past = on_ask_past,
                                      .ask = on_ask,
                                      .publish = on_publish};
    news_take(hub, news_create(NEWS_FEED_UP, NULL));
    news_take(hub, news_create(NEWS_RPC_UP, NULL));
}

static void door_empty(struct door *d)
{
    for (size_t i = 0; i < d->due_count; i++)
        buf_free(&d->due[i]);
    while (d->question_count)
        forget(d, &d->questions[0]);
    d->due_count = 0;
    d->bound = false;
}

void door_kill(struct door *d)
{
    hub_destroy(d->hub);
    door_empty(d);
    door_open(d, hub_create(stage.loop, &stage.policy, stage.rules));
}

void cursor_set_up(void)
{
    stage_set_up();
    memset(n, 0, sizeof *n);
    stage.policy.ring_events = RING_EVENTS;
    stage.policy.recovery_events = RECOVERY_EVENTS;
    stage.policy.connections_per_user = 0;
    snprintf(n->epoch, sizeof n->epoch, "e");
    door_open(&n->doors[0], stage.hub);
    for (size_t i = 1; i < DOORS; i++)
        door_open(&n->doors[i], hub_create(stage.loop, &stage.policy, stage.rules));
}

void cursor_tear_down(void)
{
    for (size_t i = 1; i < DOORS; i++)
        hub_destroy(n->doors[i].hub);
    stage.hub = n->doors[0].hub;
    stage_tear_down();
    for (size_t i = 0; i < DOORS; i++)
        door_empty(&n->doors[i]);
}

/* --- what happens --- */

static void drop_due(struct door *d, size_t at)
{
    buf_free(&d->due[at]);
    memmove(d->due + at, d->due + at + 1, (--d->due_count - at) * sizeof *d->due);
}

void deliver_one(struct door *d, bool loosely)
{
    if (!d->due_count || (loosely && d->is_cut))
        return;
    int near = d->due_count < NEAR ? (int)d->due_count : NEAR;
    size_t at = loosely && !dice(3) ? (size_t)dice(near) : 0;
    struct record *r = record_of(buf_view(&d->due[at]));
    bool is_fence = !strcmp(r->event.type, "portalcast:fence");
    if (loosely && !is_fence && !dice(12)) {
        record_destroy(r);
    } else {
        struct news *news = news_create(NEWS_EVENTS, "t1");
        news->records = r;
        news_take(d->hub, news);
        n->on_move();
    }
    if (!loosely || dice(12)) /* else it comes once more */
        drop_due(d, at);
}

void let_time_pass(struct door *d)
{
    struct tenant *t = door_tenant(d);
    if (!t)
        return;
    if (t->stream.ask_at_ms)
        t->stream.ask_at_ms = 1;
    hub_watch_hole(d->hub, t);
    t->past.retry_at_ms = 0;
    d->hub->ask_soon |= t->head_wanted;
    tenant_tick(t);
}

void turn(struct door *d)
{
    loop_wake_signal(d->hub->wake);
    loop_turn(stage.loop);
    n->on_move();
}

static bool is_at_rest(const struct door *d)
{
    const struct tenant *t = door_tenant(d);
    if (d->due_count || d->question_count || !list_empty(&d->hub->dirty) || !list_empty(&d->hub->thirsty))
        return false;
    return !t || (t->stream.placed && t->stream.at.seq == n->count && !t->stream.ask_at_ms &&
                  !t->head_wanted && list_empty(&t->held) && list_empty(&t->past.waiting));
}

static bool settle_door(struct door *d)
{
    d->is_cut = false;
    while (d->due_count)
        deliver_one(d, false);
    while (d->question_count)
        answer_one(d, false);
    let_time_pass(d);
    turn(d);
    return is_at_rest(d);
}

void come_to_rest(void)
{
    size_t resting = 0;
    for (size_t i = 0; i < DOORS; i++)
        if (door_tenant(&n->doors[i]))
            tenant_want_head(door_tenant(&n->doors[i])); /* the last events may be lost */
    for (int round = 0; round < ROUNDS && resting < 2 * DOORS; round++)
        resting = settle_door(&n->doors[round % DOORS]) ? resting + 1 : 0;
    ck_assert_msg(resting == 2 * DOORS, "something still moves");
}
