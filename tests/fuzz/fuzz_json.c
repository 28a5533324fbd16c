/* The JSON reader: what passes the check can be walked to its last byte, and written again. */
#include "shared/json.h"
#include "tests/fuzz/fuzz.h"

static void walk(struct view value, struct view text, struct buf *out)
{
    struct view key, item;
    int64_t number;
    MUST(value.n && value.p >= text.p && value.p + value.n <= text.p + text.n);
    bool is_object = json_type(value) == JSON_OBJECT;
    for (struct json_iter it = json_iter(value); is_object && json_next_member(&it, &key, &item);) {
        MUST(json_type(key) == JSON_STRING);
        walk(item, text, out);
    }
    for (struct json_iter it = json_iter(value); !is_object && json_next_element(&it, &item);)
        walk(item, text, out);
    buf_clear(out);
    if (json_type(value) == JSON_STRING && json_decode_string(value, out) && view_is_utf8(buf_view(out))) {
        struct buf again;
        struct view checked;
        buf_init(&again, text.n * 6 + 64);
        json_put_string(&again, buf_view(out));
        MUST(json_check(buf_view(&again), JSON_STRICT, &checked, NULL));
        buf_free(&again);
    }
    if (json_type(value) == JSON_NUMBER && json_i64(value, &number))
        MUST(number == 0 || value.n <= 20);
}

/* Text that a disk has changed: anything may be found in it, but within it, and the walk ends. */
static void walk_unchecked(struct view value, struct buf *out, int depth)
{
    struct view key, item;
    int64_t number;
    char room[16];
    for (struct json_iter it = json_iter(value); json_next_member(&it, &key, &item);) {
        MUST(key.p >= value.p && item.p + item.n <= value.p + value.n);
        buf_clear(out);
        if (json_decode_string(key, out) && json_copy_string(item, room, sizeof room))
            json_get(value, room);
        if (depth < 4)
            walk_unchecked(item, out, depth + 1);
    }
    for (struct json_iter it = json_iter(value); json_next_element(&it, &item);)
        if (json_i64(item, &number))
            json_is_true(item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data, size), value, again;
    struct err err;
    struct buf unchecked;
    buf_init(&unchecked, size * 4 + 64);
    walk_unchecked(text, &unchecked, 0);
    buf_free(&unchecked);
    if (!json_check(text, JSON_STRICT, &value, &err)) {
        MUST(err.code == ERR_MALFORMED);
        if (json_check(text, JSON_ANY_BYTES_IN_STRINGS, &value, &err))
            MUST(!view_is_utf8(text));
        return 0;
    }
    MUST(json_check(text, JSON_OURS, &again, &err) && view_eq(value, again));
    MUST(view_is_utf8(text) && json_check(value, JSON_STRICT, &again, &err) && view_eq(value, again));
    struct buf out;
    buf_init(&out, size * 4 + 64);
    walk(value, value, &out);
    json_path(value, "a.b.c");
    buf_free(&out);
    return 0;
}
