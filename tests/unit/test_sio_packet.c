/* Every row of the Socket.IO packet grammar (wire spec 2.4, 3.1), and what the encoders write. */
#include "portal-gateway/core/sio_packet.h"
#include "tests/unit/suites.h"
#include <string.h>

enum { REFUSED = -1 };

static const struct {
    const char *text;
    int type; /* or REFUSED */
    unsigned attachments;
    const char *nsp;
    int64_t id; /* -1: none */
    const char *payload;
} rows[] = {
    /* CONNECT: nothing or an object */
    {"0", SIO_CONNECT, 0, "/", -1, ""},
    {"0{\"token\":\"123\"}", SIO_CONNECT, 0, "/", -1, "{\"token\":\"123\"}"},
    {"0/custom,", SIO_CONNECT, 0, "/custom", -1, ""},
    {"0/custom", SIO_CONNECT, 0, "/custom", -1, ""},
    {"0/custom,{\"token\":\"abc\"}", SIO_CONNECT, 0, "/custom", -1, "{\"token\":\"abc\"}"},
    {"0/custom?x=1,", SIO_CONNECT, 0, "/custom?x=1", -1, ""},
    {"0/,", SIO_CONNECT, 0, "/", -1, ""},
    {"0[]", REFUSED, 0, "", 0, ""},
    {"0\"x\"", REFUSED, 0, "", 0, ""},
    {"0null", REFUSED, 0, "", 0, ""},
    {"0{", REFUSED, 0, "", 0, ""},
    /* DISCONNECT: nothing */
    {"1", SIO_DISCONNECT, 0, "/", -1, ""},
    {"1/custom", SIO_DISCONNECT, 0, "/custom", -1, ""},
    {"1/custom,", SIO_DISCONNECT, 0, "/custom", -1, ""},
    {"1{}", REFUSED, 0, "", 0, ""},
    /* EVENT: an array that starts with a name */
    {"2[\"message\",1,\"2\",{\"3\":[true]}]", SIO_EVENT, 0, "/", -1, "[\"message\",1,\"2\",{\"3\":[true]}]"},
    {"2456[\"message-with-ack\",1]", SIO_EVENT, 0, "/", 456, "[\"message-with-ack\",1]"},
    {"2/,[\"x\"]", SIO_EVENT, 0, "/", -1, "[\"x\"]"},
    {"2/admin,7[\"x\"]", SIO_EVENT, 0, "/admin", 7, "[\"x\"]"},
    {"2[5]", SIO_EVENT, 0, "/", -1, "[5]"},
    {"2200[\"a\"]", SIO_EVENT, 0, "/", 200, "[\"a\"]"},
    {"200[\"a\"]", SIO_EVENT, 0, "/", 0, "[\"a\"]"},
    {"2", SIO_EVENT, 0, "/", -1, ""},
    {"21", SIO_EVENT, 0, "/", 1, ""},
    {"29007199254740991[\"a\"]", SIO_EVENT, 0, "/", 9007199254740991, "[\"a\"]"},
    {"29007199254740992[\"a\"]", REFUSED, 0, "", 0, ""},
    {"2[]", REFUSED, 0, "", 0, ""},
    {"2{}", REFUSED, 0, "", 0, ""},
    {"2[null]", REFUSED, 0, "", 0, ""},
    {"2[true]", REFUSED, 0, "", 0, ""},
    {"2[{}]", REFUSED, 0, "", 0, ""},
    {"2[\"connect\"]", REFUSED, 0, "", 0, ""},
    {"2[\"conn\\u0065ct\"]", REFUSED, 0, "", 0, ""},
    {"2[\"connect_error\"]", REFUSED, 0, "", 0, ""},
    {"2[\"disconnect\"]", REFUSED, 0, "", 0, ""},
    {"2[\"disconnecting\"]", REFUSED, 0, "", 0, ""},
    {"2[\"newListener\"]", REFUSED, 0, "", 0, ""},
    {"2[\"removeListener\"]", REFUSED, 0, "", 0, ""},
    {"2[\"x\"]x", REFUSED, 0, "", 0, ""},
    {"2abc[\"x\"]", REFUSED, 0, "", 0, ""},
    {"21.5[\"x\"]", REFUSED, 0, "", 0, ""},
    {"2-1[\"x\"]", REFUSED, 0, "", 0, ""},
    /* ACK: an array, perhaps empty */
    {"3456[1]", SIO_ACK, 0, "/", 456, "[1]"},
    {"31[]", SIO_ACK, 0, "/", 1, "[]"},
    {"3/custom,1[]", SIO_ACK, 0, "/custom", 1, "[]"},
    {"31{}", REFUSED, 0, "", 0, ""},
    /* CONNECT_ERROR: servers only */
    {"4{\"message\":\"x\"}", REFUSED, 0, "", 0, ""},
    {"4", REFUSED, 0, "", 0, ""},
    /* BINARY_EVENT and BINARY_ACK: 1 to 10 attachments */
    {"52-789[\"e\",{\"_placeholder\":true,\"num\":0}]", SIO_BINARY_EVENT, 2, "/", 789,
     "[\"e\",{\"_placeholder\":true,\"num\":0}]"},
    {"510-[\"e\"]", SIO_BINARY_EVENT, 10, "/", -1, "[\"e\"]"},
    {"52-/admin,7[\"e\"]", SIO_BINARY_EVENT, 2, "/admin", 7, "[\"e\"]"},
    {"61-1[{\"_placeholder\":true,\"num\":0}]", SIO_BINARY_ACK, 1, "/", 1,
     "[{\"_placeholder\":true,\"num\":0}]"},
    {"511-[\"e\"]", REFUSED, 0, "", 0, ""},
    {"50-[\"e\"]", REFUSED, 0, "", 0, ""},
    {"5-[\"e\"]", REFUSED, 0, "", 0, ""},
    {"5[\"e\"]", REFUSED, 0, "", 0, ""},
    {"5x-[\"e\"]", REFUSED, 0, "", 0, ""},
    {"51[\"e\"]", REFUSED, 0, "", 0, ""},
    {"599999999999999999999-[\"e\"]", REFUSED, 0, "", 0, ""},
    {"51-", REFUSED, 0, "", 0, ""},
    {"51-[]", REFUSED, 0, "", 0, ""},
    {"51-[\"disconnect\"]", REFUSED, 0, "", 0, ""},
    {"61-1{}", REFUSED, 0, "", 0, ""},
    /* no packet at all */
    {"", REFUSED, 0, "", 0, ""},
    {"7", REFUSED, 0, "", 0, ""},
    {"x", REFUSED, 0, "", 0, ""},
    {" 2[\"x\"]", REFUSED, 0, "", 0, ""},
};

