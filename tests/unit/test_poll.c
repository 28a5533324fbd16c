/* Sessions by polling, and the WebSockets that take over: who is answered what, and when a session ends. */
#include "portal-gateway/core/poll.h"
#include "portal-gateway/core/probe.h"
#include "tests/unit/session_stage.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RS "\x1e"

enum { HANDSHAKE = 1, REQUESTS_MAX = 16 };

/* What was answered, by request. */
static struct {
    int status[REQUESTS_MAX]; /* 0: not yet; -1: cut */
    struct buf body[REQUESTS_MAX];
    char origin[REQUESTS_MAX][32];
    bool is_gone[REQUESTS_MAX]; /* the client, which only who answers it finds out */
} answers;

static struct polls *polls;
static struct session *session;
static uint64_t next_request;

static bool on_reply(void *ctx, uint64_t request, const char *origin, int status, const char *type,
                     struct view body)
{
    (void)ctx;
    ck_assert_uint_lt(request, REQUESTS_MAX);
    if (answers.is_gone[request])
        return false;
    ck_assert_int_eq(answers.status[request], 0); /* each once */
    ck_assert(type || !body.n);
    answers.status[request] = status;
    buf_add_view(&answers.body[request], body);
    snprintf(answers.origin[request], sizeof answers.origin[request], "%s", origin);
    return true;
}

static void on_abort(void *ctx, uint64_t request)
{
    (void)ctx;
    answers.status[request] = -1;
}

static const char *body_of(uint64_t request)
{
    return answers.body[request].data ? answers.body[request].data : "";
}

static void expect(uint64_t request, int status, const char *body)
{
    ck_assert_msg(answers.status[request] == status && !strcmp(body_of(request), body),
                  "request %d: %d \"%s\", not %d \"%s\"", (int)request, answers.status[request],
                  body_of(request), status, body);
}

static uint64_t get(void)
{
    uint64_t request = next_request++;
    poll_get(session, request, "o");
    return request;
}

static uint64_t post(const char *payload)
{
    uint64_t request = next_request++;
    poll_post(session, request, "o", view_of(payload));
    return request;
}

static void open_session(const struct protocol *protocol)
{
    session = session_create(stage.hub, protocol, NULL);
    poll_open(polls, session, HANDSHAKE, "");
    next_request = HANDSHAKE + 1;
}

static void set_up(void)
{
    struct poll_out out = {NULL, on_reply, on_abort};
    stage_set_up();
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        buf_init(&answers.body[i], SINK_BYTES * 4);
    memset(answers.status, 0, sizeof answers.status);
    memset(answers.is_gone, 0, sizeof answers.is_gone);
    polls = polls_create(stage.loop, &out);
    open_session(&protocol_eio);
}

static void tear_down(void)
{
    polls_destroy(polls);
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        buf_free(&answers.body[i]);
    stage_tear_down();
}

static bool last_words(const char *sid, bool is_get)
{
    return polls_last_words(polls, view_of(sid), is_get, next_request++, "o");
}

/* The session is gone with the loop's next turn. */
static void assert_ended(enum close_reason reason)
{
    ck_assert_int_eq(session->state, SESSION_CLOSING);
    ck_assert_int_eq(session->reason, reason);
    ck_assert_ptr_null(hub_find(stage.hub, view_of(session->secret_id)));
    ck_assert_uint_eq(hub_session_count(stage.hub), 1);
    run_for(5);
    ck_assert_uint_eq(hub_session_count(stage.hub), 0);
}

START_TEST(the_handshake_is_answered_at_once)
{
    ck_assert_int_eq(answers.status[HANDSHAKE], 200);
    ck_assert_ptr_nonnull(strstr(body_of(HANDSHAKE), "\"upgrades\":[\"websocket\"]"));
    ck_assert_str_eq(answers.origin[HANDSHAKE], "");
    ck_assert_ptr_eq(hub_find(stage.hub, view_of(session->secret_id)), session);
    ck_assert_ptr_null(hub_find(stage.hub, view_of(session->id)));
}
END_TEST

START_TEST(a_get_is_held_for_what_comes)
{
    uint64_t held = get();
    expect(held, 0, "");
    ck_assert(!session->blocked);
    expect(post("4a" RS "4b" RS "bQUI="), 200, "ok");
    expect(held, 200, "4a" RS "4b" RS "bQUI="); /* one answer for all of them */
    ck_assert_str_eq(answers.origin[held], "o");
    expect(post("4c"), 200, "ok");
    ck_assert(session->blocked);
    ck_assert(!session->lagging); /* nobody polls just now */
    expect(get(), 200, "4c");
    ck_assert(!session->blocked);
}
END_TEST

