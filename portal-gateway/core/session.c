#include "portal-gateway/core/session.h"
#include "portal-gateway/core/client_event.h"
#include "portal-gateway/core/guests.h"
#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/meters.h"
#include "portal-gateway/core/recovery.h"
#include "portal-gateway/core/sio_session.h"
#include "portal-gateway/core/strangers.h"
#include "portal-gateway/core/tenant.h"
#include "shared/clock.h"
#include "shared/crypto.h"
#include "shared/log.h"
#include "shared/mem.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PING_SLACK = 10, /* a part of the ping timeout */
    MESSAGE_US = 15, /* what it takes to read one, besides what is measured */
    /* How far behind the stream the offset of a client that hears nothing may be; looked at with every ping
     */
    CURSOR_EVENTS = 1000,
    CURSOR_MS = 60000
};

static const char *const state_names[] = {
#define X(id, name) name,
    SESSION_STATES(X)
#undef X
};

static const struct {
    const char *name;
    int code;
    const char *text;
} reasons[] = {
#define X(id, name, code, text) {name, code, text},
    CLOSE_REASONS(X)
#undef X
};

void session_set_state(struct session *s, enum session_state state)
{
    /* What may follow what; a bit per state. */
    static const unsigned follows[] = {
        [SESSION_OPENING] = 1u << SESSION_STRANGER | 1u << SESSION_CLOSING,
        [SESSION_STRANGER] = 1u << SESSION_HELD | 1u << SESSION_CLOSING,
        [SESSION_HELD] =
            1u << SESSION_RECOVERING | 1u << SESSION_LIVE | 1u << SESSION_STRANGER | 1u << SESSION_CLOSING,
        [SESSION_RECOVERING] = 1u << SESSION_LIVE | 1u << SESSION_STRANGER | 1u << SESSION_CLOSING,
        [SESSION_LIVE] = 1u << SESSION_STRANGER | 1u << SESSION_CLOSING,
        [SESSION_CLOSING] = 0,
    };
    assert(follows[s->state] & 1u << state);
    log_debug("session_state", "session=%s from=%s to=%s", s->id, state_names[s->state], state_names[state]);
    if (s->state == SESSION_LIVE)
        meter_add(LIVE, -1);
    if (state == SESSION_LIVE)
        meter_add(LIVE, 1);
    s->state = state;
    if (state == SESSION_STRANGER)
        hub_add_stranger(s->hub, s);
    else
        hub_forget_stranger(s->hub, s);
}

static void on_connect_due(struct session *s, int64_t at_ms)
{
    (void)at_ms;
    bool known = s->state == SESSION_HELD || s->state == SESSION_RECOVERING;
    session_close(s, known ? CLOSE_UNAVAILABLE : CLOSE_CONNECT_TIMEOUT);
}

/* Who hears little keeps an old offset, and would have to be replayed what was not for him. */
static void refresh_offset(struct session *s)
{
    char offset[OFFSET_SIZE + 2];
    if (s->state != SESSION_LIVE || s->pending || s->form == FRAME_SIO_BARE)
        return;
    const struct position *at = &s->tenant->stream.at;
    bool old = loop_now_ms(s->hub->loop) - s->told_ms >= CURSOR_MS;
    if (at->seq <= s->told || (!old && at->seq - s->told < CURSOR_EVENTS))
        return;
    offset[0] = '"';
    offset_format(at->epoch, at->seq, offset + 1);
    size_t n = strlen(offset);
    offset[n++] = '"';
    s->protocol->cursor(s, (struct view){offset, n});
    session_told(s);
}

/* Whether its client counts on pings, and gives the connection up without them, perhaps for another one.
 * Those of /ws do not. */
static bool counts_on_pings(const struct session *s)
{
    return s->protocol != &protocol_ws;
}

static void on_ping_due(struct session *s, int64_t at_ms)
{
    /* Its clock runs from when the ping is queued (wire spec, 2.8); that the timer was a little late is not
     * to add up. */
    int64_t timeout = s->hub->policy->ping_timeout_ms, now = loop_now_ms(s->hub->loop);
    if (counts_on_pings(s) && now - at_ms > timeout) { /* we stood still */
        session_close(s, CLOSE_PING_TIMEOUT);
        return;
    }
    session_set_due(s, DUE_PONG, (now - at_ms < timeout / PING_SLACK ? at_ms : now) + timeout);
    s->protocol->ping(s);
    refresh_offset(s);
    session_pump(s);
}

static void on_pong_due(struct session *s, int64_t at_ms)
{
    (void)at_ms;
    session_close(s, CLOSE_PING_TIMEOUT);
}

