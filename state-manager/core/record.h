/*
 * Documents of profiles' resources as they are kept: DOC_RECORD under "<profile>.<resource>/<id>",
 *
 *   {"at": <wall ms>, "ord": n, "document": {...}}   at and ord: its place among others, newest first
 *   {"deleted": true, "version": n}                  in no list; so that nobody's late write brings it back
 *
 * listed by collection, or by collection and the value of the field that the resource is `within`; filed
 * under its state and its owner, where the profile names fields for them. Pure. Thread: any.
 */
#ifndef STATE_MANAGER_CORE_RECORD_H
#define STATE_MANAGER_CORE_RECORD_H

#include "shared/profile.h"
#include "state-manager/core/store.h"

enum {
    RECORD_ID_MAX = 128, /* bytes; also of owners and of what a list is within */
    RECORD_TEXT_SIZE = RECORD_ID_MAX + 1,
    RECORD_BYTES_MAX = 512 << 10, /* of a document: events that hold it must stay below EVENT_BODY_MAX */
    RECORD_DEPTH_MAX = 32,        /* of a document: events and log entries are put around it */
    RECORD_PARENT_SIZE = PROFILE_COLLECTION_MAX + 1 + RECORD_TEXT_SIZE
};

struct record {
    struct view document; /* empty: there is none */
    int64_t version;      /* of a deleted one, too; 0: there never was one */
    int64_t at, ord;
};

/* The id as it was checked by record_id_valid(). */
struct view record_key(const struct resource *r, const char *id, char room[static DOC_KEY_MAX]);
/* The key of the audit record of a version. */
struct view record_audit_key(struct view key, int64_t version, char room[static DOC_KEY_MAX]);
/* 1 to RECORD_ID_MAX bytes of UTF-8 without controls. */
bool record_id_valid(struct view id);
/* Of what the store has; empty: nothing. */
void record_read(struct view doc, struct record *out);
void record_write(const struct record *record, struct buf *out);
void record_write_deleted(int64_t version, struct buf *out);

/* The document that everybody sees who asks for it: the one that is there, or what the resource says of one
 * that nobody has written yet, made in `room`. Empty: none. */
struct view record_shown(const struct resource *r, const char *id, const struct record *record,
                         struct buf *room);

/* A string, number or boolean as text. False: none of these, empty, or over RECORD_ID_MAX bytes. */
bool record_text(struct view value, char out[static RECORD_TEXT_SIZE]) MUSTCHECK;
/* Whether a field of that value is what somebody looks for by this text. */
bool record_text_is(struct view value, struct view text);
/* Whose a document is, "" for nobody's. */
void record_owner(const struct resource *r, struct view document, char out[static RECORD_TEXT_SIZE]);

/* The list of documents with that value of the field that the resource is within; NULL: it is within none. */
struct view record_parent(const struct resource *r, const char *value, char room[static RECORD_PARENT_SIZE]);

/* The field that documents are filed by, NULL: none. It has few values, since lists of all are merged from
 * those of each; one that may be anything is looked through instead. */
const char *record_state(const struct resource *r);

struct record_place {
    char parent[RECORD_PARENT_SIZE], state[DOC_STATE_MAX + 1], owner[RECORD_TEXT_SIZE];
};
/* Where a document is to be filed. INVALID: it does not say what it is within. */
bool record_place(const struct resource *r, struct view document, struct record_place *out,
                  struct err *err) MUSTCHECK;
/* Whether lists of the resource are by newest change. */
bool record_moves(const struct resource *r);

#endif
