/*
 * The rooms that a client has joined besides those of its token, so that any gateway can give them back to
 * it, and its end, so that none does. Each change is an event of the tenant's at a place of its own: gateways
 * apply it when their stream passes that place, and what a room heard before it is not the client's to hear.
 *
 * A change says which generation of the session wants it: each connection that goes on with a session is a
 * later one than those before. What an earlier one wants once a later one has asked for anything is not the
 * client's wish any more; it was held up on its way, in a gateway that stood still or by a link.
 */
#include "shared/json.h"
#include "state-manager/core/conversing.h"
#include "state-manager/core/record.h"
#include <stdio.h>
#include <string.h>

enum {
    PID_MAX = 64,
    SESSION_ROOMS_MAX = 100,
    REFRESH_MS = 86400000, /* a member's document is made young again that often: it is kept by its age */
    UNSAID = -1            /* generation of who does not say it: gateways before they did, and who kicks */
};

#define CONVERSATION_ROOM "conversation:"

/* What is asked for. */
struct wish {
    char pid[PID_MAX + 1], room[EVENT_ROOM_BYTES_MAX + 1];
    const struct room_rule *rule; /* of a profile's room; NULL: a conversation's */
    char id[RECORD_TEXT_SIZE];    /* of the document that the room is of */
    bool in, ended, granted;
    int64_t generation; /* of the session's connections; UNSAID: any */
};

static bool read_pid(struct view body, char pid[static PID_MAX + 1])
{
    return json_copy_string(json_get(body, "pid"), pid, PID_MAX + 1) &&
           view_is_name(view_of(pid), PID_MAX, "_-");
}

/* The id of the conversation that the room is of; empty: of none. */
static struct view conversation_of(const char *room)
{
    struct view id = {room + sizeof CONVERSATION_ROOM - 1, 0};
    if (!view_starts(view_of(room), CONVERSATION_ROOM))
        return (struct view){NULL, 0};
    id.n = strlen(id.p);
    return view_is_name(id, EVENT_ROOM_BYTES_MAX, "_-") ? id : (struct view){NULL, 0};
}

static bool has_conversations(const struct command *c)
{
    return !c->profiles || profiles_has_builtin(c->profiles, BUILTIN_AGENT_PORTAL);
}

/* Whether there can be such a room. */
static bool read_room(const struct command *c, struct view name, struct wish *out)
{
    struct view param = {NULL, 0};
    if (!json_copy_string(name, out->room, sizeof out->room))
        return false;
    if (has_conversations(c) && conversation_of(out->room).n)
        return true;
    out->rule = c->profiles ? profiles_room(c->profiles, view_of(out->room), &param) : NULL;
    return out->rule &&
           (!out->rule->of || (record_id_valid(param) && view_copy(param, out->id, sizeof out->id)));
}

static bool read_generation(struct view body, int64_t *out)
{
    struct view said = json_get(body, "generation");
    *out = UNSAID;
    return json_type(said) == JSON_NONE || (json_i64(said, out) && *out >= 0);
}

static bool read_wish(const struct command *c, struct wish *out, struct err *err)
{
    struct view body = c->element, in = json_get(body, "in");
    *out = (struct wish){.ended = json_is_true(json_get(body, "ended")),
                         .granted = json_is_true(json_get(body, "granted"))};
    out->in = !out->ended && json_is_true(in);
    if (json_type(body) != JSON_OBJECT || !read_pid(body, out->pid))
        return err_set(err, ERR_INVALID, "pid must be 1 to %d of letters, digits, '_' and '-'", PID_MAX);
    if (!read_generation(body, &out->generation))
        return err_set(err, ERR_INVALID, "generation must be a whole number from 0");
    if (out->ended)
        return true;
    if (json_type(in) != JSON_BOOL)
        return err_set(err, ERR_INVALID, "in must be true or false");
    if (read_room(c, json_get(body, "room"), out))
        return true;
    return c->profiles ? err_set(err, ERR_INVALID, "room is none that can be joined")
                       : err_set(err, ERR_INVALID, "room must be conversation: and the id of one");
}

static struct view document_key(const struct wish *wish, char room[static DOC_KEY_MAX])
{
    return record_key(wish->rule->of, wish->id, room);
}