static void on_token_warning_due(struct session *s, int64_t at_ms)
{
    (void)at_ms;
    char data[64], at[CLOCK_ISO_SIZE];
    clock_iso(s->expires_wall_ms, at);
    int n = snprintf(data, sizeof data, "{\"expiresAt\":\"%s\"}", at);
    session_send_event(s, "token_expiring", (struct view){data, (size_t)n});
    session_pump(s);
}

static void on_token_expiry_due(struct session *s, int64_t at_ms)
{
    (void)at_ms;
    session_close(s, CLOSE_TOKEN_EXPIRED);
}

static void on_refusal_due(struct session *s, int64_t at_ms)
{
    (void)at_ms;
    if (s->ops && s->ops->slow)
        s->ops->slow(s->link, false);
    s->tell_refusal(s, s->refusal);
    session_pump(s);
}

static void on_stall_due(struct session *s, int64_t at_ms)
{
    (void)at_ms;
    session_close(s, CLOSE_SLOW);
}

/* With when it was due. */
static void (*const on_due[DUE_COUNT])(struct session *, int64_t at_ms) = {
    [DUE_CONNECT] = on_connect_due,
    [DUE_PING] = on_ping_due,
    [DUE_PONG] = on_pong_due,
    [DUE_TOKEN_WARNING] = on_token_warning_due,
    [DUE_TOKEN_EXPIRY] = on_token_expiry_due,
    [DUE_REFUSAL] = on_refusal_due,
    [DUE_STALL] = on_stall_due,
};

/* Starts the timer for the earliest deadline when it would fire too late; a timer that fires too early finds
 * nothing due and is armed again, so that deadlines that move out cost nothing. */
static void arm(struct session *s, int64_t at_ms)
{
    if (!at_ms || (s->armed_ms && s->armed_ms <= at_ms))
        return;
    int64_t delay = at_ms - loop_now_ms(s->hub->loop);
    s->armed_ms = at_ms;
    loop_timer_start(s->timer, delay > 0 ? delay : 0, 0);
}

void session_set_due(struct session *s, enum session_due which, int64_t at_ms)
{
    s->due[which] = at_ms;
    arm(s, at_ms);
}

static void on_timer(void *ctx)
{
    struct session *s = ctx;
    int64_t now = loop_now_ms(s->hub->loop);
    s->armed_ms = 0;
    for (size_t i = 0; i < DUE_COUNT && s->state != SESSION_CLOSING; i++)
        if (s->due[i] && s->due[i] <= now) {
            int64_t at = s->due[i];
            s->due[i] = 0;
            on_due[i](s, at);
        }
    for (size_t i = 0; i < DUE_COUNT; i++)
        arm(s, s->due[i]);
}

struct session *session_create(struct hub *hub, const struct protocol *protocol, const char *token)
{
    struct session *s = xcalloc(1, sizeof *s);
    s->hub = hub;
    s->protocol = protocol;
    s->state = SESSION_OPENING;
    s->token = token && *token ? xstrdup(token) : NULL;
    crypto_random_id(hub->peers.tag, s->secret_id);
    crypto_random_id("", s->id);
    member_init(&s->member);
    list_init(&s->queued);
    list_init(&s->in_hub);
    list_init(&s->in_slowed);
    list_init(&s->in_strangers);
    list_init(&s->calls);
    s->timer = loop_timer_create(hub->loop, on_timer, s);
    hub_add(hub, s);
    return s;
}

/* The gauges of transports follow the links. */
static void set_link(struct session *s, const struct link_ops *ops, void *link)
{
    if (s->ops)
        metric_add(&gateway_meters[session_polls(s) ? METER_POLLING : METER_WEBSOCKET], -1);
    s->ops = ops;
    s->link = link;
    if (s->ops)
        metric_add(&gateway_meters[session_polls(s) ? METER_POLLING : METER_WEBSOCKET], 1);
}

void session_on_open(struct session *s, const struct link_ops *ops, void *link)
{
    int64_t now = loop_now_ms(s->hub->loop);
    set_link(s, ops, link);
    s->began_polling = session_polls(s);
    session_set_state(s, SESSION_STRANGER);
    session_set_due(s, DUE_CONNECT, now + s->hub->policy->connect_timeout_ms);
    session_set_due(s, DUE_PING, now + s->hub->policy->ping_interval_ms);
    s->protocol->on_open(s);
    session_pump(s);
}

/* Whether it may say that much. */
static bool keeps_rates(struct session *s, size_t bytes)
{
    const struct policy *policy = s->hub->policy;
    int64_t now = loop_now_ms(s->hub->loop);
    return rate_take(&policy->messages, &s->messages, 1, now) &&
           rate_take(&policy->bytes, &s->bytes, (int64_t)bytes, now);
}

/* Whether its client has given this connection up by now. Only after we stood still is that so before a timer
 * says it, and before the loop's clock does: what the client has said meanwhile is not its wish any more. */