START_TEST(reads_every_row_of_the_grammar)
{
    struct sio_packet p;
    struct err err = {0};
    bool read = sio_parse(view_of(rows[_i].text), &p, &err);
    ck_assert_msg(read == (rows[_i].type != REFUSED), "%s: %s", rows[_i].text, err.text);
    if (!read) {
        ck_assert_int_eq(err.code, ERR_MALFORMED);
        return;
    }
    ck_assert_int_eq((int)p.type, rows[_i].type);
    ck_assert_uint_eq(p.attachments, rows[_i].attachments);
    ck_assert_msg(view_is(p.nsp, rows[_i].nsp), "namespace %.*s", VIEW_ARG(p.nsp));
    ck_assert_int_eq(p.has_id, rows[_i].id >= 0);
    if (p.has_id)
        ck_assert_int_eq((int64_t)p.id, rows[_i].id);
    ck_assert_msg(view_is(p.payload, rows[_i].payload), "payload %.*s", VIEW_ARG(p.payload));
}
END_TEST

static void written(struct buf *b, const char *expected)
{
    ck_assert_str_eq(b->data, expected);
    buf_free(b);
}

START_TEST(writes_what_clients_read)
{
    struct buf b;
    struct eio_open open = {
        .sid = "S", .ping_interval_ms = 25000, .ping_timeout_ms = 20000, .max_payload = 1000000};
    buf_init(&b, 1024);
    eio_write_open(&b, &open);
    written(&b, "0{\"sid\":\"S\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,"
                "\"maxPayload\":1000000}");
    open.upgrades = true;
    eio_write_open(&b, &open);
    ck_assert_ptr_nonnull(strstr(b.data, "\"upgrades\":[\"websocket\"]"));
    buf_free(&b);
    sio_write_connect(&b, VIEW("/"), "s1", "p1");
    written(&b, "40{\"sid\":\"s1\",\"pid\":\"p1\"}");
    sio_write_connect(&b, VIEW("/custom"), "s1", NULL);
    written(&b, "40/custom,{\"sid\":\"s1\"}");
    sio_write_connect_error(&b, VIEW("/random"), "Invalid namespace", NULL);
    written(&b, "44/random,{\"message\":\"Invalid namespace\"}");
    sio_write_connect_error(&b, VIEW("/"), "no", "TOKEN_INVALID");
    written(&b, "44{\"message\":\"no\",\"data\":{\"code\":\"TOKEN_INVALID\"}}");
}
END_TEST

Suite *suite_sio_packet(void)
{
    Suite *s = suite_create("sio_packet");
    TCase *t = tcase_create("grammar");
    tcase_add_loop_test(t, reads_every_row_of_the_grammar, 0, (int)countof(rows));
    tcase_add_test(t, writes_what_clients_read);
    suite_add_tcase(s, t);
    return s;
}
