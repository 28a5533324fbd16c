/*
 * What the state-manager asks of a store: an event log per tenant that is the commit, the documents that
 * follow from it, and a few tables beside. store/sqlite.c and store/mongo.c obey it; one contract test suite
 * checks both.
 *
 * The log. Entry n of a tenant holds the changes and the events of a batch of commands. n is the last entry's
 * + 1, read by head() before anything else that the decision needs; commit() refuses an entry whose n is
 * taken (CONFLICT), so the writes of a tenant are serial whoever writes. An entry is committed when it and
 * its documents are durable, together.
 *
 * Documents are JSON texts by (tenant, kind, key), each with what lists need: parent, rank and ord.
 *
 * Thread: a handle belongs to one thread. Lifetime: from store_open() to store_close(). Errors: UNAVAILABLE
 * when the store cannot be reached or read, or is full (try again later), INTERNAL when it is damaged.
 */
#ifndef STATE_MANAGER_CORE_STORE_H
#define STATE_MANAGER_CORE_STORE_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/event.h"
#include "shared/view.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What more a kind of documents is kept for. */
enum doc_use {
    DOC_LISTED = 1, /* by parent, newest first */
    DOC_FILED = 2,  /* lists can be narrowed to states or an owner */
    DOC_AGES = 4    /* rank is the wall clock in ms; dropped after a time */
};

/* kind, its name in the log and (plural) in the store, what more it is kept for */
#define DOC_KINDS(X)                                                                              \
    X(CONVERSATION, "conversation", "conversations", DOC_LISTED | DOC_FILED)                      \
    X(MESSAGE, "message", "messages", DOC_LISTED)                                                 \
    X(ALIAS, "alias", "aliases", 0)             /* another name of a document -> its key */       \
    X(PARKED, "parked", "parked", DOC_AGES)     /* receipts that came before their message */     \
    X(RAW, "raw", "raw", DOC_LISTED | DOC_AGES) /* accepted, not understood yet */                \
    X(LATEST, "latest", "latest", DOC_LISTED)   /* newest event body per (type, key) */           \
    X(REPLY, "reply", "replies", DOC_AGES)      /* what was answered under an Idempotency-Key */  \
    X(FIGURES, "figures", "figures", 0)                                                           \
    X(SESSION, "session", "sessions", DOC_AGES)            /* the rooms of a gateway's session */ \
    X(REVOCATION, "revocation", "revocations", DOC_AGES)   /* tokens that are refused */          \
    X(RECORD, "record", "records", DOC_LISTED | DOC_FILED) /* documents of profiles */            \
    X(AUDIT, "audit", "audit", DOC_LISTED)                 /* who changed such a one, and how */

enum doc_kind {
#define X(kind, name, plural, use) DOC_##kind,
    DOC_KINDS(X)
#undef X
        DOC_KIND_COUNT
};

enum {
    DOC_KEY_MAX = 256,  /* bytes */
    DOC_STATE_MAX = 16, /* bytes */
    PAGE_STATES_MAX = 2,
    PAGE_ROWS_MAX = 1000, /* of one call, whatever its limit */
    DOC_MAX = 4 << 20,    /* bytes of one document */
    CHANNEL_ID_SIZE = 64 + 1,
    ENTRY_BYTES_MAX = 8 << 20, /* changes and events of one entry together */
    ENTRY_COMMANDS_MAX = 1000
};

/* Where a document stands in the list of its parent: by rank, then by ord, newest first. */
struct doc_place {
    struct view parent; /* bytes, "" for a list of the tenant's */
    int64_t rank, ord;
    struct view state, owner; /* of DOC_FILED; empty: none */
};

struct change {
    enum doc_kind kind;
    struct view key;
    struct doc_place place;
    struct view doc; /* JSON; the whole document after the change */
};

struct head {
    char epoch[EPOCH_MAX + 1]; /* "": the tenant has no entry yet */
    uint64_t n;                /* of the last entry, 0: none */
    uint64_t seq;              /* of the last event, 0: none */
    uint64_t published;        /* the relay's mark: entries up to here are on the exchange */
    uint64_t figures_rev;      /* entry that last changed the figures */
    uint64_t figures_published;
};