static bool is_given_up(const struct session *s)
{
    const struct policy *policy = s->hub->policy;
    int64_t at = s->due[DUE_PONG] ? s->due[DUE_PONG] + policy->ping_interval_ms
                                  : s->due[DUE_PING] + policy->ping_timeout_ms;
    return counts_on_pings(s) && clock_mono_ms() > at;
}

void session_on_message(struct session *s, struct view message, bool is_text)
{
    strangers_hear(s);
    if (s->state == SESSION_CLOSING || s->state == SESSION_OPENING || s->due[DUE_REFUSAL])
        return;
    if (is_given_up(s)) {
        session_close(s, CLOSE_PING_TIMEOUT);
        return;
    }
    if (!keeps_rates(s, message.n)) {
        session_close(s, CLOSE_RATE);
        return;
    }
    if (!strangers_put_off(s, message, is_text))
        session_hear(s, message, is_text);
}

void session_hear(struct session *s, struct view message, bool is_text)
{
    if (s->state == SESSION_CLOSING)
        return;
    int64_t started = clock_mono_us();
    s->protocol->on_message(s, message, is_text);
    if (s->control_count && !s->blocked)
        session_pump(s);
    pace_charge(s, clock_mono_us() - started + MESSAGE_US);
}

void session_on_writable(struct session *s)
{
    s->blocked = false;
    session_set_due(s, DUE_STALL, 0);
    session_pump(s);
}

void session_on_pong(struct session *s)
{
    if (!s->due[DUE_PONG])
        return; /* unsolicited ones are harmless */
    session_set_due(s, DUE_PONG, 0);
    session_set_due(s, DUE_PING, loop_now_ms(s->hub->loop) + s->hub->policy->ping_interval_ms);
}

void session_move(struct session *s, const struct link_ops *ops, void *link)
{
    log_debug("session_moved", "session=%s", s->id);
    meter_add(UPGRADES, 1);
    set_link(s, ops, link);
    if (s->due[DUE_PONG]) /* the ping may be among what goes out only now */
        session_set_due(s, DUE_PONG, loop_now_ms(s->hub->loop) + s->hub->policy->ping_timeout_ms);
    session_on_writable(s);
}

void session_told(struct session *s)
{
    s->told = s->tenant->stream.at.seq;
    s->told_ms = loop_now_ms(s->hub->loop);
}

void session_end_reading(struct session *s)
{
    free(s->reading);
    s->reading = NULL;
}

void session_forget_claims(struct session *s)
{
    if (s->claims)
        claims_release(s->claims);
    free(s->claims);
    s->claims = NULL;
    recovery_forget(s);
}

static void forget_identity(struct session *s)
{
    client_forget(s);
    if (s->tenant)
        tenant_remove(s->tenant, s);
    s->tenant = NULL;
    s->pending = s->lagging = s->replaying = false;
    session_end_reading(s);
    session_forget_claims(s);
    free(s->sub);
    free(s->jti);
    free(s->who);
    s->sub = s->jti = s->who = NULL;
    s->generation = 0;
    session_set_due(s, DUE_TOKEN_WARNING, 0);
    session_set_due(s, DUE_TOKEN_EXPIRY, 0);
}

void session_sign_out(struct session *s)
{
    forget_identity(s);
    session_set_state(s, SESSION_STRANGER);
}

void session_close(struct session *s, enum close_reason reason)
{
    if (s->state == SESSION_CLOSING)
        return;
    session_set_state(s, SESSION_CLOSING);
    s->reason = reason;
    session_pump(s);
    list_unlink(&s->queued);
    hub_forget_sid(s->hub, s);
    hub_count_close(s->hub, reason);
    memset(s->due, 0, sizeof s->due);
    if (s->ops)
        s->ops->close(s->link, s->protocol->close_codes ? reasons[reason].code : 0, reasons[reason].text);
}

void session_gone(struct session *s)
{
    if (s->state != SESSION_CLOSING) {
        session_set_state(s, SESSION_CLOSING);
        s->reason = CLOSE_PEER;
        hub_count_close(s->hub, CLOSE_PEER);
    }
    log_info("session_closed", "session=%s protocol=%s tenant=%s reason=%s", s->id, s->protocol->name,
             s->tenant ? tenant_id(s->tenant) : "-", reasons[s->reason].name);
    set_link(s, NULL, NULL);
    strangers_forget(s);
    forget_identity(s);
    for (unsigned i = 0; i < s->control_count; i++)
        frame_unref(s->control[i]);
    free(s->control);
    sio_session_destroy(s->sio);
    free(s->token);
    member_finish(&s->member);
    guests_leave(&s->hub->guests, s->guest);
    list_unlink(&s->queued);
    hub_remove(s->hub, s);
    loop_timer_destroy(s->timer);
    free(s);
}
