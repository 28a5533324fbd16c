#include "tests/unit/server_fixture.h"
#include "tests/unit/suites.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct fixture f;

static void start(void)
{
    fixture_start(&f);
}

static void stop(void)
{
    fixture_stop(&f);
}

/* A masked frame of a client; first: FIN, RSV and opcode. Valid until the next one. */
static struct view frame_of(unsigned char first, struct view payload)
{
    static unsigned char frame[70000];
    size_t n = ws_frame_header(frame, WS_TEXT, payload.n);
    frame[0] = first;
    frame[1] |= 0x80;
    memcpy(frame + n, "mask", 4);
    for (size_t i = 0; i < payload.n; i++)
        frame[n + 4 + i] = (unsigned char)payload.p[i] ^ (unsigned char)"mask"[i % 4];
    return (struct view){(char *)frame, n + 4 + payload.n};
}

static void send_frame(int fd, unsigned char first, struct view payload)
{
    fixture_send(&f, fd, frame_of(first, payload));
}

static void expect(int fd, struct view bytes)
{
    struct view got = fixture_read(&f, fd, 60);
    ck_assert_msg(view_eq(got, bytes), "got %zu bytes, wanted %zu: %.*s", got.n, bytes.n, VIEW_ARG(got));
}

START_TEST(frame_headers)
{
    static const struct {
        uint64_t payload;
        const char *header;
        size_t n;
    } table[] = {{0, "\x81\x00", 2},
                 {125, "\x81\x7d", 2},
                 {126, "\x81\x7e\x00\x7e", 4},
                 {65535, "\x81\x7e\xff\xff", 4},
                 {65536, "\x81\x7f\0\0\0\0\0\x01\0\0", 10}};
    for (size_t i = 0; i < countof(table); i++) {
        unsigned char out[WS_HEADER_MAX];
        ck_assert_uint_eq(ws_frame_header(out, WS_TEXT, table[i].payload), table[i].n);
        ck_assert_mem_eq(out, table[i].header, table[i].n);
    }
}
END_TEST

START_TEST(messages_come_in_whole)
{
    int fd = fixture_upgrade(&f, "");
    ck_assert_uint_eq(fixture_seen(&f, "HTTP/1.1 101"), 1);
    ck_assert_uint_eq(fixture_seen(&f, "Sec-WebSocket-Protocol"), 0);
    ck_assert_uint_eq(f.opened, 1);
    ck_assert_str_eq(ws_address(f.ws), "127.0.0.1");
    send_frame(fd, 0x81, VIEW("hi"));
    expect(fd, VIEW("\x81\x02hi"));
    send_frame(fd, 0x82, VIEW("\xff\0"));
    expect(fd, VIEW("\x82\x02\xff\0"));
    send_frame(fd, 0x81, VIEW(""));
    expect(fd, VIEW("\x81\0"));
    send_frame(fd, 0x01, VIEW("a\xe2"));
    send_frame(fd, 0x89, VIEW("between"));
    send_frame(fd, 0x00, VIEW("\x82"));
    send_frame(fd, 0x80, VIEW("\xac"));
    expect(fd, VIEW("\x8a\x07"
                    "between\x81\x04"
                    "a\xe2\x82\xac"));
    char long_text[MAX_MESSAGE];
    memset(long_text, 'l', sizeof long_text);
    send_frame(fd, 0x81, (struct view){long_text, sizeof long_text});
    ck_assert_uint_eq(fixture_read(&f, fd, 60).n, 4 + MAX_MESSAGE);
    ck_assert_uint_eq(f.messages, 5);
    close(fd);
}
END_TEST

