/*
 * What the state-manager asks of a store: an event log per tenant that is the commit, the documents that
 * follow from it, and a few tables beside. store/sqlite.c obeys it; one contract test suite checks it.
 *
 * The log. Entry n of a tenant holds the changes and the events of a batch of commands. n is the last entry's
 * + 1, read by head() before anything else that the decision needs; commit() refuses an entry whose n is
 * taken (CONFLICT), so the writes of a tenant are serial whoever writes. An entry is committed when it and
 * its documents are durable, together.
 *
 * Documents are JSON texts by (tenant, kind, key), each with what lists need: parent, rank and ord.
 *
 * Thread: a handle belongs to one thread. Lifetime: from store_open() to store_close(). Errors: UNAVAILABLE
 * when the store cannot be reached or is full (try again later), INTERNAL when it is damaged.
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

/* kind, its name in the log and (plural) in the store, whether it is listed by parent */
#define DOC_KINDS(X)                                                                      \
    X(CONVERSATION, "conversation", "conversations", true)                                \
    X(MESSAGE, "message", "messages", true)                                               \
    X(ALIAS, "alias", "aliases", false)  /* another name of a document -> its key */      \
    X(PARKED, "parked", "parked", false) /* receipts that came before their message */    \
    X(RAW, "raw", "raw", true)           /* accepted, not understood yet */               \
    X(LATEST, "latest", "latest", true)  /* newest event body per (type, key) */          \
    X(REPLY, "reply", "replies", false)  /* what was answered under an Idempotency-Key */ \
    X(FIGURES, "figures", "figures", false)

enum doc_kind {
#define X(kind, name, plural, listed) DOC_##kind,
    DOC_KINDS(X)
#undef X
        DOC_KIND_COUNT
};

enum {
    DOC_KEY_MAX = 256,         /* bytes */
    DOC_MAX = 4 << 20,         /* bytes of one document */
    ENTRY_BYTES_MAX = 8 << 20, /* changes and events of one entry together */
    ENTRY_COMMANDS_MAX = 1000
};

/* Where a document stands in the list of its parent: by rank, then by ord, newest first. */
struct doc_place {
    struct view parent; /* bytes, "" for a list of the tenant's */
    int64_t rank, ord;
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
};

struct listed {
    struct view key, doc;
    int64_t rank, ord;
};

struct channel {
    char phone_number_id[65];
    char tenant_id[TENANT_ID_MAX + 1];
    char display_phone_number[33];
    char access_token[1025]; /* write-only for callers of the API */
};

struct quarantined {
    const char *reason;
    struct view phone_number_id; /* may be empty */
    struct view bytes;           /* as received */
    int64_t at_wall_ms;
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

struct store_ops {
    void (*close)(struct store *s);
    /* A tenant that nobody knows has a head of zeros. */
    bool (*head)(struct store *s, const char *tenant_id, struct head *out, struct err *err);
    /* Appends the document; *found tells whether there is one. */
    bool (*get)(struct store *s, const char *tenant_id, enum doc_kind kind, struct view key, struct buf *doc,
                bool *found, struct err *err);
    bool (*list)(struct store *s, const char *tenant_id, enum doc_kind kind, const struct page *page,
                 store_doc_fn fn, void *ctx, struct err *err);
    /* Commits entries of different tenants; each gets its result. False: none of those still PENDING is
     * committed, as far as is known. Needs a writer's handle. */
    bool (*commit)(struct store *s, struct entry **entries, size_t count, struct err *err);
    /* Entries behind a position, in order: by number (n > after), or by event (last_seq > after). */
    bool (*read_log)(struct store *s, const char *tenant_id, enum log_position by, uint64_t after,
                     bool with_changes, store_log_fn fn, void *ctx, struct err *err);
    /* Tenants whose log or figures are not all published. */
    bool (*unpublished)(struct store *s, store_tenant_fn fn, void *ctx, struct err *err);
    /* Moves marks forward; need not be durable at once, since publishing again is harmless. Writer. */
    bool (*mark)(struct store *s, const struct mark *marks, size_t count, struct err *err);

    bool (*channel_get)(struct store *s, struct view phone_number_id, struct channel *out, bool *found,
                        struct err *err);
    bool (*channel_put)(struct store *s, const struct channel *channel,
                        struct err *err); /* writer; durable */
    bool (*channel_delete)(struct store *s, struct view phone_number_id, bool *found,
                           struct err *err); /* writer */
    /* Keeps what belongs to nobody yet or cannot be read; durable. The same bytes are kept once. Writer. */
    bool (*quarantine)(struct store *s, const struct quarantined *rows, size_t count, struct err *err);
};

/* What every implementation begins with. */
struct store {
    const struct store_ops *ops;
};

enum store_mode { STORE_WRITER, STORE_READER };

void store_close(struct store *s); /* NULL-safe */

const char *doc_kind_name(enum doc_kind kind);
/* What callers of the API see of a channel: all but the access token. */
void channel_write(const struct channel *channel, struct buf *out);

#endif
