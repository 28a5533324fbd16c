#include "state-manager/catch_up.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/grant.h"
#include "state-manager/core/record.h"
#include <stdlib.h>
#include <string.h>

enum {
    CATCH_UP_BYTES = 4 << 20,
    ASKED_MAX = 500, /* documents that one page may have to look at */
    ASKED_MORE = EVENT_ROOMS_MAX
};

/* A document that decides whether its owner hears what is said in a room. */
struct asked {
    const struct room_rule *rule;
    char id[RECORD_TEXT_SIZE], key[DOC_KEY_MAX];
    bool his;
};

/* A piece of the answer that stays only if that document is the caller's. Those of one piece are neighbours.
 */
struct pending {
    size_t begin, end, asked;
};

struct catch_up {
    struct job *job;
    struct json_writer w;
    struct view rooms, claims; /* the caller's: JSON array of names; JSON object */
    const char *epoch;
    uint64_t after, last; /* last: the seq that was looked at last */
    size_t left, bytes;
    bool gap;
    struct asked *asked;
    struct pending *pending;
    size_t asked_count, pending_count, pending_cap;
    size_t maybe[EVENT_ROOMS_MAX], maybe_count; /* of the event being looked at: places in asked */
};

/* --- may he hear it? --- */

/* Names are compared decoded: a publisher may have escaped what we did not. */
static bool shares_a_room(struct view theirs, struct view ours)
{
    struct view their, our;
    for (struct json_iter b = json_iter(ours); json_next_element(&b, &our);) {
        char name[EVENT_ROOM_BYTES_MAX + 1];
        bool fits = json_copy_string(our, name, sizeof name);
        for (struct json_iter a = json_iter(theirs); fits && json_next_element(&a, &their);)
            if (json_string_is(their, name))
                return true;
    }
    return false;
}

static bool has_one_of(const struct names *roles, struct view claims)
{
    for (size_t i = 0; i < roles->count; i++)
        if (claims_name_role(claims, roles->items[i]))
            return true;
    return false;
}

/* "*": every role of the profile that the rule stands in. */
static bool has_role(const struct catch_up *u, const struct room_rule *rule)
{
    const struct profiles *all = u->job->profiles;
    for (size_t i = 0; names_has(&rule->roles, VIEW("*")) && i < all->count; i++)
        for (size_t k = 0; k < all->items[i]->room_count; k++)
            if (rule == &all->items[i]->rooms[k])
                return has_one_of(&all->items[i]->roles, u->claims);
    return has_one_of(&rule->roles, u->claims);
}

static void ask(struct catch_up *u, const struct room_rule *rule, struct view id)
{
    if (!rule->of || !rule->owner || !record_id_valid(id))
        return;
    if (!u->asked)
        u->asked = xcalloc(ASKED_MAX + ASKED_MORE, sizeof *u->asked);
    struct asked *one = &u->asked[u->asked_count];
    size_t at = 0;
    if (!view_copy(id, one->id, sizeof one->id))
        return;
    while (at < u->asked_count && (u->asked[at].rule != rule || strcmp(u->asked[at].id, one->id) != 0))
        at++;
    if (at == u->asked_count) {
        one->rule = rule;
        record_key(rule->of, one->id, one->key);
        u->asked_count++;
    }
    u->maybe[u->maybe_count++] = at;
}

/* True: he may by his token alone. Else what has to be asked is in u->maybe. */
static bool may_join(struct catch_up *u, struct view rooms)
{
    struct view room, param;
    u->maybe_count = 0;
    if (!u->job->profiles)
        return false;
    for (struct json_iter it = json_iter(rooms); json_next_element(&it, &room);) {
        char name[EVENT_ROOM_BYTES_MAX + 1];
        if (!json_copy_string(room, name, sizeof name))
            continue;
        const struct room_rule *rule = profiles_room(u->job->profiles, view_of(name), &param);
        if (rule && (has_role(u, rule) || (rule->self && view_is(param, u->job->author))))
            return true;
        if (rule && u->maybe_count < countof(u->maybe))
            ask(u, rule, param);
    }
    return false;
}

/* The services' own; what is read of them counts as looked at. */
static bool is_inside(struct view body)
{
    struct view type;
    return json_plain_string(json_get(body, "type"), &type) && event_type_is_inside(type);
}

/* --- the page --- */

static void write_event(struct catch_up *u, struct view body, uint64_t seq)
{
    char offset[OFFSET_SIZE];
    struct view rooms = json_get(body, "rooms");
    offset_format(u->epoch, seq, offset);
    jw_begin(&u->w, '{');
    jw_key_raw(&u->w, "event", json_get(body, "type"));
    jw_key_raw(&u->w, "data", json_get(body, "data"));
    jw_key_text(&u->w, "offset", offset);
    if (rooms.n)
        jw_key_raw(&u->w, "rooms", rooms);
    jw_key_raw(&u->w, "at", json_get(body, "at"));
    jw_end(&u->w, '}');
    u->left--;
    u->bytes += body.n;
}