START_TEST(a_client_that_is_found_gone_when_told_something_ends_the_session)
{
    uint64_t held = get();
    answers.is_gone[held] = true;
    expect(post("4a"), 200, "ok");
    expect(held, 0, "");
    polls_on_gone(polls, held);
    assert_ended(CLOSE_PEER);
}
END_TEST

START_TEST(a_second_get_ends_the_session)
{
    uint64_t held = get();
    expect(get(), 400, "");
    expect(held, 200, "1");
    assert_ended(CLOSE_TRANSPORT);
}
END_TEST

START_TEST(a_get_that_goes_away_ends_the_session)
{
    polls_on_gone(polls, get());
    assert_ended(CLOSE_PEER);
}
END_TEST

START_TEST(an_answered_get_may_go_away)
{
    uint64_t held = get();
    post("4x");
    polls_on_gone(polls, held);
    polls_on_gone(polls, 12345);
    ck_assert_int_ne(session->state, SESSION_CLOSING);
}
END_TEST

START_TEST(a_second_post_cuts_the_first_and_ends_the_session)
{
    uint64_t first = next_request++;
    ck_assert(poll_post_begins(session, first, ""));
    ck_assert(!poll_post_begins(session, next_request, ""));
    expect(next_request, 400, "");
    ck_assert_int_eq(answers.status[first], -1);
    polls_on_gone(polls, first);
    assert_ended(CLOSE_TRANSPORT);
}
END_TEST

START_TEST(a_post_that_goes_away_ends_the_session)
{
    ck_assert(poll_post_begins(session, 2, ""));
    polls_on_gone(polls, 2);
    assert_ended(CLOSE_TRANSPORT);
}
END_TEST

START_TEST(a_post_that_came_whole_makes_room_for_the_next)
{
    for (uint64_t i = 2; i < 5; i++) {
        ck_assert(poll_post_begins(session, i, ""));
        poll_post(session, i, "", VIEW("4x"));
        expect(i, 200, "ok");
        polls_on_gone(polls, i);
    }
    ck_assert_int_ne(session->state, SESSION_CLOSING);
}
END_TEST

static const struct {
    const char *payload;
    int status;
    const char *held;
    enum close_reason reason;
} ends[] = {
    {"4a" RS "x", 400, "4a" RS "1", CLOSE_TRANSPORT},
    {"4a" RS, 400, "4a" RS "1", CLOSE_TRANSPORT},
    {"", 400, "1", CLOSE_TRANSPORT},
    {"1", 200, "6", CLOSE_LEFT},
    {"4a" RS "1" RS "4b", 200, "4a", CLOSE_LEFT},
    {"2", 200, "1", CLOSE_PROTOCOL},
    {"4a" RS "2" RS "x", 200, "4a", CLOSE_PROTOCOL}, /* "1" goes with the next answer */
};

START_TEST(what_ends_a_session)
{
    uint64_t held = get();
    expect(post(ends[_i].payload), ends[_i].status, ends[_i].status == 200 ? "ok" : "");
    expect(held, 200, ends[_i].held);
    assert_ended(ends[_i].reason);
}
END_TEST

START_TEST(last_words_wait_for_whoever_comes)
{
    char sid[SECRET_ID_SIZE];
    memcpy(sid, session->secret_id, sizeof sid);
    post("4a" RS "bQQ==");
    session_close(session, CLOSE_DRAIN);
    assert_ended(CLOSE_DRAIN);
    ck_assert(!last_words("somebody else's", true));
    ck_assert(last_words(sid, false));
    expect(next_request - 1, 200, "ok");
    ck_assert(last_words(sid, true));
    expect(next_request - 1, 200, "4a" RS "bQQ==");
    ck_assert(last_words(sid, true));
    expect(next_request - 1, 200, "6" RS "1");
    ck_assert(!last_words(sid, true));
}
END_TEST

START_TEST(some_ends_leave_no_words)
{
    static const struct {
        enum close_reason reason;
        bool leaves;
    } reasons[] = {{CLOSE_PING_TIMEOUT, false},   {CLOSE_TRANSPORT, false},    {CLOSE_LEFT, false},
                   {CLOSE_CONNECT_TIMEOUT, true}, {CLOSE_TOKEN_EXPIRED, true}, {CLOSE_SLOW, true}};
    char sid[SECRET_ID_SIZE];
    memcpy(sid, session->secret_id, sizeof sid);
    session_close(session, reasons[_i].reason);
    assert_ended(reasons[_i].reason);
    ck_assert_int_eq(last_words(sid, true), reasons[_i].leaves);
}
END_TEST

/* --- the stream --- */

static uint64_t join(void)
{
    session_close(session, CLOSE_LEFT);
    run_for(5);
    struct sink *first = live(&protocol_ws, "u9", ""); /* so that the stream is in place */
    memset(answers.status, 0, sizeof answers.status);
    open_session(&protocol_sio);
    struct sink k = {.session = session};
    sign_in(&k, "u1", "");
    ck_assert_int_eq(session->state, SESSION_LIVE);
    gone(first);
    return get();
}

