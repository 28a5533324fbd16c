/*
 * Rooms that a client asks for, and leaves; admission.h says who may be in which.
 *
 * With recovery a Socket.IO client's joins and leaves are commands: they get a place in the stream, and are
 * known after a recovery (inside.h). All others are in from now on. Rooms that are asked for together are
 * gone through one after another; when one is refused, those before it are left again.
 */
#include "portal-gateway/core/admission.h"
#include "portal-gateway/core/call.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/mem.h"
#include <stdio.h>
#include <string.h>

enum { ROOMS_ASKED_MAX = 100, REQUEST_BYTES_MAX = 2048 };

/* Rooms on their way in or out, for one answer; handed from call to call. */
struct passage {
    struct room_list rooms;
    size_t at; /* the one that is being asked for */
};

static void on_joined(struct call *c, const struct answer *a);
static void go_in(struct session *s, const char *event, const struct receipt *receipt,
                  const struct passage *p);
static void go_out(struct session *s, const char *event, const struct receipt *receipt,
                   const struct passage *p);

/* Those that it is in, and those that it waits to get into. */
static size_t asked_rooms(const struct session *s)
{
    size_t count = 0;
    for (unsigned i = 0; i < s->member.count; i++)
        count += s->member.rooms[i].asked_for;
    list_foreach(node, &s->calls)
    {
        const struct call *c = container_of(node, struct call, in_calls);
        /* The stream may have been quicker than the answer. */
        count += c->on_answer == on_joined && !session_is_in(s, view_of(c->subject));
    }
    return count;
}

static void accept_rooms(struct session *s, const struct receipt *receipt, const struct room_list *rooms)
{
    struct acceptance r;
    accept_begin(&r);
    if (rooms->count == 1) {
        jw_key_text(&r.w, "room", rooms->names[0]);
    } else {
        jw_key(&r.w, "rooms");
        jw_begin(&r.w, '[');
        for (size_t i = 0; i < rooms->count; i++)
            jw_text(&r.w, view_of(rooms->names[i]));
        jw_end(&r.w, ']');
    }
    accept_send(s, receipt, &r);
}

static struct passage *passage_of(const struct call *c)
{
    return c->more;
}

/* A call for the room that the passage has come to; NULL: there are too many, which was answered. */
static struct call *begin(struct session *s, const char *event, const struct receipt *receipt,
                          const struct passage *p, void (*on_answer)(struct call *c, const struct answer *a))
{
    struct call *c = call_begin(s, event, receipt, 0, on_answer);
    if (!c)
        return NULL;
    struct passage *copy = xcalloc(1, sizeof *copy);
    *copy = *p;
    c->more = copy;
    snprintf(c->subject, sizeof c->subject, "%s", p->rooms.names[p->at]);
    return c;
}

/* Has it recorded that the session is in the room of the call, or is not any more. */
static void ask_record(struct call *c, bool in, bool by_token)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, REQUEST_BYTES_MAX);
    ask_begin(&w, &b, tenant_id(c->s->tenant), "command");
    jw_key_text(&w, "author", c->s->sub);
    jw_key_text(&w, "command", "session");
    jw_key(&w, "body");
    jw_begin(&w, '{');
    jw_key_text(&w, "pid", c->s->id);
    jw_key_i64(&w, "generation", c->s->generation);
    jw_key_text(&w, "room", c->subject);
    jw_key_bool(&w, "in", in);
    if (by_token)
        jw_key_bool(&w, "granted", true);
    jw_end(&w, '}');
    jw_end(&w, '}');
    call_ask(c, buf_view(&b));
    buf_free(&b);
}

/* --- in --- */

/* Out of the rooms that were joined before the one that is refused. */
static void go_back(struct session *s, const char *event, const struct passage *p)
{
    static const struct receipt nobody;
    struct passage back = *p;
    back.rooms.count = p->at;
    back.at = 0;
    if (back.rooms.count)
        go_out(s, event, &nobody, &back);
}

static void deny(struct session *s, const char *event, const struct receipt *receipt, const struct passage *p,
                 const char *code, const char *text)
{
    session_log_refused_room(s, p->rooms.names[p->at], code);
    refuse_quietly(s, receipt, code, text);
    go_back(s, event, p);
}

/* The room that the passage has come to is joined. */
static void go_on(struct session *s, const char *event, const struct receipt *receipt,
                  const struct passage *p)
{
    struct passage next = *p;
    if (++next.at < next.rooms.count)
        go_in(s, event, receipt, &next);
    else
        accept_rooms(s, receipt, &p->rooms);
}

static bool put_in(struct call *c, const struct answer *a)
{
    char offset[OFFSET_SIZE];
    if (c->flag) /* left meanwhile */
        return true;
    if (!session_is_recorded(c->s)) {
        session_join(c->s, view_of(c->subject));
        return true;
    }
    return json_copy_string(json_path(a->body, "reply.offset"), offset, sizeof offset) &&
           session_joined_at(c->s, view_of(c->subject), offset);
}

static void on_joined(struct call *c, const struct answer *a)
{
    const struct passage *p = passage_of(c);
    struct view room = view_of(c->subject);
    bool denied =
        !strcmp(a->code, err_code_name(ERR_NOT_FOUND)) || !strcmp(a->code, err_code_name(ERR_DENIED));
    if (!a->ok && denied) {
        deny(c->s, c->event, &c->receipt, p, a->code, a->text);
    } else if (!a->ok) {
        refuse_client(c->s, c->event, &c->receipt, a->code, a->text);
        go_back(c->s, c->event, p);
    } else if (!session_is_recorded(c->s) && !admission_opens(c->s, room, a->body)) {
        deny(c->s, c->event, &c->receipt, p, err_code_name(ERR_DENIED), "that room is not yours");
    } else if (!put_in(c, a)) {
        refuse_because(c->s, c->event, &c->receipt, ERR_INTERNAL, "a record without its place");
    } else {
        go_on(c->s, c->event, &c->receipt, p);
    }
}

