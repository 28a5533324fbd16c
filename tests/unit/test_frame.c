/* Frames: the bytes on the wire, the forms of an event, sharing. */
#include "portal-gateway/core/ring.h"
#include "shared/mem.h"
#include "tests/unit/suites.h"
#include <stdlib.h>
#include <string.h>

static const struct position at = {"k3f9", 42};

static void shows(struct frame *f, const char *payload)
{
    struct view v = frame_payload(f);
    ck_assert_msg(view_is(v, payload), "%.*s", VIEW_ARG(v));
    frame_unref(f);
}

START_TEST(an_event_has_a_form_per_protocol)
{
    struct view data = VIEW("{\"a\":1}"), none = {NULL, 0};
    shows(frame_of_event(FRAME_SIO, "new_message", data, &at, none),
          "42[\"new_message\",{\"a\":1},\"k3f9-42\"]");
    shows(frame_of_event(FRAME_SIO_BARE, "new_message", data, &at, none), "42[\"new_message\",{\"a\":1}]");
    shows(frame_of_event(FRAME_WS, "new_message", data, &at, none),
          "{\"type\":\"event\",\"event\":\"new_message\",\"data\":{\"a\":1},\"offset\":\"k3f9-42\"}");
    shows(frame_of_event(FRAME_WS, "x", VIEW("null"), &at, VIEW("\"user:\\u00e9\"")),
          "{\"type\":\"event\",\"event\":\"x\",\"data\":null,\"offset\":\"k3f9-42\",\"room\":\"user:"
          "\\u00e9\"}");
}
END_TEST

START_TEST(a_resync_has_a_form_per_protocol)
{
    shows(frame_of_resync(FRAME_SIO, "why", &at), "42[\"resync\",{\"reason\":\"why\"},\"k3f9-42\"]");
    shows(frame_of_resync(FRAME_SIO_BARE, "why", &at), "42[\"resync\",{\"reason\":\"why\"}]");
    shows(frame_of_resync(FRAME_WS, "why", &at),
          "{\"type\":\"resync\",\"reason\":\"why\",\"offset\":\"k3f9-42\"}");
}
END_TEST

static void add(struct buf *frames, enum frame_form form, size_t bytes)
{
    struct buf stem, tail;
    char *text = xcalloc(bytes + 3, 1);
    memset(text, 'x', bytes + 2);
    text[0] = text[bytes + 1] = '"';
    frame_stem(&stem, form, "t", (struct view){text, bytes + 2});
    frame_tail(&tail, form, &at, (struct view){NULL, 0});
    frame_add_joined(frames, buf_view(&stem), buf_view(&tail));
    struct frame *whole =
        frame_of_event(form, "t", (struct view){text, bytes + 2}, &at, (struct view){NULL, 0});
    ck_assert_uint_ge(frames->len, whole->len);
    ck_assert_int_eq(memcmp(frames->data + frames->len - whole->len, whole->bytes, whole->len), 0);
    frame_unref(whole);
    buf_free(&stem);
    buf_free(&tail);
    free(text);
}

START_TEST(many_frames_in_one_are_the_same_bytes_and_come_apart_again)
{
    static const size_t sizes[] = {0, 60, 200, 1000, 66000, 1};
    for (enum frame_form form = 0; form < FRAME_FORMS; form++) {
        struct buf frames;
        size_t count = 0;
        buf_init(&frames, 1 << 20);
        for (size_t i = 0; i < countof(sizes); i++)
            add(&frames, form, sizes[i]);
        struct frame *f = frame_of_many(buf_view(&frames), countof(sizes));
        ck_assert_uint_eq(f->count, countof(sizes));
        ck_assert_uint_eq(f->len, frames.len);
        struct view left = {(const char *)f->bytes, f->len};
        for (bool is_text; left.n; count++) {
            struct view payload = frame_next(&left, &is_text);
            ck_assert(is_text);
            ck_assert_uint_gt(payload.n, sizes[count]);
            ck_assert_uint_lt(payload.n, sizes[count] + 80);
        }
        ck_assert_uint_eq(count, countof(sizes));
        frame_unref(f);
        buf_free(&frames);
    }
}
END_TEST

