/*
 * Rooms that a client asks for, and leaves. Who may be in a room: `conversation:<id>` whoever's tenant has
 * that conversation; all others those whose token gives them.
 *
 * With recovery a Socket.IO client's joins and leaves are commands: they get a place in the stream, and are
 * known after a recovery (inside.h). All others are in from now on.
 */
#include "portal-gateway/core/call.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/log.h"
#include <stdio.h>
#include <string.h>

#define CONVERSATION_ROOM "conversation:"

enum { ROOMS_ASKED_MAX = 100, REQUEST_BYTES_MAX = 2048 };

static void on_joined(struct call *c, const struct answer *a);

static bool is_conversation(struct view room)
{
    size_t prefix = sizeof CONVERSATION_ROOM - 1;
    return view_starts(room, CONVERSATION_ROOM) &&
           view_is_name((struct view){room.p + prefix, room.n - prefix}, CONVERSATION_ID_MAX, "_-");
}

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

static void accept_room(struct session *s, const struct receipt *receipt, const char *room)
{
    struct acceptance r;
    accept_begin(&r);
    jw_key_text(&r.w, "room", room);
    accept_send(s, receipt, &r);
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
    bool denied =
        !strcmp(a->code, err_code_name(ERR_NOT_FOUND)) || !strcmp(a->code, err_code_name(ERR_DENIED));
    if (!a->ok && denied) {
        session_log_refused_room(c->s, c->subject, a->code);
        refuse_quietly(c->s, &c->receipt, a->code, a->text);
    } else if (!a->ok) {
        refuse_client(c->s, c->event, &c->receipt, a->code, a->text);
    } else if (!put_in(c, a)) {
        refuse_because(c->s, c->event, &c->receipt, ERR_INTERNAL, "a record without its place");
    } else {
        accept_room(c->s, &c->receipt, c->subject);
    }
}

static void on_left(struct call *c, const struct answer *a)
{
    if (a->ok)
        accept_room(c->s, &c->receipt, c->subject);
    else
        refuse_client(c->s, c->event, &c->receipt, a->code, a->text);
}

/* Has it recorded that the session is in the room of the call, or is not any more. */
static void ask_record(struct call *c, bool in)
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
    jw_key_text(&w, "room", c->subject);
    jw_key_bool(&w, "in", in);
    jw_end(&w, '}');
    jw_end(&w, '}');
    call_ask(c, buf_view(&b));
    buf_free(&b);
}

/* How a session is in a room by now; NULL: it is not. */
static const struct membership *find(const struct session *s, const char *room)
{
    const struct room *r = room_find(&s->tenant->rooms, view_of(room));
    return r ? room_membership(r, &s->member) : NULL;
}

static bool read_name(struct session *s, const char *event, struct view room, const struct receipt *receipt,
                      char out[static EVENT_ROOM_BYTES_MAX + 1])
{
    if (room.n && view_copy(room, out, EVENT_ROOM_BYTES_MAX + 1))
        return true;
    refuse_because(s, event, receipt, ERR_INVALID, "a room has a name of 1 to 160 bytes");
    return false;
}

static void ask_in(struct session *s, const char *event, const char *room, const struct receipt *receipt)
{
    struct call *c = call_begin(s, event, receipt, 0, on_joined);
    if (!c)
        return;
    snprintf(c->subject, sizeof c->subject, "%s", room);
    if (session_is_recorded(s))
        ask_record(c, true);
    else
        call_ask_right(c, view_of(room));
}

void client_join(struct session *s, struct view room, const struct receipt *receipt)
{
    static const char event[] = "join";
    char name[EVENT_ROOM_BYTES_MAX + 1];
    if (!read_name(s, event, room, receipt, name))
        return;
    const struct membership *in = find(s, name);
    if (in && !(in->asked_for && session_is_recorded(s))) {
        accept_room(s, receipt, name);
    } else if (!is_conversation(room)) {
        session_log_refused_room(s, name, err_code_name(ERR_DENIED));
        refuse_quietly(s, receipt, err_code_name(ERR_DENIED), "the token does not give this room");
    } else if (!in && asked_rooms(s) >= ROOMS_ASKED_MAX) {
        refuse_because(s, event, receipt, ERR_LIMITED, "too many rooms: leave some");
    } else { /* also who is in by a record may have left by one that is still to come */
        ask_in(s, event, name, receipt);
    }
}

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

void client_leave(struct session *s, struct view room, const struct receipt *receipt)
{
    static const char event[] = "leave";
    char name[EVENT_ROOM_BYTES_MAX + 1];
    if (!read_name(s, event, room, receipt, name))
        return;
    const struct membership *in = find(s, name);
    if (in && !in->asked_for) {
        refuse_because(s, event, receipt, ERR_DENIED, "the token gives this room");
    } else if (session_is_recorded(s) && is_conversation(room)) {
        struct call *c = call_begin(s, event, receipt, 0, on_left);
        if (!c)
            return;
        leave_now(s, name);
        snprintf(c->subject, sizeof c->subject, "%s", name);
        ask_record(c, false);
    } else {
        leave_now(s, name);
        accept_room(s, receipt, name);
    }
}
