/*
 * A stage for tests of sessions: hub, tenant, stream and tokens are the real ones, sockets are sinks that
 * remember, and the feed is played by hand. Tenant "t1", epoch "e", which stands at 10 when the first session
 * becomes live.
 */
#ifndef TESTS_UNIT_SESSION_STAGE_H
#define TESTS_UNIT_SESSION_STAGE_H

#include "portal-gateway/core/hub.h"
#include "portal-gateway/core/session.h"
#include "portal-gateway/core/tenant.h"
#include "shared/buf.h"
#include <stddef.h>
#include <stdint.h>

enum { SINK_BYTES = 1 << 20 };

/* A link that takes what it is told to, and remembers. */
struct sink {
    struct session *session;
    size_t takes; /* frames per write; SIZE_MAX: all */
    size_t writes, frames;
    bool closed, slowed;
    int code;
    struct buf text; /* payloads, each with a newline behind it */
};

struct stage {
    struct loop *loop;
    struct hub *hub;
    struct policy policy; /* may be changed before the first session */
    struct token_rules *rules;
    int write_us; /* how long each write to a sink takes */
    size_t binds, past_asked;
    struct position past_after; /* where the log was last asked for from below a ring */
    uint64_t asked_token;       /* of the last question of somebody's */
    struct buf asked;           /* its text */
    size_t asks;                /* how many there were */
    struct buf published;       /* what was last to go to the exchange */
    size_t publishes;           /* how much there was */
    int token_seconds;          /* until the tokens of sign_in() expire */
    const char *token_tenant;   /* of theirs */
};

extern struct stage stage;

void stage_set_up(void);
void stage_tear_down(void);

struct sink *opened(const struct protocol *protocol);
/* Opened and signed in, its output so far forgotten. `more`: members added to the claims, from the comma on;
 * the role is agent unless it is among them. */
struct sink *live(const struct protocol *protocol, const char *sub, const char *more);
void gone(struct sink *k);
void say(struct sink *k, const char *message);
void sign_in(struct sink *k, const char *sub, const char *more);
/* A token as sign_in() uses; the caller frees. */
char *token_of(const char *sub, const char *more);
/* The state-manager's answer to a question ("": none in time). */
void settle(uint64_t token, const char *text);
const char *heard(const struct sink *k);
/* How often the text stands in that. */
int times_heard(const struct sink *k, const char *text);
/* The last question that was asked for somebody; "": none. */
const char *asked(void);
void forget_output(struct sink *k);

/* An answer to heads, asked for when the stream stood at `asked`. */
void answer_heads(const struct position *asked, const char *epoch, uint64_t seq);
/* The one that puts the stream in place. */
void place(const char *epoch, uint64_t seq);
struct tenant *t1(void);
/* A chain of such events. */
struct record *stream_of(uint64_t seq, size_t count, const char *type, const char *more);
/* One letter with `count` events from seq on (0: without seq), `more` added to their bodies. */
void feed_letter(uint64_t seq, size_t count, const char *type, const char *more);
/* What the log says of somebody's session; `more`: members of its data, from the comma on. */
void hear_of_session(const char *pid, uint64_t seq, const char *more);
/* Events, then every socket concerned is written to. */
void feed(uint64_t seq, size_t count, const char *type, const char *more);
void flush(void);
void run_for(int64_t ms);
/* One turn of the loop: what is waited for comes by one, however slowly this machine takes them. Fails from
 * then on, in milliseconds of clock_mono_ms(). */
void turn_within(int64_t end);

#endif