START_TEST(events_stay_in_the_ring_between_two_polls)
{
    ck_assert_int_eq(strncmp(body_of(join()), "40{", 3), 0);
    feed(11, 3, "x", "");
    ck_assert(session->pending);
    ck_assert_uint_eq(session->control_count, 0);
    expect(get(), 200, "42[\"x\",11,\"e-11\"]" RS "42[\"x\",12,\"e-12\"]" RS "42[\"x\",13,\"e-13\"]");
    uint64_t held = get();
    feed(14, 1, "x", "");
    expect(held, 200, "42[\"x\",14,\"e-14\"]");
}
END_TEST

START_TEST(ephemeral_events_wait_for_the_next_poll)
{
    join();
    feed(11, 1, "x", "");
    feed(0, 1, "typing", ",\"class\":\"ephemeral\"");
    expect(get(), 200, "42[\"x\",11,\"e-11\"]" RS "42[\"typing\",0,\"e-11\"]");
}
END_TEST

/* They leave for a WebSocket in one piece. */
START_TEST(newest_values_are_packets_of_their_own)
{
    join();
    feed(0, 1, "a", ",\"class\":\"latest\",\"key\":\"k\",\"rev\":1");
    feed(0, 1, "b", ",\"class\":\"latest\",\"key\":\"k\",\"rev\":1");
    session_close(session, CLOSE_LEFT);
    run_for(5);
    memset(answers.status, 0, sizeof answers.status);
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        buf_clear(&answers.body[i]);
    open_session(&protocol_sio);
    struct sink k = {.session = session};
    sign_in(&k, "u1", "");
    const char *answer = body_of(get());
    ck_assert_int_eq(strncmp(answer, "40{", 3), 0);
    ck_assert_ptr_nonnull(strstr(answer, RS "42[\"a\",0,\"e-10\"]"));
    ck_assert_ptr_nonnull(strstr(answer, RS "42[\"b\",0,\"e-10\"]"));
    ck_assert_ptr_nonnull(strstr(answer, "portalcast:hello"));
    size_t count = 1;
    for (const char *p = answer; (p = strchr(p, RS[0])); p++)
        count++;
    ck_assert_uint_eq(count, 4);
}
END_TEST

START_TEST(one_answer_takes_many_more_than_one_gather)
{
    join();
    feed(11, 1000, "x", "");
    uint64_t request = get();
    ck_assert_int_eq(answers.status[request], 200);
    size_t count = 1;
    for (const char *p = body_of(request); (p = strchr(p, 0x1e)); p++)
        count++;
    ck_assert_uint_eq(count, 1000);
    ck_assert(!session->pending && !session->lagging);
}
END_TEST

START_TEST(who_does_not_poll_is_cut_after_a_while)
{
    stage.policy.lag_ms = 30;
    join();
    run_for(60);
    ck_assert_int_ne(session->state, SESSION_CLOSING); /* nothing waits */
    int64_t cut = metric_get(&close_meters[CLOSE_SLOW]);
    feed(11, 1, "x", "");
    run_for(60);
    ck_assert_int_eq(metric_get(&close_meters[CLOSE_SLOW]), cut + 1);
    ck_assert_uint_eq(hub_session_count(stage.hub), 0);
}
END_TEST

/* --- taking over --- */

static size_t ws_write_all(void *link, const struct iovec *frames, size_t n)
{
    struct sink *k = link;
    for (size_t i = 0; i < n; i++) {
        bool is_text;
        buf_add_view(&k->text, frame_next(&(struct view){frames[i].iov_base, frames[i].iov_len}, &is_text));
        buf_add_char(&k->text, '\n');
    }
    return n;
}

static void ws_note_close(void *link, int code, const char *reason)
{
    struct sink *k = link;
    (void)reason;
    ck_assert(!k->closed);
    k->closed = true;
    k->code = code;
}

static const struct link_ops ws_ops = {.write = ws_write_all, .close = ws_note_close};
static struct sink ws;

static struct probe *probe_open(void)
{
    buf_free(&ws.text);
    ws = (struct sink){0};
    buf_init(&ws.text, SINK_BYTES);
    struct probe *p = probe_create(session, &ws_ops);
    ck_assert_ptr_eq(poll_probe(session), p);
    probe_on_open(p, &ws);
    return p;
}

