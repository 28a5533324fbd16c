/*
 * A stage for the cursor's property test: one tenant's log as the state-manager has it, an exchange that
 * repeats, reorders and loses, and two gateways (real hubs) whose questions are answered late, in any order,
 * or not at all. Played by hand on the loop of the session stage.
 */
#ifndef TESTS_UNIT_CURSOR_STAGE_H
#define TESTS_UNIT_CURSOR_STAGE_H

#include "portal-gateway/core/letters.h"
#include "tests/unit/session_stage.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DOORS = 2,
    ROOMS = 3, /* conversation:c0 and so on */
    USERS_KNOWN = 3,
    LOG_MOST = 4096,
    DUE_MOST = 8192,
    QUESTIONS_MOST = 512,
    DOCS_MOST = 512,
    RING_EVENTS = 8,
    RECOVERY_EVENTS = 60,
    NOBODY = -1
};

/* One event of the log: whom it is for. */
struct logged {
    bool everyone, inside;
    int room, user, except; /* NOBODY: none */
    char data[128];         /* of an inside event */
};

/* What is recorded of one Socket.IO session. */
struct doc {
    char pid[SESSION_ID_SIZE];
    uint64_t joined[ROOMS]; /* 0: not in */
    uint64_t changed;
    bool ended;
};

enum question_kind { ASKED_TEXT, ASKED_HEADS, ASKED_REPLAY, ASKED_PAST, ASKED_BINDING };

/* What a gateway has asked, and the answer once it is made but still on its way. */
struct question {
    enum question_kind kind;
    uint64_t token;
    char *text;
    struct heads *heads;
    struct position after;
    struct news *answer;
};

struct door {
    struct hub *hub;
    bool bound;
    bool is_cut;              /* from the broker: nothing comes, and what it asks is not answered */
    struct buf due[DUE_MOST]; /* bodies on their way to it */
    size_t due_count;
    struct question questions[QUESTIONS_MOST];
    size_t question_count;
};

struct cursor_net {
    struct logged log[LOG_MOST]; /* seq - 1 */
    uint64_t count, floor;       /* events up to `floor` are not kept any more */
    char epoch[2];
    uint64_t rev; /* of the one latest value there is */
    struct doc docs[DOCS_MOST];
    size_t doc_count;
    struct door doors[DOORS];
    /* A membership has been written into the log; something has happened at a gateway. */
    void (*on_membership)(const char *pid, uint64_t seq, int room, bool in);
    void (*on_move)(void);
};

extern struct cursor_net net_of_cursors;

void cursor_set_up(void);
void cursor_tear_down(void);

/* NULL: nobody has come there yet. */
struct tenant *door_tenant(const struct door *d);
/* As after a crash; its sessions must be gone. */
void door_kill(struct door *d);

/* Appends to the log and sends it to those that are bound. */
void publish(const struct logged *event);
/* Without a place in the log: the newest value, or one that is gone. */
void publish_latest(void);
void publish_ephemeral(void);

/* Hands over one body that is due, mostly the oldest; may lose or repeat it when `loosely`. */
void deliver_one(struct door *d, bool loosely);
/* Makes the answer of one question, or hands over one that is made. Some fail when `loosely`. */
void answer_one(struct door *d, bool loosely);
/* Whatever waits for time to pass has waited long enough. */
void let_time_pass(struct door *d);
/* A turn of its loop. */
void turn(struct door *d);
/* Everything arrives and is answered, until nothing moves any more. */
void come_to_rest(void);

#endif
