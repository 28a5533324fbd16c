/* A profile of the tests' own, and its writes decided on a real store (command_stage.h). */
#ifndef TESTS_UNIT_RESOURCE_STAGE_H
#define TESTS_UNIT_RESOURCE_STAGE_H

#include "shared/profile.h"
#include "tests/unit/command_stage.h"

/* Who is calling. */
#define USER                                                                                        \
    "{\"tenantId\":\"t1\",\"sub\":\"ann\",\"role\":\"user\",\"roles\":[\"user\"],\"name\":\"Ann\"," \
    "\"email\":\"ann@x.example\"}"
#define STRANGER "{\"tenantId\":\"t1\",\"sub\":\"bob\",\"role\":\"user\",\"roles\":[\"user\"]}"
#define BOSS                                                                                               \
    "{\"tenantId\":\"t1\",\"sub\":\"boss-1\",\"role\":\"agent\",\"roles\":[\"agent\",\"boss\"],\"phone\":" \
    "\"+44 7700\"}"
#define SERVICE "{\"tenantId\":\"t1\",\"sub\":\"shop\",\"role\":\"service\",\"roles\":[\"service\"]}"
#define NOBODY  "{\"tenantId\":\"t1\",\"sub\":\"eve\",\"role\":\"agent\",\"roles\":[\"agent\"]}"

/* Written with ' for ". */
#define Q(text) lab_quote(text)

extern struct profiles *lab;  /* one profile, "lab" */
extern struct buf lab_events; /* of the last commit: a JSON array, or nothing */

void resource_stage_open(enum store_kind kind);
void resource_stage_sqlite(void);
void resource_stage_mongo(void);
void resource_stage_close(void);
struct resource *resource_stage_items(void);

/* Decides "<resource>.<operation>" and commits it; the answer is in `reply`, the events in lab_events. */
bool lab_write(const char *operation, const char *claims, const char *params, const char *body,
               struct err *err);
/* The same on the batch as it is, without a commit; with an Idempotency-Key and a seed for ids. */
bool lab_decide(const char *operation, const char *claims, const char *params, const char *body,
                const char *key, unsigned seed, struct err *err);
/* The types of the last commit's events, a blank behind each. */
const char *lab_heard(void);
/* "<rooms> <data>" of the n-th event of the last commit. */
const char *lab_event(size_t n);
/* What is stored of a document: "-", "deleted", or the document. */
const char *lab_stored(const char *resource, const char *id);
/* Like that, what a read answers: 200s as they are, errors as their code's name. `query`: filters as JSON. */
const char *lab_read(const char *operation, const char *claims, const char *params, const char *filters,
                     const char *q);

/* A copy with " for ', as it is until the fourth call from now. */
const char *lab_quote(const char *text);
/* Writes that must go well, or fail like that and without any event; params and body with ' for ". */
void lab_must(const char *operation, const char *claims, const char *params, const char *body);
void lab_must_not(const char *operation, const char *claims, const char *params, const char *body,
                  enum err_code code, const char *why);
/* Makes an item and returns its id. */
const char *lab_item(const char *claims, const char *body);
/* The params of a call about it. */
const char *lab_id(const char *id);

#endif
