/*
 * What a Socket.IO session keeps beside the session itself: a packet that waits for its attachments, packets
 * that wait for the answer to CONNECT, calls of the server's that wait for theirs, and where it is besides
 * the stream. Made when there is something to keep: most sessions never have one.
 *
 * Thread: the loop's. Lifetime: of its session.
 */
#ifndef PORTAL_GATEWAY_CORE_SIO_SESSION_H
#define PORTAL_GATEWAY_CORE_SIO_SESSION_H

#include "portal-gateway/core/session.h"
#include "portal-gateway/core/sio_namespace.h"
#include "portal-gateway/core/sio_packet.h"
#include "shared/buf.h"

enum {
    SIO_EARLY_MAX = 64, /* packets that wait for the answer to CONNECT */
    SIO_CALLS_MAX = 32, /* calls that wait for an answer; a new one ends the oldest */
    SIO_MIRRORS_MAX = 4
};

/* A whole packet: the text behind the Engine.IO type, and its binary values. Owned. */
struct sio_parcel {
    struct sio_parcel *next;
    char *text;
    size_t text_n;
    unsigned due, count; /* binary values that it needs, that it has */
    struct view attachments[SIO_ATTACHMENTS_MAX];
    size_t bytes; /* of all */
};

typedef void (*sio_answer_fn)(struct session *s, const struct sio_namespace *nsp,
                              const struct sio_args *args);

struct sio_call {
    const struct sio_namespace *nsp;
    uint64_t id;
    sio_answer_fn on_answer;
};

struct sio_session {
    struct sio_parcel *arriving; /* waits for its attachments */
    struct sio_parcel *early, **last_early;
    size_t early_count, early_bytes;
    struct sio_call calls[SIO_CALLS_MAX];
    size_t call_count;
    uint64_t next_call;
    unsigned mirrors; /* joined, a bit each */
};

/* Made at the first call. */
struct sio_session *sio_session_of(struct session *s);
void sio_session_destroy(struct sio_session *sio); /* NULL-safe */

struct sio_parcel *sio_parcel_create(struct view text, unsigned due);
/* Adds a binary value. False: more than `bytes_max` altogether. */
bool sio_parcel_add(struct sio_parcel *p, struct view bytes, size_t bytes_max) MUSTCHECK;
void sio_parcel_destroy(struct sio_parcel *p); /* NULL-safe */

/* Sends an event; args->array begins with its name. */
void sio_send_event(struct session *s, const struct sio_namespace *nsp, const struct sio_args *args);
void sio_send_ack(struct session *s, const struct sio_namespace *nsp, uint64_t id,
                  const struct sio_args *args);
/* Sends an event that wants an answer; on_answer is called at most once. */
void sio_call(struct session *s, const struct sio_namespace *nsp, const struct sio_args *args,
              sio_answer_fn on_answer);
/* An answer has come; an unknown id means nothing. */
void sio_on_answer(struct session *s, const struct sio_namespace *nsp, uint64_t id,
                   const struct sio_args *args);
/* Ends the calls of a namespace that is left. */
void sio_forget_calls(struct session *s, const struct sio_namespace *nsp);

#endif
