#include "portal-gateway/advertise.h"
#include "portal-gateway/core/peers.h"
#include "portal-gateway/core/session.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <string.h>

#define SECRET   "a-secret-of-all-gateways-0123456789"
#define PREVIOUS "the-secret-before-that-0123456789ab"

static struct peer_keys keys_of(const char *secret, const char *previous)
{
    struct peer_keys keys;
    peer_keys_derive(&keys, secret, previous);
    return keys;
}

static struct beat beat_of(const char *tag, int port)
{
    struct beat b = {.gateway = "gw1", .address = "10.0.0.3", .port = port, .state = BEAT_HERE};
    memcpy(b.tag, tag, strlen(tag) + 1);
    return b;
}

START_TEST(a_pass_is_good_for_one_thing_and_a_short_time)
{
    struct peer_keys ours = keys_of(SECRET, ""), theirs = keys_of(PREVIOUS, ""), none = keys_of("", "");
    struct peer_keys renewed = keys_of("a-newer-secret-of-all-0123456789ab", SECRET);
    char pass[PEER_PASS_SIZE];
    struct view sid = VIEW("AAAAAA01234567890123456789");
    peer_pass_write(&ours, 1000000, "GET", sid, pass);
    struct view v = view_of(pass);
    ck_assert(peer_pass_check(&ours, 1000000, "GET", sid, v));
    ck_assert(peer_pass_check(&ours, 1000000 + PEER_WINDOW_MS, "GET", sid, v));
    ck_assert(peer_pass_check(&ours, 1000000 - PEER_WINDOW_MS, "GET", sid, v));
    ck_assert(peer_pass_check(&renewed, 1000000, "GET", sid, v));
    ck_assert(!peer_pass_check(&ours, 1000001 + PEER_WINDOW_MS, "GET", sid, v));
    ck_assert(!peer_pass_check(&ours, 999999 - PEER_WINDOW_MS, "GET", sid, v));
    ck_assert(!peer_pass_check(&ours, 1000000, "POST", sid, v));
    ck_assert(!peer_pass_check(&ours, 1000000, "GET", VIEW("AAAAAA01234567890123456788"), v));
    ck_assert(!peer_pass_check(&theirs, 1000000, "GET", sid, v));
    ck_assert(!peer_pass_check(&none, 1000000, "GET", sid, v));
    v.n--;
    ck_assert(!peer_pass_check(&ours, 1000000, "GET", sid, v));
    static const char *const others[] = {
        "", ".", "1000000", "1000000.", "-5.abc", "99999999999999999999.a", ".abc"};
    for (size_t i = 0; i < countof(others); i++)
        ck_assert_msg(!peer_pass_check(&ours, 1000000, "GET", sid, view_of(others[i])), "%s", others[i]);
    /* Without a secret the signature is empty, and empty ones are not good either. */
    peer_pass_write(&none, 1000000, "GET", sid, pass);
    ck_assert(!peer_pass_check(&none, 1000000, "GET", sid, view_of(pass)));
    ck_assert(!peer_pass_check(&ours, 1000000, "GET", sid, view_of(pass)));
}
END_TEST

START_TEST(a_beat_comes_through_whole)
{
    struct peer_keys keys = keys_of(SECRET, "");
    struct beat sent = beat_of("Zf0a-b", 3015), read;
    struct buf body;
    struct err err;
    for (enum beat_state state = BEAT_NEW; state <= BEAT_LEAVING; state++) {
        sent.state = state;
        buf_init(&body, 1024);
        beat_write(&body, &sent, &keys, 5000);
        ck_assert_msg(beat_read(buf_view(&body), &keys, 6000, &read, &err), "%s", err.text);
        ck_assert_str_eq(read.tag, sent.tag);
        ck_assert_str_eq(read.gateway, sent.gateway);
        ck_assert_str_eq(read.address, sent.address);
        ck_assert_int_eq(read.port, sent.port);
        ck_assert_int_eq(read.state, state);
        buf_free(&body);
    }
}
END_TEST

