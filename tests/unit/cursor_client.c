#include "tests/unit/cursor_client.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "tests/unit/suites.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client clients[CLIENTS];

static struct cursor_net *const net = &net_of_cursors;

static uint64_t seq_of(const char *offset)
{
    const char *dash = strrchr(offset, '-');
    return dash ? strtoull(dash + 1, NULL, 10) : 0;
}

static size_t number_of(const struct client *c)
{
    return (size_t)(c - clients);
}

/* --- the model: what is for whom --- */

enum due { FORBIDDEN, OPTIONAL, REQUIRED };

/* A room's event, by when the client joined and left. What it had not heard when it left does not count. */
static enum due due_in_room(const struct client *c, int room, uint64_t seq)
{
    uint64_t joined = 0;
    bool in = false;
    if (seq > c->unsure_from[room] && seq <= c->unsure_to[room])
        return OPTIONAL;
    for (size_t i = 0; i < c->change_count; i++) {
        const struct change *change = &c->changes[i];
        if (change->room != room || change->in == in)
            continue;
        if (in && seq > joined && seq <= change->seq)
            return OPTIONAL;
        in = change->in;
        joined = change->seq;
    }
    if (!in || seq <= joined)
        return FORBIDDEN;
    return seq <= c->leaving_to[room] ? OPTIONAL : REQUIRED;
}

static enum due due_of(const struct client *c, uint64_t seq)
{
    const struct logged *e = &net->log[seq - 1];
    if (e->inside || e->except == c->user)
        return FORBIDDEN;
    if (e->everyone || e->user == c->user)
        return REQUIRED;
    return e->room == NOBODY ? FORBIDDEN : due_in_room(c, e->room, seq);
}

/* Compares what was heard since the last time with the log: all of it when `whole`, else up to the last one
 * that was heard. */
static void compare(struct client *c, bool whole)
{
    size_t at = 0;
    for (uint64_t seq = c->start + 1; seq <= net->count && (whole || at < c->got_count); seq++) {
        enum due due = due_of(c, seq);
        bool heard = at < c->got_count && c->got[at] == seq;
        ck_assert_msg(!heard || due != FORBIDDEN, "client %zu heard %d, which is not for it", number_of(c),
                      (int)seq);
        ck_assert_msg(heard || due != REQUIRED, "client %zu missed %d: after %d it heard %d", number_of(c),
                      (int)seq, (int)(at ? c->got[at - 1] : c->start),
                      (int)(at < c->got_count ? c->got[at] : 0));
        at += heard;
    }
    ck_assert_msg(at == c->got_count, "client %zu heard %d again, too late or too early", number_of(c),
                  (int)(at < c->got_count ? c->got[at] : 0));
    c->heard += c->got_count;
    c->got_count = 0;
}

static void note_change(struct client *c, uint64_t seq, int room, bool in)
{
    ck_assert_uint_lt(c->change_count, CHANGES_MOST);
    c->changes[c->change_count++] = (struct change){seq, room, in};
}

/* A new session from there on; /ws has named its rooms. */
static void begin_anew(struct client *c, uint64_t seq)
{
    compare(c, false);
    c->start = seq;
    c->change_count = 0;
    for (int room = 0; room < ROOMS; room++) {
        c->leaving_to[room] = c->unsure_to[room] = 0;
        if (c->is_in[room])
            note_change(c, seq, room, true);
    }
}

static void jump(struct client *c, uint64_t seq)
{
    uint64_t before = seq_of(c->offset);
    compare(c, false);
    c->start = seq;
    for (size_t i = 0; i < c->change_count; i++) {
        const struct change *change = &c->changes[i];
        if (change->seq <= before || change->seq > seq || (change->in && c->acked[change->room]))
            continue;
        c->unsure_from[change->room] = seq;
        c->unsure_to[change->room] = UINT64_MAX;
    }
}

static bool may_be_lost(uint64_t from)
{
    return net->floor > from;
}

/* A jump may have left it out of a room; it is told when it is in again. */
static bool may_be_left_out(const struct client *c)
{
    for (int room = 0; room < ROOMS; room++)
        if (c->unsure_to[room] == UINT64_MAX)
            return true;
    return false;
}

static void on_membership(const char *pid, uint64_t seq, int room, bool in)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        if (c->protocol != &protocol_sio || strcmp(c->sid, pid) != 0)
            continue;
        note_change(c, seq, room, in);
        if (!in && c->leaving_to[room] == UINT64_MAX)
            c->leaving_to[room] = seq;
    }
}

