/* Events that other backends publish through us: one, or an array that is committed as a whole. */
#include "shared/event.h"
#include "shared/json.h"
#include "state-manager/core/command.h"
#include "state-manager/core/text.h"
#include <stdio.h>

enum { EVENT_DATA_MAX = EVENT_BODY_MAX / 4 };

static bool read_class(struct view value, enum event_class *out)
{
    static const enum event_class all[] = {EVENT_DURABLE, EVENT_LATEST, EVENT_EPHEMERAL};
    *out = EVENT_DURABLE;
    if (json_type(value) == JSON_NONE)
        return true;
    for (size_t i = 0; i < countof(all); i++)
        if (json_type(value) == JSON_STRING && json_string_is(value, event_class_name(all[i]))) {
            *out = all[i];
            return true;
        }
    return false;
}

static bool is_empty_array(struct view value)
{
    struct json_iter it = json_iter(value);
    struct view element;
    return json_type(value) == JSON_ARRAY && !json_next_element(&it, &element);
}

/* A key that the class does not need is checked all the same, and then goes nowhere. */
static bool read_key(struct view value, struct event_draft *draft, char key[static EVENT_KEY_MAX + 1],
                     struct err *err)
{
    bool given = json_type(value) != JSON_NONE && json_type(value) != JSON_NULL;
    key[0] = 0;
    if (given && (!text_is_name(value, EVENT_KEY_MAX) || !json_copy_string(value, key, EVENT_KEY_MAX + 1)))
        return err_set(err, ERR_INVALID, "key must be a string of 1 to %d bytes", EVENT_KEY_MAX);
    if (draft->class == EVENT_LATEST && !given)
        return err_set(err, ERR_INVALID, "an event of class latest needs a key");
    draft->key = view_of(key);
    return true;
}

/* Checks one event and fills the draft, whose type and key are copied into the rooms given. */
static bool read_event(struct view one, struct event_draft *draft, char type[static EVENT_TYPE_MAX + 1],
                       char key[static EVENT_KEY_MAX + 1], struct err *err)
{
    enum { EVENT, CLASS, ROOMS, DATA, KEY, MEMBERS };
    static const char *const names[MEMBERS] = {"event", "class", "rooms", "data", "key"};
    struct view values[MEMBERS];
    *draft = (struct event_draft){.type = type};
    if (json_type(one) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "an event must be a JSON object");
    json_get_several(one, names, values, MEMBERS);
    if (!json_copy_string(values[EVENT], type, EVENT_TYPE_MAX + 1) || !event_type_valid(view_of(type)))
        return err_set(err, ERR_INVALID,
                       "event must be 1 to %d of letters, digits, '_', '.', ':', '-', and no reserved name",
                       EVENT_TYPE_MAX);
    if (!read_class(values[CLASS], &draft->class))
        return err_set(err, ERR_INVALID, "class must be durable, latest or ephemeral");
    draft->rooms = values[ROOMS];
    if (json_type(draft->rooms) == JSON_NONE || json_type(draft->rooms) == JSON_NULL ||
        is_empty_array(draft->rooms))
        draft->rooms = (struct view){NULL, 0};
    else if (!event_rooms_valid(draft->rooms))
        return err_set(err, ERR_INVALID, "rooms must be an array of at most %d names of 1 to %d bytes",
                       EVENT_ROOMS_MAX, EVENT_ROOM_BYTES_MAX);
    draft->data = values[DATA];
    if (draft->data.n > EVENT_DATA_MAX)
        return err_set(err, ERR_INVALID, "data is over %d bytes", EVENT_DATA_MAX);
    return read_key(values[KEY], draft, key, err);
}

static void put_result(struct json_writer *w, const struct emitted *e)
{
    jw_begin(w, '{');
    jw_key_text(w, "id", e->id);
    jw_key_text(w, "offset", *e->offset ? e->offset : NULL);
    jw_end(w, '}');
}

/* All are checked before the first is added: the array is accepted whole or not at all. */
static bool check_all(struct view events, struct err *err)
{
    struct view one;
    struct event_draft draft;
    char type[EVENT_TYPE_MAX + 1], key[EVENT_KEY_MAX + 1];
    int count = 0;
    for (struct json_iter it = json_iter(events); json_next_element(&it, &one); count++) {
        if (count == EVENTS_PER_CALL_MAX)
            return err_set(err, ERR_INVALID, "at most %d events in one call", EVENTS_PER_CALL_MAX);
        if (!read_event(one, &draft, type, key, err)) {
            char where[24];
            snprintf(where, sizeof where, "event %d", count);
            return err_wrap(err, where);
        }
    }
    return count > 0 || err_set(err, ERR_INVALID, "no event in the array");
}

bool decide_events(struct batch *b, struct command *c, struct err *err)
{
    struct event_draft draft;
    struct emitted e;
    struct json_writer w;
    struct view one;
    char type[EVENT_TYPE_MAX + 1], key[EVENT_KEY_MAX + 1];
    jw_init(&w, c->reply);
    if (json_type(c->element) != JSON_ARRAY) {
        if (!read_event(c->element, &draft, type, key, err))
            return false;
        batch_emit(b, &draft, &e);
        put_result(&w, &e);
        return true;
    }
    if (!check_all(c->element, err))
        return false;
    jw_begin(&w, '[');
    for (struct json_iter it = json_iter(c->element); json_next_element(&it, &one);)
        if (read_event(one, &draft, type, key, err)) {
            batch_emit(b, &draft, &e);
            put_result(&w, &e);
        }
    jw_end(&w, ']');
    return true;
}
