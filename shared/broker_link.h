/*
 * What the two halves of broker.h share: broker.c opens, closes and makes synchronous calls, broker_traffic.c
 * publishes and takes what comes in. Nobody else includes this. Thread: the owner of the connection.
 */
#ifndef SHARED_BROKER_LINK_H
#define SHARED_BROKER_LINK_H

#include "shared/broker.h"
#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    BROKER_CHANNEL = 1,
    BROKER_CALL_MS = 5000, /* one synchronous call, or room in the socket for one frame */
    /* A socket that poll() calls writable has room for a third of its buffer (the kernel's rule), so that a
     * frame of this size then never blocks: rabbitmq-c itself would wait without end. */
    BROKER_FRAME_MAX = 65536,
    BROKER_SEND_BUFFER = 4 * BROKER_FRAME_MAX,
    BROKER_BODY_MAX = 16 << 20 /* bytes of a body that comes in; longer ones are rejected */
};

enum broker_stage { STAGE_NONE, STAGE_HEADER, STAGE_BODY };

/* A delivery or return of which not all frames have come yet. */
struct broker_incoming {
    enum broker_stage stage;
    enum broker_happening kind;
    struct broker_message message; /* views into the library's memory or `body` */
    uint64_t size, got;
    bool skip; /* over BROKER_BODY_MAX */
};

struct broker {
    char *url; /* cut into pieces; the next five point into it or to literals */
    const char *host, *vhost, *user, *password;
    int port;
    bool tls;
    char *name;
    struct amqp_connection_state_t_ *conn; /* NULL: closed */
    bool confirms, no_ack, blocked;
    bool corked; /* what is sent gathers in the kernel, at most 200 ms, until broker_cork(b, false) */
    uint64_t published;
    int64_t heard_ms, service_ms; /* monotonic: last sign of life, next look after heartbeats */
    struct broker_incoming in;
    struct buf body; /* of a message in several frames */
};

/* Gives the connection up without a word. */
void broker_drop(struct broker *b);
/* Drops the connection and says why: a status of the library, or a close method with the broker's reason. */
bool broker_fail_status(struct broker *b, int status, struct err *err);
struct amqp_method_t_;
bool broker_fail_method(struct broker *b, const struct amqp_method_t_ *method, struct err *err);
/* Gathers what is sent next into full segments, or sends off what has gathered: many small messages then cost
 * both sides less. */
void broker_cork(struct broker *b, bool on);
/* Whether nothing has come for so long that the connection must be dead. Sooner than the library finds that:
 * whatever is sent once its own deadline, twice the heartbeat's interval, is over makes rabbitmq-c 0.11 wait
 * for something to read without any end (its "now" in amqp_try_recv() is "never"). */
bool broker_is_silent(const struct broker *b);
/* Before everything that sends: open, not silent, and room in the socket. A broker with an alarm reads
 * nothing, perhaps for hours. */
bool broker_ready_to_send(struct broker *b, struct err *err) MUSTCHECK;

#endif
