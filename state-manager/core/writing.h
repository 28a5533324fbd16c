/*
 * A write on a resource in the making: what it found, what it will store and announce. Nothing of it reaches
 * the batch before all of it is known to be right.
 *
 * Private to the write's own files: write.c (the order of things), compose.c (the document), effects.c (what
 * follows from it), people.c. Thread: the committer's. Lifetime: of one decision; the texts that it makes
 * live as long.
 */
#ifndef STATE_MANAGER_CORE_WRITING_H
#define STATE_MANAGER_CORE_WRITING_H

#include "shared/clock.h"
#include "shared/template.h"
#include "state-manager/core/command.h"
#include "state-manager/core/grant.h"
#include "state-manager/core/members.h"
#include "state-manager/core/record.h"

enum {
    WRITE_BYTES_MAX = 3 << 20, /* all documents and events of a write: an entry has room for so much more */
    EMISSION_BYTES_MAX = 768 << 10 /* an event's data: its body must stay below EVENT_BODY_MAX */
};

/* A document to be stored. */
struct staged {
    const struct resource *resource;
    char id[RECORD_ID_MAX + 1];
    struct record before;
    struct view document; /* empty: it is deleted */
    struct record_place place;
};

struct announced {
    const char *type;
    struct view rooms, data;
};

/* Texts that live as long as the writing. */
struct kept {
    struct kept *next;
    char *text;
};

struct writing {
    struct batch *b;
    struct command *c;
    const struct operation *o;
    enum reach reach;
    char id[RECORD_ID_MAX + 1];
    struct record before;
    struct view base; /* what it begins with: before.document, or what the resource says of an absent one */
    struct members members; /* of the document after */
    bool unchanged;
    struct template_scope scope;
    struct view *joined; /* documents by the operation's rules; empty: not found, or not looked for yet */
    struct staged *docs;
    size_t doc_count;
    struct announced *events;
    size_t event_count;
    struct view audit;
    char disconnected[TOKEN_NAME_MAX + 1]; /* whose tokens count no more; "": nobody's */
    size_t bytes;
    struct kept *kept;
};

/* --- write.c --- */

/* Empties the buffer; its bytes stay as long as the writing. */
struct view writing_keep(struct writing *w, struct buf *text);
/* What a template makes. */
bool writing_render(struct writing *w, struct view template, size_t max, struct view *out,
                    struct err *err) MUSTCHECK;
/* A template's text; false: it has no value. */
bool writing_text(struct writing *w, struct view template, char *out, size_t size) MUSTCHECK;
/* The document as it is by now: of this write, or in the store. */
void writing_find(struct writing *w, const struct resource *r, const char *id, struct record *out);
/* TOO_LARGE; INVALID: it has no place. */
bool writing_stage(struct writing *w, const struct resource *r, const char *id, const struct record *before,
                   struct view document, struct err *err) MUSTCHECK;
bool writing_weigh(struct writing *w, size_t bytes, struct err *err) MUSTCHECK;

/* --- compose.c --- */

/* The document after, in scope.roots[TEMPLATE_DOCUMENT]; or w->unchanged. `body` is checked. */
bool compose_document(struct writing *w, struct view body, struct err *err) MUSTCHECK;
/* The joined documents whose place is known before (early) or only by the document itself. */
bool compose_joined(struct writing *w, bool early, struct err *err) MUSTCHECK;
/* A document with these settings; the same before and after: *out is empty. */
bool compose_follow_up(struct writing *w, const struct follow_up *f, const char *id,
                       const struct record *before, struct view *out, struct err *err) MUSTCHECK;

/* --- effects.c --- */

/* Emissions, follow-ups, audit, disconnection. */
bool effects_gather(struct writing *w, struct err *err) MUSTCHECK;
/* Into the batch; cannot fail. */
void effects_apply(struct writing *w);

/* --- people.c --- */

/* Stages the caller's own document where the one that is there says something else. */
bool people_stage(struct writing *w, struct err *err) MUSTCHECK;

#endif