START_TEST(the_session_moves_with_what_is_queued)
{
    struct probe *p = probe_open();
    uint64_t held = get();
    ck_assert_ptr_null(probe_on_message(p, VIEW("2probe"), true));
    ck_assert_str_eq(heard(&ws), "3probe\n");
    expect(held, 200, "6");
    post("4a" RS "4b");
    ck_assert_ptr_eq(probe_on_message(p, VIEW("5"), true), session);
    probe_gone(p);
    ck_assert(!session_polls(session));
    ck_assert_str_eq(heard(&ws), "3probe\n4a\n4b\n");
    session_on_message(session, VIEW("4c"), true);
    ck_assert_str_eq(heard(&ws), "3probe\n4a\n4b\n4c\n");
    session_gone(session);
}
END_TEST

START_TEST(a_get_after_the_probe_is_released_soon_not_at_once)
{
    struct probe *p = probe_open();
    probe_on_message(p, VIEW("2probe"), true);
    uint64_t held = get();
    expect(held, 0, "");
    run_for(20);
    expect(held, 200, "6");
    held = get();
    ck_assert_ptr_eq(probe_on_message(p, VIEW("5"), true), session);
    expect(held, 200, "1");
    probe_gone(p);
    session_gone(session);
}
END_TEST

START_TEST(a_failed_probe_leaves_polling_as_it_was)
{
    static const char *const packets[] = {"4x", "", "2", "5x", "2probe2"};
    struct probe *p = probe_open();
    ck_assert_ptr_null(probe_on_message(p, view_of(packets[_i]), true));
    ck_assert(ws.closed);
    ck_assert_int_eq(ws.code, 0);
    ck_assert_ptr_null(poll_probe(session));
    ck_assert_ptr_null(probe_on_message(p, VIEW("5"), true)); /* too late */
    struct probe *second = probe_create(session, &ws_ops);    /* while the first one is closing */
    probe_gone(p);
    ck_assert_ptr_eq(poll_probe(session), second);
    probe_gone(second);
    uint64_t held = get();
    run_for(20);
    expect(held, 0, "");
    post("4x");
    expect(held, 200, "4x");
}
END_TEST

START_TEST(a_probe_has_its_time)
{
    stage.policy.upgrade_timeout_ms = 30;
    struct probe *p = probe_open();
    probe_on_message(p, VIEW("2probe"), true);
    run_for(60);
    ck_assert(ws.closed);
    ck_assert_ptr_null(poll_probe(session));
    probe_gone(p);
}
END_TEST

START_TEST(a_probe_ends_with_its_session)
{
    struct probe *open = probe_open();
    session_close(session, CLOSE_DRAIN);
    ck_assert(ws.closed);
    assert_ended(CLOSE_DRAIN);
    ck_assert_ptr_null(probe_on_message(open, VIEW("5"), true));
    probe_gone(open);
}
END_TEST

START_TEST(a_probe_that_opens_after_the_end_is_closed)
{
    struct probe *p = probe_create(session, &ws_ops);
    session_close(session, CLOSE_DRAIN);
    run_for(5);
    buf_free(&ws.text);
    ws = (struct sink){0};
    probe_on_open(p, &ws);
    ck_assert(ws.closed);
    probe_gone(p);
}
END_TEST

Suite *suite_poll(void)
{
    Suite *s = suite_create("poll");
    TCase *t = tcase_create("poll");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, the_handshake_is_answered_at_once);
    tcase_add_test(t, a_get_is_held_for_what_comes);
    tcase_add_test(t, a_client_that_is_found_gone_when_told_something_ends_the_session);
    tcase_add_test(t, a_second_get_ends_the_session);
    tcase_add_test(t, a_get_that_goes_away_ends_the_session);
    tcase_add_test(t, an_answered_get_may_go_away);
    tcase_add_test(t, a_second_post_cuts_the_first_and_ends_the_session);
    tcase_add_test(t, a_post_that_goes_away_ends_the_session);
    tcase_add_test(t, a_post_that_came_whole_makes_room_for_the_next);
    tcase_add_loop_test(t, what_ends_a_session, 0, (int)countof(ends));
    tcase_add_test(t, last_words_wait_for_whoever_comes);
    tcase_add_loop_test(t, some_ends_leave_no_words, 0, 6);
    tcase_add_test(t, events_stay_in_the_ring_between_two_polls);
    tcase_add_test(t, ephemeral_events_wait_for_the_next_poll);
    tcase_add_test(t, newest_values_are_packets_of_their_own);
    tcase_add_test(t, one_answer_takes_many_more_than_one_gather);
    tcase_add_test(t, who_does_not_poll_is_cut_after_a_while);
    tcase_add_test(t, the_session_moves_with_what_is_queued);
    tcase_add_test(t, a_get_after_the_probe_is_released_soon_not_at_once);
    tcase_add_loop_test(t, a_failed_probe_leaves_polling_as_it_was, 0, 5);
    tcase_add_test(t, a_probe_has_its_time);
    tcase_add_test(t, a_probe_ends_with_its_session);
    tcase_add_test(t, a_probe_that_opens_after_the_end_is_closed);
    suite_add_tcase(s, t);
    return s;
}
