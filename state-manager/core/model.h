/*
 * Conversations and messages: what their documents hold and how these are read and written.
 *
 * A document is what the API shows. Fields that come from customers stay raw JSON slices all the way (struct
 * view, "raw" below), so that nothing is lost in a round trip; an empty slice is written as null. Thread: any
 * (plain values). Lifetime: slices point into the text that was read.
 */
#ifndef STATE_MANAGER_CORE_MODEL_H
#define STATE_MANAGER_CORE_MODEL_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stdint.h>

enum { MODEL_ID_SIZE = 2 + 20 + 1 }; /* "c_" or "m_", 20 characters, NUL */

/* state, name, rank: receipts only move a message up; FAILED is beside the ladder */
#define MESSAGE_STATUSES(X)      \
    X(NONE, "unknown", -1)       \
    X(RECEIVED, "received", -1)  \
    X(QUEUED, "queued", 0)       \
    X(ACCEPTED, "accepted", 1)   \
    X(SENT, "sent", 2)           \
    X(DELIVERED, "delivered", 3) \
    X(READ, "read", 4)           \
    X(PLAYED, "played", 5)       \
    X(FAILED, "failed", 2)

enum message_status {
#define X(status, name, rank) MESSAGE_##status,
    MESSAGE_STATUSES(X)
#undef X
};

const char *message_status_name(enum message_status status);
enum message_status message_status_parse(struct view string); /* raw JSON string; NONE when unknown */
/* The rule of the ladder: upward only; failed wins over queued, accepted and sent, and nothing follows it but
 * proof of the contrary (delivered and above). */
bool message_status_moves(enum message_status from, enum message_status to);

#define CONVERSATION_CLOSED   "closed"
#define CONVERSATION_WAITING  "waiting"
#define CONVERSATION_ANSWERED "answered"
#define CONVERSATION_OWNER    "@"
#define CONVERSATION_NOBODY   "-"

enum direction { DIRECTION_INBOUND, DIRECTION_OUTBOUND };
const char *direction_name(enum direction direction);

struct conversation {
    char id[MODEL_ID_SIZE];
    struct view channel_id;                               /* raw */
    struct view wa_id, user_id, group_id, name, username; /* raw; the contact */
    bool closed;
    struct view assignee, tags, correlation;         /* raw */
    struct view last_message;                        /* raw string */
    enum direction direction;                        /* of the last message */
    int64_t last_message_at, created_at, updated_at; /* wall ms */
    int64_t unanswered_since; /* wall ms of the first inbound message without an answer, 0: none */
    int64_t unread, version;
    int64_t ord; /* of creation: ties in lists */
};

/* Reads checked text. False: not a conversation's document. */
bool conversation_read(struct view doc, struct conversation *out) MUSTCHECK;
void conversation_write(const struct conversation *c, struct buf *out);
bool conversation_is_waiting(const struct conversation *c);
/* The list that it is filed in: CONVERSATION_CLOSED, CONVERSATION_WAITING, or CONVERSATION_ANSWERED. */
const char *conversation_state(const struct conversation *c);
/* Whose list it is in: CONVERSATION_OWNER and the assignee (decoded), or CONVERSATION_NOBODY. */
void conversation_owner(const struct conversation *c, struct buf *out);

struct message {
    char id[MODEL_ID_SIZE];
    struct view message_id; /* raw: wamid; empty until known */
    char conversation_id[MODEL_ID_SIZE];
    struct view channel_id; /* raw */
    enum direction direction;
    struct view type, text, media, from, from_name, reply_to, reaction, errors, raw; /* raw */
    int64_t timestamp, edited_at, revoked_at;                                        /* wall ms; 0: never */
    enum message_status status;
    struct view history; /* raw array of {status, timestamp, participant?} */
    int64_t ord;
};

bool message_read(struct view doc, struct message *out) MUSTCHECK;
void message_write(const struct message *m, struct buf *out);

/* Stable ids out of natural keys, so that the same thing posted twice is found again. */
void conversation_id_for(struct view channel_id, struct view contact_key, char out[static MODEL_ID_SIZE]);
void message_id_for(struct view channel_id, struct view wamid, char out[static MODEL_ID_SIZE]);

#endif