void foresee_session(struct batch *b, const struct command *c)
{
    struct wish wish;
    struct err ignored;
    char key[DOC_KEY_MAX];
    if (!read_wish(c, &wish, &ignored))
        return;
    batch_want(b, DOC_SESSION, view_of(wish.pid));
    if (wish.in && wish.rule && wish.rule->of)
        batch_want(b, DOC_RECORD, document_key(&wish, key));
    if (wish.in && !wish.rule && conversation_of(wish.room).n < MODEL_ID_SIZE)
        batch_want(b, DOC_CONVERSATION, conversation_of(wish.room));
}

/* {"offset"}: a place in the stream, null: there is none to wait for. */
static bool answer(struct command *c, struct view offset)
{
    struct json_writer w;
    jw_init(&w, c->reply);
    jw_begin(&w, '{');
    jw_key_raw(&w, "offset", offset);
    jw_end(&w, '}');
    return true;
}

/* The latest that has asked for anything. */
static int64_t generation_of(struct view doc)
{
    int64_t generation;
    return json_i64(json_get(doc, "generation"), &generation) ? generation : 0;
}

static size_t count_rooms(struct view doc)
{
    struct view name, joined;
    size_t count = 0;
    for (struct json_iter it = json_iter(json_get(doc, "rooms")); json_next_member(&it, &name, &joined);)
        count++;
    return count;
}

/* All but the room that the wish is about, and that since `since` when it is one to be in. None after the
 * end. */
static void write_rooms(struct json_writer *w, struct view doc, const struct wish *wish, struct view since)
{
    struct view name, joined;
    char room[EVENT_ROOM_BYTES_MAX + 1];
    jw_key(w, "rooms");
    jw_begin(w, '{');
    for (struct json_iter it = json_iter(json_get(doc, "rooms")); json_next_member(&it, &name, &joined);)
        if (!wish->ended && json_copy_string(name, room, sizeof room) && strcmp(room, wish->room) != 0)
            jw_key_raw(w, room, joined);
    if (wish->in)
        jw_key_raw(w, wish->room, since);
    jw_end(w, '}');
}

static void put_session(struct batch *b, const struct wish *wish, struct view sub, struct view doc,
                        const char *offset, struct view since)
{
    struct buf text;
    struct json_writer w;
    int64_t known = generation_of(doc), generation = wish->generation > known ? wish->generation : known;
    buf_init(&text, DOC_MAX);
    jw_init(&w, &text);
    jw_begin(&w, '{');
    jw_key_text(&w, "pid", wish->pid);
    jw_key_raw(&w, "sub", sub);
    write_rooms(&w, doc, wish, since);
    if (wish->ended)
        jw_key_bool(&w, "ended", true);
    if (generation)
        jw_key_i64(&w, "generation", generation);
    jw_key_text(&w, "offset", offset);
    jw_key_i64(&w, "at", batch_now(b));
    jw_end(&w, '}');
    batch_put(b, DOC_SESSION, view_of(wish->pid), (struct doc_place){.rank = batch_now(b)}, buf_view(&text));
    buf_free(&text);
}

static void announce(struct batch *b, const struct wish *wish, struct view sub, struct emitted *out)
{
    struct buf data;
    struct json_writer w;
    buf_init(&data, DOC_MAX);
    jw_init(&w, &data);
    jw_begin(&w, '{');
    jw_key_text(&w, "pid", wish->pid);
    jw_key_raw(&w, "sub", sub);
    if (wish->ended) {
        jw_key_bool(&w, "ended", true);
    } else {
        jw_key_text(&w, "room", wish->room);
        jw_key_bool(&w, "in", wish->in);
    }
    if (wish->generation > 0)
        jw_key_i64(&w, "generation", wish->generation);
    jw_end(&w, '}');
    batch_emit(b, &(struct event_draft){.type = EVENT_INSIDE "session", .data = buf_view(&data)}, out);
    buf_free(&data);
}

/* The event, the document, the answer. Who is in already stays in since then: others learn of a later
 * generation. */