START_TEST(what_breaks_the_protocol_is_closed_with_its_code)
{
    static char huge[MAX_MESSAGE + 1];
    static const struct {
        unsigned char first;
        struct view payload;
        const char *close; /* frame header and code */
    } table[] = {
        {0x81, VIEW("\xff"), "\x03\xef"},        {0x81, VIEW("\xe2\x82"), "\x03\xef"},
        {0x81, {huge, sizeof huge}, "\x03\xf1"}, {0x83, VIEW("x"), "\x03\xea"},
        {0xc1, VIEW("x"), "\x03\xea"},           {0x80, VIEW("x"), "\x03\xea"},
        {0x09, VIEW("x"), "\x03\xea"},           {0x88, VIEW("\x03\xe7"), "\x03\xea"},
        {0x88, VIEW("\x03\xe8why"), "\x03\xe8"}, {0x88, VIEW("\x03"), "\x03\xea"},
        {0x88, VIEW("\x13\x87"), "\x13\x87"},    {0x88, VIEW("\x13\x88"), "\x03\xea"},
        {0x88, VIEW("\xff\xff"), "\x03\xea"},
    };
    memset(huge, 'h', sizeof huge);
    for (size_t i = 0; i < countof(table); i++) {
        int fd = fixture_upgrade(&f, "");
        send_frame(fd, table[i].first, table[i].payload);
        struct view got = fixture_read(&f, fd, 60);
        ck_assert_msg(got.n >= 4 && got.p[0] == '\x88' && !memcmp(got.p + 2, table[i].close, 2),
                      "row %zu: %zu bytes", i, got.n);
        ck_assert_uint_eq(f.messages, 0);
        send_frame(fd, 0x88, VIEW("\x03\xe8"));
        fixture_read(&f, fd, 60);
        ck_assert_msg(f.eof, "row %zu", i);
        close(fd);
        ck_assert_uint_eq(f.closed, i + 1);
    }
    int fd = fixture_upgrade(&f, "");
    fixture_send(&f, fd, VIEW("\x81\xff\0\0\1\0\0\0\0\0mask and a beginning"));
    fixture_read(&f, fd, 60);
    ck_assert_uint_eq(fixture_seen(&f, "\x03\xf1message too big"), 1);
    close(fd);
}
END_TEST

START_TEST(text_that_ends_inside_a_character_is_refused_in_fragments_too)
{
    int fd = fixture_upgrade(&f, "");
    send_frame(fd, 0x01, VIEW("\xe2\x82"));
    send_frame(fd, 0x80, VIEW(""));
    fixture_read(&f, fd, 60);
    ck_assert_uint_eq(fixture_seen(&f, "\x03\xef"), 1);
    ck_assert_uint_eq(f.messages, 0);
    close(fd);
}
END_TEST

START_TEST(closing_from_our_side)
{
    int fd = fixture_upgrade(&f, "");
    send_frame(fd, 0x81, VIEW("close"));
    expect(fd, VIEW("\x88\x05\x03\xe8"
                    "bye"));
    ck_assert_uint_eq(f.closed, 0);
    send_frame(fd, 0x81, VIEW("ignored"));
    send_frame(fd, 0x88, VIEW("\x03\xe8"));
    expect(fd, VIEW(""));
    ck_assert(f.eof);
    ck_assert_uint_eq(f.closed, 1);
    ck_assert_uint_eq(f.messages, 1);
    close(fd);
    fd = fixture_upgrade(&f, "");
    send_frame(fd, 0x81, VIEW("close0"));
    expect(fd, VIEW("\x88\0"));
    fixture_read(&f, fd, 3500);
    ck_assert_msg(f.eof && f.closed == 2, "a peer that does not answer keeps the socket");
    close(fd);
    fd = fixture_upgrade(&f, "");
    send_frame(fd, 0x81, VIEW("abort"));
    expect(fd, VIEW(""));
    ck_assert(f.eof);
    ck_assert_uint_eq(f.closed, 3);
    close(fd);
}
END_TEST

START_TEST(an_unfinished_message_has_a_deadline)
{
    int half = fixture_upgrade(&f, ""), fragment = fixture_upgrade(&f, "");
    fixture_send(&f, half, VIEW("\x81\xd0mask half of a frame"));
    send_frame(fragment, 0x01, VIEW("one"));
    for (int i = 0; i < 8; i++) {
        fixture_turn(&f, 100);
        send_frame(fragment, 0x00, VIEW("more"));
    }
    expect(half, VIEW("\x88\x17\x03\xf0message took too long"));
    expect(fragment, VIEW("\x88\x17\x03\xf0message took too long"));
    close(half);
    close(fragment);
}
END_TEST

START_TEST(subprotocols)
{
    char headers[1100];
    memset(headers, 't', sizeof headers);
    static const char start_of_it[] = "Sec-WebSocket-Protocol: portalcast, ";
    memcpy(headers, start_of_it, sizeof start_of_it - 1);
    memcpy(headers + sizeof headers - 3, "\r\n", 3);
    int fd = fixture_upgrade(&f, headers);
    ck_assert_uint_eq(fixture_seen(&f, "HTTP/1.1 101"), 1);
    ck_assert_uint_eq(fixture_seen(&f, "Sec-WebSocket-Protocol: portalcast\r\n"), 1);
    ck_assert_uint_eq(strlen(f.protocol), sizeof headers - 3 - strlen("Sec-WebSocket-Protocol: "));
    send_frame(fd, 0x81, VIEW("hi"));
    expect(fd, VIEW("\x81\x02hi"));
    fixture_turn(&f, 10);
    ck_assert_uint_eq(server_connections(f.server), 1);
    close(fd);
    fixture_turn(&f, 20);
    ck_assert_uint_eq(f.closed, 1);
}
END_TEST

