/*
 * A backup as a file: JSON Lines, independent of the kind of store, so that what was copied out of SQLite can
 * be restored into MongoDB and back. One line each:
 *
 *   {"portalcast":"backup","format":1,"at","version","kinds":[...]}   kinds of documents the writer knew
 *   {"quarantined":{"reason","channel","at","bytes"}}                 bytes: base64url
 *   {"tenant":"t_a"}                                                  what follows is of that tenant
 *   [{"kind","key","parent","rank","ord","state"?,"owner"?,"doc"}]    documents, as the log keeps changes;
 *                                                                     a later line replaces an earlier one
 *   {"head":{"tenant","epoch","n","seq","figuresRev","documents"}}    the documents are as of this position
 *   {"channel":{"phoneNumberId","tenantId","displayPhoneNumber","accessToken"}}
 *   {"end":{"lines","documents","digest"}}
 *
 * Documents whose text has line breaks stand as a string with that text in it: not a byte is lost. The digest
 * is a chain, d(i) = SHA-256(d(i-1), line i) without its line break, d(0) = 32 zero bytes: whatever is
 * missing, changed or in another order shows, and neither side holds more than a line.
 *
 * Access tokens and people's messages are in it in clear: whoever makes the file keeps it to its owner.
 *
 * backup_writer.c writes it, backup_reader.c reads it. Thread: one. Lifetime of what a record points to:
 * until the next backup_read().
 */
#ifndef PORTALCTL_BACKUP_FILE_H
#define PORTALCTL_BACKUP_FILE_H

#include "shared/buf.h"
#include "shared/crypto.h"
#include "state-manager/core/store.h"
#include <stdio.h>

enum {
    BACKUP_FORMAT = 1,
    BACKUP_DIGEST_SIZE = 2 * SHA256_BYTES + 1,
    BACKUP_LINE_MAX = 5 * ENTRY_BYTES_MAX /* bytes; the changes of an entry, quoted */
};

/* A line with the digest of all before it in front, so that the next digest is that of the whole. For the
 * two sides of this file. */
struct backup_line {
    struct buf bytes;
    uint64_t count; /* of the lines that are done */
};

void backup_line_init(struct backup_line *l);
void backup_line_finish(struct backup_line *l);
struct view backup_line_text(const struct backup_line *l);
/* The line is complete: begins the next one. */
void backup_line_next(struct backup_line *l);
void backup_line_digest(const struct backup_line *l, char out[static BACKUP_DIGEST_SIZE]);

struct backup_writer;

/* Writes the first line. The file stays the caller's; whatever fails shows in the call that follows, at the
 * latest in backup_finish(). */
struct backup_writer *backup_writer_create(FILE *out, int64_t now_wall_ms);
void backup_writer_destroy(struct backup_writer *w); /* NULL-safe */

bool backup_put_quarantined(struct backup_writer *w, const struct quarantined *row,
                            struct err *err) MUSTCHECK;
bool backup_put_tenant(struct backup_writer *w, const char *tenant_id, struct err *err) MUSTCHECK;
/* changes: as changes_write() makes them; `count` of them. */
bool backup_put_documents(struct backup_writer *w, struct view changes, size_t count,
                          struct err *err) MUSTCHECK;
bool backup_put_head(struct backup_writer *w, const char *tenant_id, const struct head *head,
                     struct err *err) MUSTCHECK;
bool backup_put_channel(struct backup_writer *w, const struct channel *channel, struct err *err) MUSTCHECK;
/* The last line; flushes. */
bool backup_finish(struct backup_writer *w, struct err *err) MUSTCHECK;
/* Documents of the tenant that was begun last. */
uint64_t backup_documents(const struct backup_writer *w);

/* record, the member by which its line is known; DOCUMENTS have none */
#define BACKUP_RECORDS(X)         \
    X(HEADER, "portalcast")       \
    X(QUARANTINED, "quarantined") \
    X(TENANT, "tenant")           \
    X(DOCUMENTS, NULL)            \
    X(HEAD, "head")               \
    X(CHANNEL, "channel")         \
    X(END, "end")

enum backup_record_kind {
#define X(kind, member) BACKUP_##kind,
    BACKUP_RECORDS(X)
#undef X
        BACKUP_RECORD_KINDS
};

struct backup_record {
    enum backup_record_kind kind;
    char tenant_id[TENANT_ID_MAX + 1]; /* TENANT, HEAD */
    struct head head;                  /* HEAD */
    uint64_t documents;                /* HEAD: of the tenant */
    struct change *changes;            /* DOCUMENTS */
    size_t change_count;
    struct quarantined quarantined;
    struct channel channel;
    char digest[BACKUP_DIGEST_SIZE]; /* END */
};

struct backup_reader;

struct backup_reader *backup_reader_create(FILE *in);
void backup_reader_destroy(struct backup_reader *r); /* NULL-safe */
/* The next line. After BACKUP_END the whole file is known to be as it was written. INVALID: it is not, or of
 * a newer version; UNAVAILABLE: it cannot be read. */
bool backup_read(struct backup_reader *r, struct backup_record *out, struct err *err) MUSTCHECK;

#endif