START_TEST(a_beat_of_somebody_else_is_none)
{
    struct peer_keys keys = keys_of(SECRET, ""), others = keys_of(PREVIOUS, "");
    struct beat sent = beat_of("Zf0a-b", 3015), read;
    struct buf body;
    struct err err;
    buf_init(&body, 1024);
    beat_write(&body, &sent, &keys, 100000);
    ck_assert(!beat_read(buf_view(&body), &others, 100000, &read, &err));
    ck_assert_int_eq(err.code, ERR_UNAUTHENTICATED);
    ck_assert(!beat_read(buf_view(&body), &keys, 100001 + PEER_WINDOW_MS, &read, &err));
    ck_assert_int_eq(err.code, ERR_UNAUTHENTICATED);
    /* Every part of it is signed. */
    static const char *const parts[][2] = {{"gw1", "gw2"},
                                           {"Zf0a-b", "Zf0a-c"},
                                           {"10.0.0.3", "10.0.0.4"},
                                           {"3015", "3016"},
                                           {"100000", "100001"}};
    for (size_t i = 0; i < countof(parts); i++) {
        char changed[1024];
        snprintf(changed, sizeof changed, "%s", body.data);
        memcpy(strstr(changed, parts[i][0]), parts[i][1], strlen(parts[i][1]));
        ck_assert_msg(!beat_read(view_of(changed), &keys, 100000, &read, &err), "%s", changed);
        ck_assert_int_eq(err.code, ERR_UNAUTHENTICATED);
    }
    static const char *const rubbish[] = {
        "",
        "{}",
        "[]",
        "{\"tag\":\"abcdef\"}",
        "{\"gateway\":\"g\",\"tag\":\"short\",\"address\":\"a\",\"port\":1,\"at\":1,\"state\":\"new\","
        "\"signature\":\"x\"}",
        "{\"gateway\":\"g\",\"tag\":\"abcdef\",\"address\":\"a\",\"port\":0,\"at\":1,\"state\":\"new\","
        "\"signature\":\"x\"}",
        "{\"gateway\":\"g\",\"tag\":\"abcdef\",\"address\":\"a\",\"port\":70000,\"at\":1,\"state\":\"odd\","
        "\"signature\":\"x\"}"};
    for (size_t i = 0; i < countof(rubbish); i++)
        ck_assert_msg(!beat_read(view_of(rubbish[i]), &keys, 1, &read, &err), "%s", rubbish[i]);
    buf_free(&body);
}
END_TEST

START_TEST(sids_lead_to_their_gateway)
{
    struct peers p;
    struct beat b = beat_of("BBBBBB", 4001);
    peers_init(&p, "AAAAAA");
    ck_assert_ptr_null(peers_find(&p, VIEW("BBBBBB01234567890123456789")));
    peers_hear(&p, &b, 1000);
    const struct peer *found = peers_find(&p, VIEW("BBBBBB01234567890123456789"));
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found->address, "10.0.0.3");
    ck_assert_int_eq(found->port, 4001);
    static const char *const not [] = {"AAAAAA01234567890123456789",
                                       "CCCCCC01234567890123456789",
                                       "",
                                       "BBBBBB",
                                       "BBBBBB0123456789012345678",
                                       "BBBBBB012345678901234567890",
                                       "BBBBBB0123456789/123456789"};
    for (size_t i = 0; i < countof(not ); i++)
        ck_assert_msg(!peers_find(&p, view_of(not [i])), "%s", not [i]);
    b.port = 4002; /* it has moved */
    peers_hear(&p, &b, 1500);
    ck_assert_int_eq(peers_find(&p, VIEW("BBBBBB01234567890123456789"))->port, 4002);
    b.state = BEAT_LEAVING;
    peers_hear(&p, &b, 2000);
    ck_assert_ptr_null(peers_find(&p, VIEW("BBBBBB01234567890123456789")));
    peers_hear(&p, &b, 2100);
    ck_assert_uint_eq(p.all.count, 0);
    peers_finish(&p);
}
END_TEST