START_TEST(upgrades_that_are_refused)
{
#define UPGRADE(path, version, key, connection)                                         \
    "GET " path " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: " connection \
    "\r\nSec-WebSocket-Key: " key "\r\n" version "\r\n"
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define V13 "Sec-WebSocket-Version: 13\r\n"
    static const struct {
        const char *request, *answer;
    } table[] = {
        {UPGRADE("/", V13, KEY, "keep-alive, Upgrade"), "HTTP/1.1 101"},
        {UPGRADE("/forbidden", V13, KEY, "Upgrade"), "HTTP/1.1 401"},
        {UPGRADE("/", "Sec-WebSocket-Version: 8\r\n", KEY, "Upgrade"), "HTTP/1.1 426"},
        {UPGRADE("/", "", KEY, "Upgrade"), "HTTP/1.1 426"},
        {UPGRADE("/", V13, "short", "Upgrade"), "HTTP/1.1 400"},
        {UPGRADE("/", V13, KEY, "close"), "HTTP/1.1 400"},
        {UPGRADE("/", V13 "Host: y\r\n", KEY, "Upgrade"), "HTTP/1.1 400"},
    };
    for (size_t i = 0; i < countof(table); i++) {
        struct view answer = fixture_ask(&f, table[i].request);
        ck_assert_msg(view_starts(answer, table[i].answer), "%s\n-> %.*s", table[i].request,
                      VIEW_ARG(answer));
        ck_assert(f.eof == (i > 0));
        ck_assert_uint_eq(fixture_seen(&f, "Sec-WebSocket-Version: 13\r\n"),
                          strstr(table[i].answer, "426") != NULL);
    }
    fixture_turn(&f, 20);
    ck_assert_uint_eq(f.opened, 1);
    ck_assert_uint_eq(f.closed, 1);
}
END_TEST

START_TEST(frames_stay_whole_for_a_slow_reader)
{
    int fd = fixture_upgrade(&f, "");
    send_frame(fd, 0x81, VIEW("flood"));
    fixture_turn(&f, 50);
    ck_assert(f.is_flooding);
    /* The answer to this must not land inside a frame, although it is the library that sends it. */
    send_frame(fd, 0x89, VIEW("?"));
    fixture_turn(&f, 50);
    ck_assert_uint_eq(f.writables, 0);
    fixture_read(&f, fd, 200);
    ck_assert_uint_eq(f.writables, 1);
    ck_assert_uint_eq(f.count, f.flooded + 3);
    size_t at = 0, frames = 0, pongs = 0, whole = WS_HEADER_MAX + FLOOD_BYTES;
    while (at + 3 <= f.count) {
        bool is_pong = !memcmp(f.bytes + at, "\x8a\x01?", 3);
        ck_assert_msg(is_pong || !memcmp(f.bytes + at, "\x82\x7f", 2), "out of step at %zu", at);
        at += is_pong ? 3 : whole;
        pongs += is_pong;
        frames += !is_pong;
    }
    ck_assert_uint_eq(pongs, 1);
    ck_assert_uint_eq(frames * whole, f.flooded);
    close(fd);
}
END_TEST

START_TEST(a_close_waits_for_what_was_written_before_it)
{
    int fd = fixture_upgrade(&f, "");
    send_frame(fd, 0x81, VIEW("flood"));
    fixture_turn(&f, 20);
    struct ws *ws = f.ws;
    ws_close(ws, 4413, "slow consumer");
    char byte = 1;
    struct iovec more = {&byte, 1};
    ck_assert_uint_eq(ws_write(ws, &more, 1), 0);
    fixture_read(&f, fd, 200);
    ck_assert_uint_eq(f.count, f.flooded + 4 + strlen("slow consumer"));
    ck_assert_uint_eq(fixture_seen(&f, "\x88\x0f\x11\x3dslow consumer"), 1);
    close(fd);
    fd = fixture_upgrade(&f, "");
    send_frame(fd, 0x81, VIEW("flood"));
    fixture_turn(&f, 20);
    ws_close(f.ws, 4413, "slow consumer");
    fixture_turn(&f, 3300);
    ck_assert_msg(f.closed == 2, "a peer that does not read keeps the socket");
    close(fd);
}
END_TEST

