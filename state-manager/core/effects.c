/* What follows from a write: events, other documents, the audit record, a user's end. First gathered, then
 * put into the batch. */
#include "shared/event.h"
#include "shared/json.h"
#include "shared/mem.h"
#include "state-manager/core/revocation.h"
#include "state-manager/core/writing.h"
#include <stdio.h>

/* --- conditions --- */

static bool is_changed(const struct writing *w, const char *field)
{
    return !json_same(json_get(w->scope.roots[TEMPLATE_BEFORE], field),
                      json_get(w->scope.roots[TEMPLATE_DOCUMENT], field));
}

static bool changed_any(const struct writing *w, const struct names *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        if (is_changed(w, fields->items[i]))
            return true;
    return false;
}

/* What the token says of roles is a list: one of them is enough. */
static bool check_rule(struct writing *w, const struct check_rule *rule, bool *holds, struct err *err)
{
    struct view wanted, found = template_value(rule->expression, &w->scope);
    char role[TOKEN_NAME_MAX + 1];
    if (!writing_render(w, rule->value, RECORD_BYTES_MAX, &wanted, err))
        return false;
    if (view_is(rule->expression, "token.role"))
        *holds = json_copy_string(wanted, role, sizeof role) && claims_name_role(w->c->claims, role);
    else
        *holds = json_same(found.n ? found : VIEW("null"), wanted);
    return true;
}

static bool check_condition(struct writing *w, const struct condition *when, bool *holds, struct err *err)
{
    *holds = (!when->changed.count || changed_any(w, &when->changed)) && !changed_any(w, &when->unchanged);
    for (size_t i = 0; *holds && i < when->is_count; i++)
        if (!check_rule(w, &when->is[i], holds, err))
            return false;
    return true;
}

/* --- events --- */

static void put_role_rooms(struct json_writer *jw, const struct names *roles)
{
    char room[sizeof "role:" + TOKEN_NAME_MAX];
    for (size_t i = 0; i < roles->count; i++) {
        int n = snprintf(room, sizeof room, "role:%s", roles->items[i]);
        jw_text(jw, (struct view){room, (size_t)n});
    }
}

/* A room whose name cannot be made is nobody's, and left out. */
static size_t put_rooms(struct writing *w, struct json_writer *jw, const struct emission *e)
{
    char room[EVENT_ROOM_BYTES_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < e->room_count; i++)
        if (writing_text(w, e->rooms[i], room, sizeof room)) {
            jw_text(jw, view_of(room));
            count++;
        }
    return count;
}

/* An event to no room would be one to the whole tenant: it is not sent. */
static bool gather_event(struct writing *w, const struct emission *e, struct err *err)
{
    struct json_writer jw;
    struct buf rooms;
    struct view data;
    buf_init(&rooms, EVENT_ROOMS_MAX * (EVENT_ROOM_BYTES_MAX * 6 + 3) + 2);
    jw_init(&jw, &rooms);
    jw_begin(&jw, '[');
    if (!e->room_count)
        put_role_rooms(&jw, &w->o->resource->profile->roles);
    else if (!put_rooms(w, &jw, e)) {
        buf_free(&rooms);
        return true;
    }
    jw_end(&jw, ']');
    struct view kept = writing_keep(w, &rooms);
    if (!writing_render(w, e->data, EMISSION_BYTES_MAX, &data, err) || !writing_weigh(w, data.n, err))
        return false;
    w->events[w->event_count++] = (struct announced){e->event, kept, data};
    return true;
}

static bool gather_events(struct writing *w, struct err *err)
{
    w->events = xcalloc(w->o->emit_count + 1, sizeof *w->events);
    for (size_t i = 0; i < w->o->emit_count; i++) {
        const struct emission *e = &w->o->emit[i];
        bool holds;
        if (!check_condition(w, &e->when, &holds, err) || (holds && !gather_event(w, e, err)))
            return false;
    }
    return true;
}

/* --- other documents --- */