/* Written now, and taken out again unless one of the documents is his. */
static void write_for_now(struct catch_up *u, struct view body, uint64_t seq)
{
    size_t begin = u->job->reply.len;
    write_event(u, body, seq);
    for (size_t i = 0; i < u->maybe_count; i++) {
        if (u->pending_count == u->pending_cap) {
            u->pending_cap = u->pending_cap ? u->pending_cap * 2 : 64;
            u->pending = xrealloc(u->pending, u->pending_cap * sizeof *u->pending);
        }
        u->pending[u->pending_count++] = (struct pending){begin, u->job->reply.len, u->maybe[i]};
    }
}

static void look_at(struct catch_up *u, struct view body, uint64_t seq)
{
    struct view rooms = json_get(body, "rooms");
    if (is_inside(body))
        return;
    if (!rooms.n || shares_a_room(rooms, u->rooms) || may_join(u, rooms))
        write_event(u, body, seq);
    else if (u->maybe_count)
        write_for_now(u, body, seq);
}

static bool on_log_entry(void *ctx, const struct log_entry *entry)
{
    struct catch_up *u = ctx;
    struct view body;
    int64_t seq;
    for (struct json_iter it = json_iter(entry->events); json_next_element(&it, &body);) {
        if (!json_i64(json_get(body, "seq"), &seq) || (uint64_t)seq <= u->last)
            continue;
        if (!u->left || u->bytes > CATCH_UP_BYTES || u->asked_count > ASKED_MAX)
            return false;
        u->gap |= u->last == u->after && (uint64_t)seq != u->after + 1;
        u->last = (uint64_t)seq;
        look_at(u, body, (uint64_t)seq);
    }
    return true;
}

/* --- what documents decide --- */

static void on_document(void *ctx, size_t index, struct view doc)
{
    struct catch_up *u = ctx;
    struct asked *one = &u->asked[index];
    struct record record;
    char owner[RECORD_TEXT_SIZE];
    record_read(doc, &record);
    record_owner(one->rule->of, record.document, owner);
    one->his = *owner && !strcmp(owner, u->job->author);
}

static bool ask_store(struct catch_up *u, struct store *store)
{
    struct wanted wanted[ASKED_MAX + ASKED_MORE];
    for (size_t i = 0; i < u->asked_count; i++)
        wanted[i] = (struct wanted){DOC_RECORD, view_of(u->asked[i].key)};
    return !u->asked_count || store->ops->get_many(store, u->job->tenant_id, wanted, u->asked_count,
                                                   on_document, u, &u->job->err);
}

/* Takes what is not for him out of the items that end the answer so far; `start` is where they begin. */
static void drop_others(struct catch_up *u, size_t start)
{
    struct buf *reply = &u->job->reply;
    size_t kept = reply->len, from = reply->len, i = 0;
    if (u->pending_count && !reply->overflow)
        kept = from = u->pending[0].begin;
    while (i < u->pending_count && !reply->overflow) {
        struct pending piece = u->pending[i];
        bool his = false;
        for (; i < u->pending_count && u->pending[i].begin == piece.begin; i++)
            his = his || u->asked[u->pending[i].asked].his;
        memmove(reply->data + kept, reply->data + from, piece.begin - from);
        kept += piece.begin - from;
        from = his ? piece.begin : piece.end;
    }
    if (from > kept) {
        memmove(reply->data + kept, reply->data + from, reply->len - from);
        reply->len -= from - kept;
        reply->data[reply->len] = 0;
    }
    if (reply->len > start && reply->data[start] == ',') { /* the first item is gone */
        memmove(reply->data + start, reply->data + start + 1, reply->len - start);
        reply->len--;
    }
}

static bool write_items(struct catch_up *u, struct store *store)
{
    size_t start = u->job->reply.len;
    bool ok = store->ops->read_log(store, u->job->tenant_id, LOG_BY_SEQ, u->after, false, on_log_entry, u,
                                   &u->job->err) &&
              ask_store(u, store);
    if (ok)
        drop_others(u, start);
    free(u->asked);
    free(u->pending);
    return ok;
}

bool catch_up_answer(struct store *store, struct job *job)
{
    struct head head;
    char next[OFFSET_SIZE], end[OFFSET_SIZE];
    if (!store->ops->head(store, job->tenant_id, &head, &job->err))
        return false;
    bool known =
        !job->after.given || !strcmp(job->after.epoch, head.epoch) || (!*job->after.epoch && !job->after.seq);
    struct catch_up u = {.job = job,
                         .rooms = {job->body, job->body_n},
                         .claims = view_of(job->claims),
                         .epoch = head.epoch,
                         .after = job->after.seq,
                         .last = job->after.seq,
                         .left = job->page.limit};
    jw_init(&u.w, &job->reply);
    jw_begin(&u.w, '{');
    jw_key(&u.w, "items");
    jw_begin(&u.w, '[');
    if (known && !write_items(&u, store))
        return false;
    jw_end(&u.w, ']');
    offset_format(head.epoch, head.seq, end);
    offset_format(head.epoch, u.last, next);
    bool missing = (u.gap && job->after.given) || (u.last == u.after && u.after != head.seq);
    jw_key_text(&u.w, "next", known && !missing ? next : end);
    jw_key_text(&u.w, "head", end);
    jw_key_bool(&u.w, "complete", known && !missing);
    jw_end(&u.w, '}');
    return true;
}
