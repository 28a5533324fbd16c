/*
 * Names in the MongoDB store: the ids of documents and the lists they stand in (mongo_docs.h). Each function
 * writes into `name`, replacing what is there, and gives what it wrote. For store/mongo*.c only. Thread: any.
 */
#ifndef STATE_MANAGER_STORE_MONGO_NAMES_H
#define STATE_MANAGER_STORE_MONGO_NAMES_H

#include "state-manager/store/mongo_link.h"

enum { MONGO_NAME_MAX = 2 * DOC_MAX };

bool mongo_is_filed(enum doc_kind kind);

/* "<tenant>/<kind>/", what the ids of a kind begin with. */
void mongo_start_name(struct buf *name, const char *tenant_id, enum doc_kind kind);
struct view mongo_name_doc(struct buf *name, const char *tenant_id, enum doc_kind kind, struct view key);
/* The list of a parent's, or the narrower one of a state, of an owner or of both. */
struct view mongo_name_list(struct buf *name, const char *tenant_id, enum doc_kind kind, struct view state,
                            struct view owner, struct view parent);
/* All documents of a DOC_AGES kind. */
struct view mongo_name_ages(struct buf *name, enum doc_kind kind);

/* Appends the field `lists` of a document: its list's name, or an array of several; in none: no field. */
void mongo_put_lists(bson_t *doc, struct buf *name, const char *tenant_id, const struct change *c);

#endif