static bool change(struct batch *b, struct command *c, const struct wish *wish, struct view doc)
{
    struct emitted e;
    struct buf sub, offset;
    struct view joined = wish->in ? json_get(json_get(doc, "rooms"), wish->room) : (struct view){NULL, 0};
    buf_init(&sub, TOKEN_NAME_MAX * 6 + 2);
    buf_init(&offset, OFFSET_SIZE + 2);
    if (doc.n)
        buf_add_view(&sub, json_get(doc, "sub"));
    else
        json_put_string(&sub, c->author);
    announce(b, wish, buf_view(&sub), &e);
    json_put_string(&offset, view_of(e.offset));
    struct view since = joined.n ? joined : buf_view(&offset);
    answer(c, since); /* before the document that it may be in is another */
    put_session(b, wish, buf_view(&sub), doc, e.offset, since);
    buf_free(&sub);
    buf_free(&offset);
    return true;
}

/* Nothing is announced: it is the same as before, only younger. */
static void refresh(struct batch *b, struct view doc)
{
    struct wish none = {.room = ""};
    struct view offset;
    char text[OFFSET_SIZE];
    int64_t at;
    if (!json_i64(json_get(doc, "at"), &at) || batch_now(b) - at < REFRESH_MS ||
        !json_plain_string(json_get(doc, "offset"), &offset) || !view_copy(offset, text, sizeof text) ||
        !read_pid(doc, none.pid))
        return;
    put_session(b, &none, json_get(doc, "sub"), doc, text, (struct view){NULL, 0});
}

/* A profile's room: its document has to be there, and the author's where his token alone is not enough. */
static bool check_rule(struct batch *b, const struct command *c, const struct wish *wish, struct err *err)
{
    const struct resource *of = wish->rule->of;
    char key[DOC_KEY_MAX], owner[RECORD_TEXT_SIZE] = "";
    struct record record;
    struct buf absent;
    bool exists = true;
    if (of) {
        buf_init(&absent, RECORD_BYTES_MAX);
        record_read(batch_get(b, DOC_RECORD, document_key(wish, key)), &record);
        struct view shown = record_shown(of, wish->id, &record, &absent);
        exists = shown.n > 0;
        record_owner(of, shown, owner);
        buf_free(&absent);
    }
    if (!exists)
        return err_set(err, ERR_NOT_FOUND, "there is no such document in %s", of->name);
    return wish->granted || (wish->rule->owner && *owner && view_is(c->author, owner)) ||
           err_set(err, ERR_DENIED, "the room is somebody else's");
}

/* Whether there is what the room is of, for this client. */
static bool check_room(struct batch *b, const struct command *c, const struct wish *wish, struct err *err)
{
    struct talk t;
    return wish->rule ? check_rule(b, c, wish, err) : talk_load(b, conversation_of(wish->room), &t, err);
}

static bool join(struct batch *b, struct command *c, const struct wish *wish, struct view doc,
                 struct err *err)
{
    struct view joined = json_get(json_get(doc, "rooms"), wish->room);
    if (json_is_true(json_get(doc, "ended")))
        return err_set(err, ERR_CONFLICT, "the session has ended");
    if (joined.n && wish->generation > generation_of(doc))
        return change(b, c, wish, doc);
    if (joined.n) {
        refresh(b, doc);
        return answer(c, joined);
    }
    if (count_rooms(doc) >= SESSION_ROOMS_MAX)
        return err_set(err, ERR_LIMITED, "a session is in at most %d rooms", SESSION_ROOMS_MAX);
    return check_room(b, c, wish, err) && change(b, c, wish, doc);
}

bool decide_session(struct batch *b, struct command *c, struct err *err)
{
    struct wish wish;
    char sub[TOKEN_NAME_MAX + 1];
    if (!read_wish(c, &wish, err))
        return false;
    struct view doc = batch_get(b, DOC_SESSION, view_of(wish.pid));
    bool ended = json_is_true(json_get(doc, "ended"));
    bool own = !doc.n || (json_copy_string(json_get(doc, "sub"), sub, sizeof sub) && view_is(c->author, sub));
    if (!wish.ended && !own)
        return err_set(err, ERR_DENIED, "the session is somebody else's");
    if (wish.generation != UNSAID && wish.generation < generation_of(doc))
        return err_set(err, ERR_CONFLICT, "the session goes on elsewhere");
    if (wish.in)
        return join(b, c, &wish, doc, err);
    bool news = wish.ended || json_get(json_get(doc, "rooms"), wish.room).n > 0 ||
                wish.generation > generation_of(doc);
    bool due = !ended && news;
    return due ? change(b, c, &wish, doc) : answer(c, json_get(doc, "offset"));
}
