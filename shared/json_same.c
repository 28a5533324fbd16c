/* Whether two JSON values say the same. */
#include "shared/json.h"

bool json_same_string(struct view a, struct view b)
{
    struct view plain_a, plain_b;
    if (json_plain_string(a, &plain_a) && json_plain_string(b, &plain_b))
        return view_eq(plain_a, plain_b);
    struct buf text_a, text_b;
    buf_init(&text_a, a.n * 3);
    buf_init(&text_b, b.n * 3);
    bool same = json_decode_string(a, &text_a) && json_decode_string(b, &text_b) &&
                view_eq(buf_view(&text_a), buf_view(&text_b));
    buf_free(&text_a);
    buf_free(&text_b);
    return same;
}

static bool same_arrays(struct view a, struct view b)
{
    struct json_iter of_a = json_iter(a), of_b = json_iter(b);
    struct view one, other;
    for (;;) {
        bool more = json_next_element(&of_a, &one);
        if (more != json_next_element(&of_b, &other))
            return false;
        if (!more)
            return true;
        if (!json_same(one, other))
            return false;
    }
}

/* Members in the same order, as nearly always: compared side by side. */
static bool same_objects(struct view a, struct view b)
{
    struct json_iter of_a = json_iter(a), of_b = json_iter(b);
    struct view name, value, other_name, other;
    for (;;) {
        bool more = json_next_member(&of_a, &name, &value);
        if (more != json_next_member(&of_b, &other_name, &other))
            return false;
        if (!more)
            return true;
        if (!json_same_string(name, other_name) || !json_same(value, other))
            return false;
    }
}

bool json_same(struct view a, struct view b)
{
    enum json_type type = json_type(a);
    if (view_eq(a, b))
        return true;
    if (type != json_type(b))
        return false;
    switch (type) {
    case JSON_STRING:
        return json_same_string(a, b);
    case JSON_ARRAY:
        return same_arrays(a, b);
    case JSON_OBJECT:
        return same_objects(a, b);
    case JSON_NONE:
    case JSON_NULL:
    case JSON_NUMBER:
    case JSON_BOOL:
        break;
    }
    return false;
}