enum commit_result { COMMIT_PENDING, COMMIT_DONE, COMMIT_CONFLICT };

struct entry {
    const char *tenant_id;
    const char *epoch; /* of the head, or a new one when the head has none */
    uint64_t n;
    uint64_t first_seq, last_seq; /* last_seq = first_seq - 1: no events with a seq */
    int64_t at_wall_ms;
    const struct change *changes;
    size_t change_count;
    struct view events; /* JSON array of event bodies, in order */
    bool figures_changed;
    enum commit_result result; /* out */
};

/* One entry as the relay and replay read it. */
struct log_entry {
    uint64_t n, first_seq, last_seq;
    struct view changes, events; /* JSON arrays; changes only where asked for */
};

enum log_position { LOG_BY_ENTRY, LOG_BY_SEQ };

struct page {
    struct view parent;
    size_t limit;
    bool has_cursor; /* only what stands behind (rank, ord) */
    int64_t rank, ord;
    /* of DOC_FILED */
    struct view states[PAGE_STATES_MAX]; /* one of these; the first empty: any */
    struct view owner;                   /* empty: any */
};

/* A document that somebody wants to read. */
struct wanted {
    enum doc_kind kind;
    struct view key;
};

struct listed {
    struct view key, doc;
    int64_t rank, ord;
};

struct channel {
    char phone_number_id[CHANNEL_ID_SIZE]; /* or the id of the business account, for what has no number */
    char tenant_id[TENANT_ID_MAX + 1];
    char display_phone_number[33];
    char access_token[1025]; /* write-only for callers of the API */
};

/* The reason of what is delivered once its channel belongs to somebody. */
#define QUARANTINE_NO_TENANT "no_tenant"

struct quarantined {
    const char *reason;
    struct view channel_id; /* may be empty */
    struct view bytes;
    int64_t at_wall_ms;
};

/* What retention asks for of one tenant's log: entries that are older than either. */
struct trim {
    const char *tenant_id;
    int64_t before_wall_ms;
    uint64_t before_seq; /* entries whose last event is below */
    size_t limit;        /* entries looked at: a small step */
};

struct mark {
    const char *tenant_id;
    uint64_t published, figures_published;
};

struct store;

/* Called per row; false ends the walk early (which is no error). The views are valid during the call. */
typedef bool (*store_log_fn)(void *ctx, const struct log_entry *entry);
typedef bool (*store_doc_fn)(void *ctx, const struct listed *row);
typedef bool (*store_tenant_fn)(void *ctx, const char *tenant_id, const struct head *head);
typedef bool (*store_channel_fn)(void *ctx, const struct channel *channel);
typedef bool (*store_change_fn)(void *ctx, const struct change *change);
typedef bool (*store_quarantined_fn)(void *ctx, const char *digest, const struct quarantined *row);
/* Called for each wanted document that there is, in any order; `index` is its place in the request. */
typedef void (*store_found_fn)(void *ctx, size_t index, struct view doc);

struct store_ops {
    void (*close)(struct store *s);
    /* A tenant that nobody knows has a head of zeros. On a store without transactions the call, a reader's
     * too, first writes the documents of an entry that a killed writer left. */
    bool (*head)(struct store *s, const char *tenant_id, struct head *out, struct err *err);
    /* Appends the document; *found tells whether there is one. */
    bool (*get)(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key, struct buf *doc,
                bool *found, struct err *err);
    /* The same for many, in as few round trips as the store allows. */
    bool (*get_many)(struct store *s, const char *tenant_id, const struct wanted *wanted, size_t count,
                     store_found_fn fn, void *ctx, struct err *err);
    bool (*list)(struct store *s, const char *tenant_id, enum doc_kind kind, const struct page *page,
                 store_doc_fn fn, void *ctx, struct err *err);
    /* All documents of a kind, behind a key and by key: for copies of the store. */
    bool (*scan)(struct store *s, const char *tenant_id, enum doc_kind kind, struct view after, size_t limit,
                 store_change_fn fn, void *ctx, struct err *err);
    /* Tenants that have a log, behind an id and by id. */
    bool (*tenants)(struct store *s, struct view after, size_t limit, store_tenant_fn fn, void *ctx,
                    struct err *err);
    /* Commits entries of different tenants; each gets its result. False: none of those still PENDING is
     * committed, as far as is known. Needs a writer's handle. */
    bool (*commit)(struct store *s, struct entry **entries, size_t count, struct err *err);
    /* Entries behind a position, in order: by number (n > after), or by event (last_seq > after). */
    bool (*read_log)(struct store *s, const char *tenant_id, enum log_position by, uint64_t after,
                     bool with_changes, store_log_fn fn, void *ctx, struct err *err);
    /* Tenants whose log or figures are not all published. */
    bool (*unpublished)(struct store *s, store_tenant_fn fn, void *ctx, struct err *err);
    /* Moves marks forward; need not be durable at once, since publishing again is harmless. With none: asks,
     * while it is nobody's turn, whether writing works; a store may do then what all would wait for. Writer.
     */
    bool (*mark)(struct store *s, const struct mark *marks, size_t count, struct err *err);