/* A client of /ws is in from the moment on that the gateway lets it in. */
static void on_move(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        if (c->protocol != &protocol_ws || !c->link || !c->connected ||
            c->link->session->state != SESSION_LIVE)
            continue;
        for (int room = 0; room < ROOMS; room++) {
            char name[32];
            snprintf(name, sizeof name, "conversation:c%d", room);
            bool in = session_is_in(c->link->session, view_of(name));
            if (in != c->is_in[room])
                note_change(c, door_tenant(c->door)->stream.at.seq, room, in);
            c->is_in[room] = in;
        }
    }
}

/* --- what it hears --- */

static void take(struct client *c, const struct said *said)
{
    switch (said->what) {
    case SAID_NOTHING:
        break;
    case SAID_EVENT:
        ck_assert_uint_lt(c->got_count, HEARD_MOST);
        c->got[c->got_count++] = said->number;
        ck_assert_uint_eq(said->number, seq_of(said->offset));
        break;
    case SAID_LATEST:
        ck_assert_uint_ge(said->number, c->rev);
        c->rev = said->number;
        break;
    case SAID_RESYNC:
        ck_assert_msg(may_be_lost(seq_of(c->offset)) || may_be_left_out(c),
                      "client %zu was told to reload for nothing", number_of(c));
        jump(c, seq_of(said->offset));
        break;
    }
    if (!*said->offset)
        return;
    memcpy(c->offset, said->offset, sizeof c->offset);
    c->is_offset_older = false;
}

static void take_early(struct client *c)
{
    for (size_t i = 0; i < c->early_count; i++)
        take(c, &c->early[i]);
    c->early_count = 0;
}

static void on_recovered(struct client *c)
{
    ck_assert_msg(!c->must_fail, "client %zu was recovered after its end", number_of(c));
    c->recovered++;
    /* Before it began anew it had heard more; or, since then, what it has not heard need not have been. */
    if (c->is_offset_older ? c->start < c->from : c->start > c->from)
        c->start = c->from;
    for (int room = 0; room < ROOMS; room++) {
        if (c->leaving_to[room] == UINT64_MAX) /* what it had said is not known to have come through */
            c->leaving_to[room] = c->from;
        if (c->unsure_to[room] == UINT64_MAX)
            c->unsure_to[room] = c->from;
    }
}

static void on_refused(const struct client *c)
{
    bool too_much = net->count - c->from > RECOVERY_EVENTS;
    ck_assert_msg(may_be_lost(c->from) || too_much || c->may_be_ended,
                  "client %zu was not recovered from %d at %d", number_of(c), (int)c->from, (int)net->count);
}

/* Events that come before CONNECT are heard behind it. */
static void on_sio_connect(struct client *c, struct view answer)
{
    char pid[PID_SIZE], sid[SESSION_ID_SIZE];
    ck_assert(json_copy_string(json_get(answer, "pid"), pid, sizeof pid));
    ck_assert(json_copy_string(json_get(answer, "sid"), sid, sizeof sid));
    c->connected = true;
    bool recovered = *c->pid && !strcmp(pid, c->pid);
    ck_assert(recovered == !strcmp(sid, c->sid));
    if (recovered)
        on_recovered(c);
    else if (*c->pid)
        on_refused(c);
    take_early(c);
    if (recovered)
        return;
    struct view rest = view_of(pid), id, base;
    ck_assert(view_split(&rest, '.', &id) && view_split(&rest, '.', &base));
    char offset[OFFSET_SIZE];
    ck_assert(view_copy(base, offset, sizeof offset));
    memcpy(c->pid, pid, sizeof pid);
    memcpy(c->sid, sid, sizeof sid);
    c->may_be_ended = false;
    c->ended = NULL;
    c->is_offset_older = true;
    begin_anew(c, seq_of(offset));
}

static void on_ready(struct client *c, struct view ready)
{
    char offset[OFFSET_SIZE];
    bool recovered = json_is_true(json_get(ready, "recovered"));
    ck_assert(json_copy_string(json_get(ready, "offset"), offset, sizeof offset));
    c->connected = true;
    if (recovered) {
        ck_assert_uint_eq(seq_of(offset), c->from);
        on_recovered(c);
        compare(c, false); /* its rooms are those that it named, from there on */
    } else if (*c->offset) {
        on_refused(c);
    }
    begin_anew(c, seq_of(offset));
    memcpy(c->offset, offset, sizeof c->offset);
}