static bool gather_follow_ups(struct writing *w, struct err *err)
{
    for (size_t i = 0; i < w->o->then_count; i++) {
        const struct follow_up *f = &w->o->then[i];
        char id[RECORD_TEXT_SIZE];
        struct record before;
        struct view document;
        if (!writing_text(w, f->id, id, sizeof id) || !record_id_valid(view_of(id)))
            continue; /* there is nobody to follow */
        writing_find(w, f->resource, id, &before);
        if (!compose_follow_up(w, f, id, &before, &document, err) ||
            (document.n && !writing_stage(w, f->resource, id, &before, document, err)))
            return false;
    }
    return true;
}

/* {"at", and what the template says} */
static bool gather_audit(struct writing *w, struct err *err)
{
    struct json_writer jw;
    struct buf text;
    struct view said, name, value;
    if (!w->o->audit.n)
        return true;
    if (!writing_render(w, w->o->audit, WRITE_BYTES_MAX, &said, err))
        return false;
    buf_init(&text, WRITE_BYTES_MAX);
    jw_init(&jw, &text);
    jw_begin(&jw, '{');
    if (!json_get(said, "at").n)
        jw_key_raw(&jw, "at", w->scope.roots[TEMPLATE_NOW]);
    for (struct json_iter it = json_iter(said); json_next_member(&it, &name, &value);) {
        char key[PROFILE_NAME_MAX + 1];
        if (json_copy_string(name, key, sizeof key))
            jw_key_raw(&jw, key, value);
    }
    jw_end(&jw, '}');
    w->audit = writing_keep(w, &text);
    return writing_weigh(w, w->audit.n, err);
}

static bool gather_disconnection(struct writing *w, struct err *err)
{
    const struct disconnect_rule *rule = &w->o->disconnect;
    bool holds = false;
    if (rule->given && !check_condition(w, &rule->when, &holds, err))
        return false;
    if (holds && !writing_text(w, rule->user, w->disconnected, sizeof w->disconnected))
        w->disconnected[0] = 0;
    return true;
}

bool effects_gather(struct writing *w, struct err *err)
{
    return gather_events(w, err) && gather_follow_ups(w, err) && gather_audit(w, err) &&
           gather_disconnection(w, err);
}

/* --- into the batch --- */

static void put_document(struct writing *w, const struct staged *s)
{
    char room[DOC_KEY_MAX];
    struct buf text;
    struct record now = {.document = s->document, .at = s->before.at, .ord = s->before.ord};
    struct doc_place place = {.parent = view_of(s->place.parent),
                              .state = view_of(s->place.state),
                              .owner = view_of(s->place.owner)};
    buf_init(&text, DOC_MAX);
    if (s->document.n) {
        if (!s->before.document.n || record_moves(s->resource)) {
            now.at = batch_now(w->b);
            now.ord = batch_next_ord(w->b);
        }
        place.rank = now.at;
        place.ord = now.ord;
        record_write(&now, &text);
    } else {
        place = (struct doc_place){0};
        record_write_deleted(s->before.version + 1, &text);
    }
    batch_put(w->b, DOC_RECORD, record_key(s->resource, s->id, room), place, buf_view(&text));
    buf_free(&text);
}

static void put_audit(struct writing *w)
{
    char key[DOC_KEY_MAX], audit_key[DOC_KEY_MAX];
    struct view parent = record_key(w->o->resource, w->id, key);
    struct doc_place place = {.parent = parent, .rank = batch_now(w->b), .ord = batch_next_ord(w->b)};
    batch_put(w->b, DOC_AUDIT, record_audit_key(parent, w->before.version + 1, audit_key), place, w->audit);
}

void effects_apply(struct writing *w)
{
    for (size_t i = 0; i < w->doc_count; i++)
        put_document(w, &w->docs[i]);
    for (size_t i = 0; i < w->event_count; i++)
        batch_emit(w->b,
                   &(struct event_draft){
                       .type = w->events[i].type, .rooms = w->events[i].rooms, .data = w->events[i].data},
                   NULL);
    if (w->audit.n)
        put_audit(w);
    if (*w->disconnected)
        revocation_put(w->b, w->disconnected, w->o->disconnect.may_return);
}