START_TEST(aborts_and_broken_sockets_end_with_one_close)
{
    int aborted = fixture_upgrade(&f, "");
    send_frame(aborted, 0x81, VIEW("flood"));
    fixture_turn(&f, 20);
    ws_abort(f.ws);
    ws_abort(f.ws);
    ck_assert_uint_eq(f.closed, 0);
    fixture_turn(&f, 20);
    ck_assert_uint_eq(f.closed, 1);
    int broken = fixture_upgrade(&f, "");
    struct ws *ws = f.ws;
    close(broken);
    char text[] = "\x81\x01x";
    struct iovec frame = {text, 3};
    for (int i = 0; i < 3 && f.closed == 1; i++) {
        ws_write(ws, &frame, 1);
        ck_assert_uint_eq(f.closed, 1);
        fixture_turn(&f, 10);
    }
    ck_assert_uint_eq(f.closed, 2);
    ck_assert_uint_eq(server_connections(f.server), 0);
    close(aborted);
}
END_TEST

static void close_hard(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void close_softly(int fd)
{
    close(fd);
}

/* What ends it is us. */
static void ask_for_the_end(int fd)
{
    struct view frame = frame_of(0x81, VIEW("abort"));
    ck_assert_int_eq(send(fd, frame.p, frame.n, MSG_NOSIGNAL), (ssize_t)frame.n);
}

static void check_crowd_that_leaves(void (*leave)(int fd))
{
    enum { CROWD = 60 }; /* an upgrade takes the fixture 60 ms */
    static int crowd[CROWD];
    size_t more = leave == ask_for_the_end ? CROWD : 0;
    for (size_t i = 0; i < CROWD; i++)
        crowd[i] = fixture_upgrade(&f, "");
    int other = fixture_upgrade(&f, "");
    for (size_t i = 0; i < CROWD; i++)
        leave(crowd[i]);
    struct view hi = frame_of(0x81, VIEW("hi"));
    ck_assert_int_eq(send(other, hi.p, hi.n, MSG_NOSIGNAL), (ssize_t)hi.n);
    usleep(50000); /* so that it is not the kernel that is late */
    size_t closed = 0;
    for (size_t turn = 0; turn < 10 * CROWD && closed < CROWD; turn++) {
        loop_turn(f.loop);
        ck_assert_uint_lt(f.closed - closed, CROWD / 10);
        closed = f.closed;
        ck_assert(closed < CROWD / 2 || f.messages == more + 1);
    }
    ck_assert_uint_eq(f.closed, CROWD);
    fixture_turn(&f, 20);
    ck_assert_uint_eq(server_connections(f.server), 1);
    expect(other, VIEW("\x81\x02hi"));
    close(other);
}

START_TEST(a_crowd_that_leaves_at_once_holds_up_nobody)
{
    check_crowd_that_leaves(close_hard);
}
END_TEST

START_TEST(nor_does_one_that_leaves_in_order)
{
    check_crowd_that_leaves(close_softly);
}
END_TEST

START_TEST(nor_does_one_that_is_sent_away)
{
    check_crowd_that_leaves(ask_for_the_end);
}
END_TEST

START_TEST(a_server_may_end_while_some_wait_to_leave)
{
    enum { CROWD = 40 };
    int crowd[CROWD];
    for (size_t i = 0; i < CROWD; i++)
        crowd[i] = fixture_upgrade(&f, "");
    for (size_t i = 0; i < CROWD; i++)
        close(crowd[i]);
    loop_turn(f.loop);
    ck_assert(f.closed > 0 && f.closed < CROWD);
}
END_TEST

Suite *suite_server_ws(void)
{
    Suite *suite = suite_create("server_ws");
    TCase *tc = tcase_create("server_ws");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, frame_headers);
    tcase_add_test(tc, messages_come_in_whole);
    tcase_add_test(tc, a_crowd_that_leaves_at_once_holds_up_nobody);
    tcase_add_test(tc, nor_does_one_that_leaves_in_order);
    tcase_add_test(tc, nor_does_one_that_is_sent_away);
    tcase_add_test(tc, a_server_may_end_while_some_wait_to_leave);
    tcase_add_test(tc, what_breaks_the_protocol_is_closed_with_its_code);
    tcase_add_test(tc, text_that_ends_inside_a_character_is_refused_in_fragments_too);
    tcase_add_test(tc, closing_from_our_side);
    tcase_add_test(tc, an_unfinished_message_has_a_deadline);
    tcase_add_test(tc, subprotocols);
    tcase_add_test(tc, upgrades_that_are_refused);
    tcase_add_test(tc, frames_stay_whole_for_a_slow_reader);
    tcase_add_test(tc, a_close_waits_for_what_was_written_before_it);
    tcase_add_test(tc, aborts_and_broken_sockets_end_with_one_close);
    suite_add_tcase(suite, tc);
    return suite;
}