/* An event by its name, data and offset. */
static struct said said_of(struct view name, struct view data, struct view offset)
{
    struct said said = {.what = SAID_NOTHING};
    int64_t number = 0;
    if (json_string_is(name, "n"))
        said.what = SAID_EVENT;
    else if (json_string_is(name, "price"))
        said.what = SAID_LATEST;
    else if (json_string_is(name, "resync"))
        said.what = SAID_RESYNC;
    if (said.what == SAID_EVENT || said.what == SAID_LATEST)
        ck_assert(json_i64(data, &number));
    said.number = (uint64_t)number;
    ck_assert(json_copy_string(offset, said.offset, sizeof said.offset));
    return said;
}

static struct view checked(struct view text)
{
    struct err err;
    struct view value;
    ck_assert_msg(json_check(text, JSON_STRICT, &value, &err), "%.*s", VIEW_ARG(text));
    return value;
}

static void on_sio_event(struct client *c, struct view array)
{
    struct view name, data, offset, more;
    struct json_iter it = json_iter(array);
    ck_assert(json_next_element(&it, &name) && json_next_element(&it, &data));
    for (offset = data; json_next_element(&it, &more);)
        offset = more;
    struct said said = said_of(name, data, offset);
    if (c->connected) {
        take(c, &said);
        return;
    }
    ck_assert_uint_lt(c->early_count, HEARD_MOST);
    c->early[c->early_count++] = said;
}

static void on_answer(struct client *c, int room, bool ok)
{
    c->asking[room] = false;
    c->acked[room] = ok;
}

static void read_sio(struct client *c, struct view line)
{
    ck_assert_msg(!view_starts(line, "44"), "%.*s", VIEW_ARG(line));
    struct view rest = {line.p + 2, line.n - 2};
    if (view_starts(line, "40"))
        on_sio_connect(c, checked(rest));
    else if (view_starts(line, "42"))
        on_sio_event(c, checked(rest));
    else if (view_starts(line, "43"))
        on_answer(c, line.p[2] - '0', memmem(line.p, line.n, "\"ok\":true", 9) != NULL);
}

static void read_ws(struct client *c, struct view line)
{
    struct view message = checked(line), type = json_get(message, "type"), id = json_get(message, "id");
    if (json_string_is(type, "ready")) {
        on_ready(c, message);
    } else if (json_string_is(type, "event")) {
        struct said said =
            said_of(json_get(message, "event"), json_get(message, "data"), json_get(message, "offset"));
        take(c, &said);
    } else if (json_string_is(type, "resync")) {
        struct said said = said_of(type, type, json_get(message, "offset"));
        take(c, &said);
    } else if (id.n) {
        on_answer(c, id.p[1] - '0', json_string_is(type, "ack"));
    }
}

void client_read(struct client *c, size_t frames)
{
    while (c->link && frames--) {
        const char *from = heard(c->link) + c->read, *end = strchr(from, '\n');
        if (!end)
            return;
        struct view line = {from, (size_t)(end - from)};
        c->read += line.n + 1;
        if (c->protocol == &protocol_sio)
            read_sio(c, line);
        else
            read_ws(c, line);
    }
}

/* --- what it does --- */

static void write_wish(const struct client *c, struct buf *b)
{
    const char *comma = "";
    if (*c->pid)
        buf_addf(b, ",\"pid\":\"%s\"", c->pid);
    if (*c->offset)
        buf_addf(b, ",\"offset\":\"%s\"", c->offset);
    if (c->protocol == &protocol_sio)
        return;
    buf_add_text(b, ",\"rooms\":[");
    for (int room = 0; room < ROOMS; room++)
        if (c->is_in[room]) {
            buf_addf(b, "%s\"conversation:c%d\"", comma, room);
            comma = ",";
        }
    buf_add_char(b, ']');
}

static void sign_client_in(struct client *c)
{
    char sub[8];
    struct buf b;
    snprintf(sub, sizeof sub, "u%d", c->user);
    char *token = token_of(sub, "");
    buf_init(&b, 4096);
    buf_addf(&b, c->protocol == &protocol_sio ? "40{\"token\":\"%s\"" : "{\"type\":\"auth\",\"token\":\"%s\"",
             token);
    write_wish(c, &b);
    buf_add_char(&b, '}');
    say(c->link, b.data);
    buf_free(&b);
    free(token);
}

/* Where it is to go on: where it says, but not before its session began. */
static uint64_t place_of(const struct client *c)
{
    const char *dot = strchr(c->pid, '.');
    char base[OFFSET_SIZE] = "";
    if (dot)
        snprintf(base, sizeof base, "%.*s", (int)strcspn(dot + 1, "."), dot + 1);
    return seq_of(base) > seq_of(c->offset) ? seq_of(base) : seq_of(c->offset);
}