/* How a session is in a room by now; NULL: it is not. */
static const struct membership *find(const struct session *s, const char *room)
{
    const struct room *r = room_find(&s->tenant->rooms, view_of(room));
    return r ? room_membership(r, &s->member) : NULL;
}

static void ask_in(struct session *s, const char *event, const struct receipt *receipt,
                   const struct passage *p, bool by_token)
{
    struct call *c = begin(s, event, receipt, p, on_joined);
    if (!c)
        go_back(s, event, p);
    else if (session_is_recorded(s))
        ask_record(c, true, by_token);
    else
        call_ask_right(c, view_of(c->subject));
}

static void go_in(struct session *s, const char *event, const struct receipt *receipt,
                  const struct passage *p)
{
    const char *room = p->rooms.names[p->at];
    const struct membership *in = find(s, room);
    bool by_token;
    enum admission admission = admission_of(s, view_of(room), &by_token);
    if (in && !(in->asked_for && session_is_recorded(s))) {
        go_on(s, event, receipt, p);
    } else if (admission == ADMISSION_DENIED) {
        deny(s, event, receipt, p, err_code_name(ERR_DENIED), "the token does not give this room");
    } else if (!in && asked_rooms(s) >= ROOMS_ASKED_MAX) {
        refuse_because(s, event, receipt, ERR_LIMITED, "too many rooms: leave some");
        go_back(s, event, p);
    } else if (admission == ADMISSION_GRANTED && !session_is_recorded(s)) {
        session_join(s, view_of(room));
        go_on(s, event, receipt, p);
    } else { /* also who is in by a record may have left by one that is still to come */
        ask_in(s, event, receipt, p, by_token);
    }
}

/* Whether none of the rooms is closed to him by what is known here: then nothing is begun. */
static bool may_try(struct session *s, const struct receipt *receipt, const struct room_list *rooms)
{
    bool by_token;
    for (size_t i = 0; i < rooms->count; i++) {
        const char *room = rooms->names[i];
        if (find(s, room) || admission_of(s, view_of(room), &by_token) != ADMISSION_DENIED)
            continue;
        session_log_refused_room(s, room, err_code_name(ERR_DENIED));
        refuse_quietly(s, receipt, err_code_name(ERR_DENIED), "the token does not give this room");
        return false;
    }
    return true;
}

void client_join_all(struct session *s, const char *event, const struct room_list *rooms,
                     const struct receipt *receipt)
{
    if (may_try(s, receipt, rooms))
        go_in(s, event, receipt, &(struct passage){.rooms = *rooms});
}

static bool read_name(struct session *s, const char *event, struct view room, const struct receipt *receipt,
                      struct room_list *out)
{
    out->count = 1;
    if (room.n && view_copy(room, out->names[0], sizeof out->names[0]))
        return true;
    refuse_because(s, event, receipt, ERR_INVALID, "a room has a name of 1 to 160 bytes");
    return false;
}

void client_join(struct session *s, struct view room, const struct receipt *receipt)
{
    struct room_list rooms;
    if (read_name(s, "join", room, receipt, &rooms))
        client_join_all(s, "join", &rooms, receipt);
}

/* --- out --- */

/* Who waits to get in, and leaves, does not get in. */
static void leave_now(struct session *s, const char *room)
{
    list_foreach(node, &s->calls)
    {
        struct call *c = container_of(node, struct call, in_calls);
        if (c->on_answer == on_joined && !strcmp(room, c->subject))
            c->flag = true;
    }
    session_leave(s, view_of(room));
}

static void go_further_out(struct session *s, const char *event, const struct receipt *receipt,
                           const struct passage *p)
{
    struct passage next = *p;
    if (++next.at < next.rooms.count)
        go_out(s, event, receipt, &next);
    else
        accept_rooms(s, receipt, &p->rooms);
}

static void on_left(struct call *c, const struct answer *a)
{
    if (a->ok) {
        session_left_at(c->s, json_path(a->body, "reply.offset"));
        go_further_out(c->s, c->event, &c->receipt, passage_of(c));
    } else {
        refuse_client(c->s, c->event, &c->receipt, a->code, a->text);
    }
}

static void go_out(struct session *s, const char *event, const struct receipt *receipt,
                   const struct passage *p)
{
    const char *room = p->rooms.names[p->at];
    const struct membership *in = find(s, room);
    if (in && !in->asked_for) {
        refuse_because(s, event, receipt, ERR_DENIED, "the token gives this room");
    } else if (session_is_recorded(s) && admission_is_ruled(s->hub->policy, view_of(room))) {
        struct call *c = begin(s, event, receipt, p, on_left);
        if (!c)
            return;
        leave_now(s, room);
        ask_record(c, false, false);
    } else {
        leave_now(s, room);
        go_further_out(s, event, receipt, p);
    }
}

void client_leave_all(struct session *s, const char *event, const struct room_list *rooms,
                      const struct receipt *receipt)
{
    go_out(s, event, receipt, &(struct passage){.rooms = *rooms});
}

void client_leave(struct session *s, struct view room, const struct receipt *receipt)
{
    struct room_list rooms;
    if (read_name(s, "leave", room, receipt, &rooms))
        client_leave_all(s, "leave", &rooms, receipt);
}