    bool (*channel_get)(struct store *s, struct view channel_id, struct channel *out, bool *found,
                        struct err *err);
    bool (*channel_put)(struct store *s, const struct channel *channel,
                        struct err *err); /* writer; durable */
    bool (*channel_delete)(struct store *s, struct view channel_id, bool *found,
                           struct err *err); /* writer */
    /* Behind an id and by id. */
    bool (*channels)(struct store *s, struct view after, size_t limit, store_channel_fn fn, void *ctx,
                     struct err *err);

    /* Keeps what belongs to nobody yet or cannot be read; durable. The same bytes are kept once. Writer. */
    bool (*quarantine)(struct store *s, const struct quarantined *rows, size_t count, struct err *err);
    /* The next channel behind `after`, by id, for which something waits (QUARANTINE_NO_TENANT). */
    bool (*waiting_channel)(struct store *s, struct view after, char out[static CHANNEL_ID_SIZE], bool *found,
                            struct err *err);
    /* What waits for a channel, oldest first. */
    bool (*waiting)(struct store *s, struct view channel_id, size_t limit, store_quarantined_fn fn, void *ctx,
                    struct err *err);
    /* All of the quarantine, behind a digest and by digest. */
    bool (*quarantine_scan)(struct store *s, struct view after, size_t limit, store_quarantined_fn fn,
                            void *ctx, struct err *err);
    bool (*quarantine_drop)(struct store *s, const char *const *digests, size_t count,
                            struct err *err); /* writer */

    /* Retention, in steps; none need be durable at once. *removed < limit: nothing more is due. Writer.
     * trim_log drops the oldest entries of a log: only what is published and applied, never the last. */
    bool (*trim_log)(struct store *s, const struct trim *trim, size_t *removed, struct err *err);
    /* Documents of a DOC_AGES kind with a rank below, of all tenants. */
    bool (*expire)(struct store *s, enum doc_kind kind, int64_t before_wall_ms, size_t limit, size_t *removed,
                   struct err *err);
    /* Documents of a kind that is DOC_LISTED and DOC_AGES, in the list of a tenant's that has no parent: the
     * newest `keep` stay, of the others the oldest go first. Costs as much as counting so many. */
    bool (*keep_newest)(struct store *s, const char *tenant_id, enum doc_kind kind, size_t keep, size_t limit,
                        size_t *removed, struct err *err);
    bool (*quarantine_expire)(struct store *s, int64_t before_wall_ms, size_t limit, size_t *removed,
                              struct err *err);

    /* Begins a tenant behind a position, all of it published: for restores. *taken is false when the tenant
     * has a log already. Writer; durable. */
    bool (*adopt)(struct store *s, const char *tenant_id, const struct head *at, bool *taken,
                  struct err *err);
};

/* What every implementation begins with. */
struct store {
    const struct store_ops *ops;
    bool remote; /* a call costs a round trip: better few of them */
};

enum store_mode { STORE_WRITER, STORE_READER };

void store_close(struct store *s); /* NULL-safe */

const char *doc_kind_name(enum doc_kind kind);
/* What callers of the API see of a channel: all but the access token. */
void channel_write(const struct channel *channel, struct buf *out);

#endif