/* Whether the gateway has been told for certain that it has logged out. */
static bool is_known_to_have_ended(const struct client *c, const struct door *d)
{
    const struct tenant *t = door_tenant(d);
    if (!c->may_be_ended)
        return false;
    for (size_t i = 0; i < net->doc_count; i++)
        if (net->docs[i].ended && !strcmp(net->docs[i].pid, c->sid) && t &&
            t->stream.at.seq >= net->docs[i].changed)
            return true;
    return c->ended == d;
}

void client_connect(struct client *c, struct door *d, bool leave_open)
{
    client_drop_old(c);
    if (leave_open)
        c->old = c->link;
    else if (c->link)
        gone(c->link);
    c->must_fail = is_known_to_have_ended(c, d);
    c->from = place_of(c);
    c->door = d;
    c->connected = false;
    c->read = c->early_count = 0;
    c->rev = 0;
    memset(c->asking, 0, sizeof c->asking);
    memset(c->acked, 0, sizeof c->acked);
    stage.hub = d->hub;
    c->link = opened(c->protocol);
    sign_client_in(c);
}

void client_disconnect(struct client *c)
{
    if (c->link)
        gone(c->link);
    c->link = NULL;
    c->connected = false;
}

void client_drop_old(struct client *c)
{
    if (c->old)
        gone(c->old);
    c->old = NULL;
}

void client_drop_door(const struct door *d)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        if (c->old && c->old->session->hub == d->hub)
            client_drop_old(c);
        if (c->link && c->door == d)
            client_disconnect(c);
        if (c->ended == d)
            c->ended = NULL;
    }
}

static bool is_member(const struct client *c, int room)
{
    bool in = false;
    for (size_t i = 0; i < c->change_count; i++)
        if (c->changes[i].room == room)
            in = c->changes[i].in;
    return in;
}

/* Joins or leaves; one thing at a time. */
void client_change_room(struct client *c, int room)
{
    char text[128];
    if (!c->link || !c->connected || c->asking[room] || c->may_be_ended)
        return;
    bool in = is_member(c, room), sio = c->protocol == &protocol_sio;
    c->asking[room] = true;
    c->acked[room] = false;
    if (in && sio)
        c->leaving_to[room] = UINT64_MAX;
    if (sio)
        snprintf(text, sizeof text, "42%d[\"%s\",\"c%d\"]", room,
                 in ? "leave_conversation" : "join_conversation", room);
    else
        snprintf(text, sizeof text, "{\"type\":\"%s\",\"room\":\"conversation:c%d\",\"id\":\"%d\"}",
                 in ? "leave" : "join", room, room);
    say(c->link, text);
    on_move();
}

void client_log_out(struct client *c)
{
    if (!c->link || !c->connected || c->protocol != &protocol_sio)
        return;
    say(c->link, "41");
    c->may_be_ended = true;
    c->ended = c->door;
    client_disconnect(c);
}

void clients_sweep(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        if (c->old && c->old->closed)
            client_drop_old(c);
        if (!c->link || !c->link->closed)
            continue;
        ck_assert_int_eq(c->link->session->reason, CLOSE_TAKEN_OVER);
        client_disconnect(c);
    }
}

/* --- checks --- */

static size_t live_under(const char *pid)
{
    size_t live = 0;
    for (size_t i = 0; i < DOORS; i++)
        list_foreach(node, &net->doors[i].hub->sessions)
        {
            const struct session *s = container_of(node, struct session, in_hub);
            live += (s->state == SESSION_LIVE || s->state == SESSION_RECOVERING) && !strcmp(s->id, pid);
        }
    return live;
}

void clients_check(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        client_read(c, SIZE_MAX);
        ck_assert_uint_le(*c->sid ? live_under(c->sid) : 0, 1);
        if (!c->link)
            continue;
        ck_assert_msg(c->connected, "client %zu waits on", i);
        compare(c, true);
        c->start = net->count;
        ck_assert_uint_eq(c->rev, net->rev);
    }
}

void clients_set_up(void)
{
    net->on_membership = on_membership;
    net->on_move = on_move;
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){.protocol = i % 3 == 2 ? &protocol_ws : &protocol_sio,
                                     .user = (int)i % USERS_KNOWN,
                                     .early = xcalloc(HEARD_MOST, sizeof(struct said)),
                                     .got = xcalloc(HEARD_MOST, sizeof(uint64_t)),
                                     .changes = xcalloc(CHANGES_MOST, sizeof(struct change))};
}

void clients_tear_down(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        client_drop_old(&clients[i]);
        client_disconnect(&clients[i]);
        free(clients[i].early);
        free(clients[i].got);
        free(clients[i].changes);
    }
}