START_TEST(the_header_says_the_length)
{
    static const struct {
        size_t n, header;
        unsigned char bytes[4];
    } rows[] = {
        {0, 2, {0x81, 0}},
        {125, 2, {0x81, 125}},
        {126, 4, {0x81, 126, 0, 126}},
        {65535, 4, {0x81, 126, 0xff, 0xff}},
        {65536, 10, {0x81, 127, 0, 0}},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        char *payload = xcalloc(rows[i].n, 1);
        struct frame *f = frame_create(WS_TEXT, (struct view){payload, rows[i].n});
        ck_assert_uint_eq(f->header, rows[i].header);
        ck_assert_uint_eq(f->len, rows[i].header + rows[i].n);
        ck_assert_int_eq(memcmp(f->bytes, rows[i].bytes, rows[i].header > 4 ? 4 : rows[i].header), 0);
        frame_unref(f);
        free(payload);
    }
}
END_TEST

START_TEST(an_entry_is_framed_once_per_form)
{
    struct err err;
    struct ring ring;
    ring_init(&ring, 16, 1 << 20);
    struct record *r =
        record_create(VIEW("{\"type\":\"x\",\"tenantId\":\"t\",\"data\":{\"n\":1e400}}"), &err);
    struct entry *e = ring_append(&ring, r, &at);
    struct frame *f = entry_frame(e, FRAME_SIO);
    ck_assert_ptr_eq(f, entry_frame(e, FRAME_SIO));
    ck_assert_ptr_ne(f, entry_frame(e, FRAME_WS));
    frame_ref(f);
    ring_finish(&ring); /* the frame outlives the ring while somebody holds it */
    shows(f, "42[\"x\",{\"n\":1e400},\"k3f9-42\"]");
}
END_TEST

START_TEST(the_ring_is_bounded_by_count_and_bytes)
{
    struct err err;
    struct ring ring;
    const struct view body = VIEW("{\"type\":\"x\",\"tenantId\":\"t\",\"data\":1}");
    ring_init(&ring, 100, SIZE_MAX);
    for (int i = 0; i < 1000; i++) {
        ring_append(&ring, record_create(body, &err), &at);
        ck_assert_uint_le(ring.head - ring.first, 100);
        ck_assert_uint_eq(ring.head, (uint64_t)i + 1);
    }
    ck_assert_uint_eq(ring.head - ring.first, 100);
    ring_finish(&ring);

    ring_init(&ring, 100, 4000);
    for (int i = 0; i < 1000; i++) {
        ring_append(&ring, record_create(body, &err), &at);
        ck_assert(ring_bytes_from(&ring, ring.first) <= 4000 || ring.head - ring.first == 1);
    }
    ck_assert_uint_lt(ring.head - ring.first, 8);
    ck_assert_uint_eq(ring_bytes_from(&ring, ring.head), 0);
    ring_finish(&ring);
}
END_TEST

START_TEST(a_record_is_refused_with_an_epoch_that_would_break_frames)
{
    struct err err = {0};
    ck_assert_ptr_null(record_create(
        VIEW("{\"type\":\"x\",\"tenantId\":\"t\",\"seq\":1,\"epoch\":\"a\\\"b\",\"data\":1}"), &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_ptr_null(record_create(VIEW("{"), &err));
    ck_assert_int_eq(err.code, ERR_MALFORMED);
}
END_TEST

START_TEST(a_copy_of_a_record_points_into_itself)
{
    struct err err;
    struct record *r =
        record_create(VIEW("{\"type\":\"x\",\"tenantId\":\"t\",\"rooms\":[\"a\"],\"data\":{\"n\":1}}"), &err);
    struct record *copy = record_copy(r);
    memset(r->body, '!', r->bytes);
    record_destroy(r);
    ck_assert(view_is(copy->event.data, "{\"n\":1}"));
    ck_assert(view_is(copy->event.rooms, "[\"a\"]"));
    record_destroy(copy);
    r = record_create(VIEW("{\"type\":\"x\",\"tenantId\":\"t\"}"), &err); /* its data is not in the body */
    copy = record_copy(r);
    record_destroy(r);
    ck_assert(view_is(copy->event.data, "null"));
    record_destroy(copy);
}
END_TEST

Suite *suite_frame(void)
{
    Suite *s = suite_create("frame");
    TCase *t = tcase_create("frames");
    tcase_add_test(t, an_event_has_a_form_per_protocol);
    tcase_add_test(t, a_resync_has_a_form_per_protocol);
    tcase_add_test(t, many_frames_in_one_are_the_same_bytes_and_come_apart_again);
    tcase_add_test(t, the_header_says_the_length);
    tcase_add_test(t, an_entry_is_framed_once_per_form);
    tcase_add_test(t, the_ring_is_bounded_by_count_and_bytes);
    tcase_add_test(t, a_record_is_refused_with_an_epoch_that_would_break_frames);
    tcase_add_test(t, a_copy_of_a_record_points_into_itself);
    suite_add_tcase(s, t);
    return s;
}
