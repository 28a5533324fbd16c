/*
 * The rules: what a command changes and what it announces. Pure but for the reads and writes on its batch: no
 * HTTP, no SQL, no clock of its own.
 *
 * Every command is idempotent by a natural key, so that a webhook which is sent again does nothing. A command
 * that is refused leaves the batch as it was.
 *
 * Thread: the committer's. Lifetime: a command borrows everything it points to until it was decided.
 */
#ifndef STATE_MANAGER_CORE_COMMAND_H
#define STATE_MANAGER_CORE_COMMAND_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/profile.h"
#include "shared/view.h"
#include "state-manager/core/batch.h"
#include <stdbool.h>

enum {
    CHANNEL_ID_MAX = 64, /* phone number id: [A-Za-z0-9_-] */
    WAMID_MAX = 180,     /* bytes; the documented most is 128 */
    TEXT_MAX_CHARS = 4096,
    /* Of a webhook; a message's document and its event hold what is in it more than once. Far over anything
     * that Meta documents, and below what a document, an event and their readers can take. */
    ELEMENT_BYTES_MAX = 512 << 10,
    EVENTS_PER_CALL_MAX = 500,
    IDEMPOTENCY_KEY_MAX = 100,
    COMMAND_SEED_BYTES = 16
};

/* type, deciding function, what it will read (or NULL), name in logs and metrics */
#define COMMANDS(X)                                                                                  \
    X(INBOUND, decide_inbound, foresee_inbound, "inbound")    /* a customer wrote */                 \
    X(ECHO, decide_echo, foresee_echo, "echo")                /* an agent wrote on the phone */      \
    X(RECEIPT, decide_receipt, foresee_receipt, "receipt")    /* sent, delivered, read... */         \
    X(ACCOUNT, decide_account, NULL, "account")               /* the rest of a webhook, kept raw */  \
    X(OUTBOUND, decide_outbound, foresee_talk, "outbound")    /* an agent wrote in the portal */     \
    X(PATCH, decide_patch, foresee_talk, "patch")             /* status, assignee, tags */           \
    X(READ, decide_read, foresee_talk, "read")                /* somebody has read a conversation */ \
    X(CORRELATE, decide_correlate, foresee_talk, "correlate") /* a conversation's name elsewhere */  \
    X(REFRESH, decide_refresh, NULL, "refresh")               /* announce the figures */             \
    X(EVENTS, decide_events, NULL, "events")                  /* another backend publishes */        \
    X(TENANT, decide_tenant, NULL, "tenant")                  /* settings of the tenant's own */     \
    X(SESSION, decide_session, foresee_session, "session")    /* a client's rooms, or its end */     \
    X(REVOKE, decide_revoke, foresee_revoke, "revoke")        /* tokens are good no longer */        \
    X(WRITE, decide_write, foresee_write, "write")            /* a call on a profile's resource */   \
    X(KNOW, decide_know, foresee_know, "know")                /* a user of a profile is seen */

enum command_type {
#define X(type, decide, foresee, name) COMMAND_##type,
    COMMANDS(X)
#undef X
};

/* How an idempotency key was come by. */
enum key_use {
    KEY_GIVEN,         /* the caller chose it: it means this call, for good */
    KEY_GUESSED,       /* a digest of the body, first delivery: the same body may come again on purpose */
    KEY_GUESSED_REPEAT /* the same, delivered again by the broker: known within KEY_GUESS_MS, it is a repeat
                        */
};

enum { KEY_GUESS_MS = 600000 };

struct command {
    enum command_type type;
    struct view channel_id;      /* plain; webhook commands */
    struct view element;         /* raw JSON: message, echo, status, value, or the body of the call */
    struct view contact;         /* raw: what value.contacts says of the customer, or empty */
    struct view field;           /* raw: `field` of the change (account) */
    struct view conversation_id; /* plain; calls about one */
    struct view author;          /* plain: sub of the caller */
    struct view idempotency_key; /* plain; empty: none */
    enum key_use key_use;
    const struct profiles *profiles; /* whose rooms a session may join; NULL: the agent portal's */
    /* of a write (or know: any operation of the profile) */
    const struct operation *operation;
    struct view params, claims;             /* raw JSON objects; claims as claims_write() has them */
    unsigned char seed[COMMAND_SEED_BYTES]; /* random: ids are drawn from it */
    /* --- outcome --- */
    bool duplicate;    /* known already: nothing changed; a call is answered as it was then */
    struct buf *reply; /* answers of calls, NULL for webhooks */
};

/* False: refused (err says why), or the store did not answer (then the batch has failed). */
bool command_decide(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
/* Tells the batch what deciding will read; batch_fetch() then reads it for many commands at once. */
void command_foresee(struct batch *b, const struct command *c);
const char *command_name(enum command_type type);

bool decide_inbound(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_echo(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_receipt(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_account(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_outbound(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_patch(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_read(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_correlate(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_refresh(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_events(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_tenant(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_session(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_revoke(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_write(struct batch *b, struct command *c, struct err *err) MUSTCHECK;
bool decide_know(struct batch *b, struct command *c, struct err *err) MUSTCHECK;

void foresee_inbound(struct batch *b, const struct command *c);
void foresee_echo(struct batch *b, const struct command *c);
void foresee_receipt(struct batch *b, const struct command *c);
void foresee_talk(struct batch *b, const struct command *c);
void foresee_session(struct batch *b, const struct command *c);
void foresee_revoke(struct batch *b, const struct command *c);
void foresee_write(struct batch *b, const struct command *c);
void foresee_know(struct batch *b, const struct command *c);

#endif
