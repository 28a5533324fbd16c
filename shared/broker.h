/*
 * A connection to RabbitMQ (AMQP 0-9-1). rabbitmq-c is spoken to in broker.c only.
 *
 * One connection with one channel, blocking, for one owner thread. Every call has a deadline; heartbeats are
 * served inside broker_next(), which the owner calls at least every few seconds. After any failed call the
 * connection is closed: open it again, declare again, publish again what was not confirmed.
 */
#ifndef SHARED_BROKER_H
#define SHARED_BROKER_H

#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

struct broker;

/* No I/O yet. `name` shows in the broker's list of connections. NULL and err: the URL is wrong. amqps://
 * checks the broker's certificate and name against SSL_CERT_FILE, or the system's list. */
struct broker *broker_create(const char *url, const char *name, struct err *err);
void broker_destroy(struct broker *b); /* NULL-safe */
/* Connects, logs in, opens the channel; publisher confirms when asked for. About 5 s at the most. */
bool broker_open(struct broker *b, bool confirms, struct err *err) MUSTCHECK;
void broker_close(struct broker *b);
bool broker_is_open(const struct broker *b);

bool broker_declare_exchange(struct broker *b, const char *name, const char *type, struct err *err) MUSTCHECK;

struct broker_queue {
    const char *name;
    bool durable, exclusive;
    int64_t max_length; /* messages, 0: none; overflow drops the head */
    int64_t max_bytes;  /* 0: none */
};

bool broker_declare_queue(struct broker *b, const struct broker_queue *queue, struct err *err) MUSTCHECK;
bool broker_bind(struct broker *b, const char *queue, const char *exchange, const char *key,
                 struct err *err) MUSTCHECK;
bool broker_unbind(struct broker *b, const char *queue, const char *exchange, const char *key,
                   struct err *err) MUSTCHECK;
/* prefetch 0: without acknowledgements (then the broker forgets what it sends). */
bool broker_consume(struct broker *b, const char *queue, int prefetch, struct err *err) MUSTCHECK;
/* Consumes answers to own requests: the broker's direct reply-to. Requests go out with BROKER_REPLY_TO. */
#define BROKER_REPLY_TO "amq.rabbitmq.reply-to"

struct broker_message {
    struct view exchange, routing_key, body;
    struct view message_id, reply_to, correlation_id; /* empty: none */
    int expiration_ms;                                /* 0: none */
    bool persistent, mandatory;
    /* deliveries only */
    uint64_t delivery_tag;
    bool redelivered;
};

/* Whether a small message can be sent without waiting for the broker to read. */
bool broker_has_room(struct broker *b);
/* Sends; with confirms *tag is the number that broker_next() will report (tag may be NULL). The views are
 * borrowed. Small messages gather and leave when broker_next() is about to wait, at the latest after 200 ms.
 * TIMEOUT: the broker has read nothing for 5 s (an alarm of which BROKER_BLOCKED was not heeded, or it
 * hangs). UNAVAILABLE: the connection is lost, or nothing has come for one and a half heartbeats. */
bool broker_publish(struct broker *b, const struct broker_message *m, uint64_t *tag,
                    struct err *err) MUSTCHECK;

enum broker_happening {
    BROKER_NOTHING,  /* the time is up, or wake_fd is readable */
    BROKER_DELIVERY, /* out->message, valid until the next call on this connection */
    BROKER_ACK,      /* out->tag, out->multiple */
    BROKER_NACK,     /* the same */
    BROKER_RETURN,   /* unroutable and mandatory: out->message.message_id; its ack follows */
    BROKER_BLOCKED,  /* the broker's alarm: do not publish */
    BROKER_UNBLOCKED,
    BROKER_CANCELLED, /* the consumed queue is gone */
    BROKER_CLOSED     /* connection or channel lost; err says why; broker_is_open() is false */
};

struct broker_event {
    struct broker_message message;
    uint64_t tag;
    bool multiple;
};

/* Waits up to timeout_ms for the next thing; returns earlier when wake_fd (-1: none) is readable. */
enum broker_happening broker_next(struct broker *b, int timeout_ms, int wake_fd, struct broker_event *out,
                                  struct err *err);
/* Whether something is there to be looked at without waiting: for those who gather before they wake somebody.
 * It may be the first part of a message only, so go on with timeout_ms 0. */
bool broker_has_more(struct broker *b);
bool broker_ack(struct broker *b, uint64_t delivery_tag, bool multiple, struct err *err) MUSTCHECK;
bool broker_reject(struct broker *b, uint64_t delivery_tag, bool requeue, struct err *err) MUSTCHECK;

#endif
