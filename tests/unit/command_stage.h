/* The rules under test on a real store: one batch after another, with a clock that stands still. */
#ifndef TESTS_UNIT_COMMAND_STAGE_H
#define TESTS_UNIT_COMMAND_STAGE_H

#include "state-manager/core/batch.h"
#include "state-manager/core/command.h"
#include "state-manager/core/model.h"
#include "tests/contract/store_fixture.h"

enum { STAGE_NOW_S = 1789200000 };

extern struct store_fixture stage_store;
extern struct batch *batch;
extern struct buf reply;
extern int64_t now_ms;
extern const char text_message[], echo[]; /* wamid.1 from 4477; wamid.out to 4477 */

void stage_open(void);
void stage_close(void);
/* A new batch at now_ms. */
void stage_begin(void);
/* Commits what was decided and begins the next entry; the events of the entry, in `events`. */
struct view stage_commit(struct buf *events);
/* Decides a command of a webhook on channel 100. */
bool decide(enum command_type type, const char *element, bool *duplicate);
/* Decides a call of agent-1's; its answer is in `reply`. */
bool call(enum command_type type, const char *id, const char *body, const char *key, struct err *err);
/* How many events of a type there are, and the data of the last one. */
int events_of(struct view events, const char *type, struct view *last);
struct figures figures_now(void);
struct message stored(const char *wamid);

#endif