START_TEST(who_is_silent_is_forgotten_while_we_hear_ourselves)
{
    struct peers p;
    struct beat other = beat_of("BBBBBB", 4001), own = beat_of("AAAAAA", 4000);
    struct view sid = VIEW("BBBBBB01234567890123456789");
    peers_init(&p, "AAAAAA");
    ck_assert(!peers_are_settled(&p, 900));
    peers_hear(&p, &own, 1000);
    ck_assert(!peers_are_settled(&p, 1000 + PEER_SETTLE_MS - 1));
    ck_assert(peers_are_settled(&p, 1000 + PEER_SETTLE_MS));
    peers_hear(&p, &other, 1000);
    peers_hear(&p, &own, 1000 + PEER_SILENT_MS);
    ck_assert_ptr_nonnull(peers_find(&p, sid));
    /* The broker is away for a minute: nobody hears anybody, then all come back, one first. */
    ck_assert(!peers_are_unheard(&p, 1000 + 2 * PEER_SILENT_MS));
    ck_assert(peers_are_unheard(&p, 1001 + 2 * PEER_SILENT_MS));
    peers_excuse(&p, 61000);
    peers_hear(&p, &own, 61000);
    ck_assert_ptr_nonnull(peers_find(&p, sid));
    /* The broker takes nothing for a minute: what was said meanwhile comes all at once, one's first. */
    peers_hear(&p, &own, 121000);
    ck_assert_ptr_nonnull(peers_find(&p, sid));
    peers_hear(&p, &own, 121000 + PEER_SILENT_MS);
    ck_assert_ptr_nonnull(peers_find(&p, sid));
    peers_hear(&p, &own, 121001 + PEER_SILENT_MS);
    ck_assert_ptr_null(peers_find(&p, sid));
    peers_finish(&p);
}
END_TEST

START_TEST(where_we_are_is_an_address)
{
    static const struct {
        const char *url, *host;
        int port;
    } fine[] = {{"http://10.0.0.3:3015", "10.0.0.3", 3015},
                {"http://gw-1/", "gw-1", 80},
                {"http://[::1]:90/", "::1", 90},
                {"http://[fd00::2]", "fd00::2", 80}};
    static const char *const wrong[] = {"",           "10.0.0.3:3015", "https://a",      "http://",
                                        "http:///",   "http://a:0",    "http://a:70000", "http://a:x",
                                        "http://a/b", "http://[::1",   "http://[::1]x"};
    char host[ADVERTISE_HOST_SIZE];
    int port;
    struct beat beat = {0};
    struct err err;
    for (size_t i = 0; i < countof(fine); i++) {
        ck_assert_msg(advertise_parse(fine[i].url, host, &port), "%s", fine[i].url);
        ck_assert_str_eq(host, fine[i].host);
        ck_assert_int_eq(port, fine[i].port);
    }
    for (size_t i = 0; i < countof(wrong); i++)
        ck_assert_msg(!advertise_parse(wrong[i], host, &port), "%s", wrong[i]);
    ck_assert(advertise_find("", "127.0.0.1", 3015, &beat, &err));
    ck_assert_str_eq(beat.address, "127.0.0.1");
    ck_assert_int_eq(beat.port, 3015);
    ck_assert(advertise_find("http://127.0.0.9:99", "0.0.0.0", 3015, &beat, &err));
    ck_assert_str_eq(beat.address, "127.0.0.9");
    ck_assert_int_eq(beat.port, 99);
    ck_assert(!advertise_find("http://no-such-name.invalid", "0.0.0.0", 3015, &beat, &err));
    ck_assert_int_eq(err.code, ERR_INVALID);
}
END_TEST

Suite *suite_peers(void)
{
    Suite *s = suite_create("peers");
    TCase *t = tcase_create("peers");
    tcase_add_test(t, a_pass_is_good_for_one_thing_and_a_short_time);
    tcase_add_test(t, a_beat_comes_through_whole);
    tcase_add_test(t, a_beat_of_somebody_else_is_none);
    tcase_add_test(t, sids_lead_to_their_gateway);
    tcase_add_test(t, who_is_silent_is_forgotten_while_we_hear_ourselves);
    tcase_add_test(t, where_we_are_is_an_address);
    suite_add_tcase(s, t);
    return s;
}
